// Package netstate knows this host's side of the network: the address it would
// send from, and how long that address's prefix is.
package netstate

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Sources tells the source address for a destination. The zero value is ready to
// use, by many goroutines; Close lets go of what it keeps.
type Sources struct {
	mu       sync.Mutex
	routes   routes
	found    map[way]source
	prefixes []netip.Prefix // of this host's addresses
	read     time.Time      // when the oldest of all that was read
}

// Via is what a caller adds to what the routes choose by. The zero value: nothing. Other
// systems than Linux know none of it.
type Via struct {
	Interface string // that packets leave through (SO_BINDTODEVICE)
	Mark      uint32 // of packets, for the routing policy (SO_MARK)
	DSCP      uint8  // of packets, for the routing policy too (RFC 2474); 0 to 63
}

// way is what a source depends on.
type way struct {
	dst netip.Addr
	via Via
}

// source is an address of this host and the length of its prefix.
type source struct {
	addr netip.Addr
	bits int
}

const (
	// fresh is how old it may be: RFC 6724 section 8 lets an order of addresses be a
	// second old.
	fresh = time.Second
	// maxFound bounds what is kept: 128 KB.
	maxFound = 1024
)

// For returns the address the kernel would send from to dst, and the length of
// its prefix (0: unknown). The zero address says there is none: no route, or the way is
// none that this process may choose. It connects a UDP socket, which sends no packet.
// What it has found may be a second old; that there is no route never is, so that a new
// one serves at once.
func (s *Sources) For(dst netip.Addr, via Via) (src netip.Addr, bits int) {
	asked := way{dst.Unmap(), via}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
	if known, ok := s.found[asked]; ok {
		return known.addr, known.bits
	}
	// RFC 6724 section 8: the port plays no part in the choice.
	src = s.routes.source(netip.AddrPortFrom(asked.dst, 9), via)
	if !src.IsValid() {
		return src, 0
	}
	bits = s.bits(src)
	s.keep(asked, source{src, bits})
	return src, bits
}

// refresh forgets what is old.
func (s *Sources) refresh() {
	if time.Since(s.read) <= fresh {
		return
	}
	clear(s.found)
	s.prefixes, s.read = hostPrefixes(s.prefixes[:0]), time.Now()
}

func (s *Sources) keep(asked way, src source) {
	if s.found == nil {
		s.found = make(map[way]source)
	}
	if len(s.found) >= maxFound {
		clear(s.found)
	}
	s.found[asked] = src
}

// Close lets go of what is kept. It may be used after that.
func (s *Sources) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes.close()
	s.found, s.read = nil, time.Time{}
}

// hostPrefixes appends those of the host's addresses. A host that does not tell them
// has sources without prefix lengths.
func hostPrefixes(to []netip.Prefix) []netip.Prefix {
	addrs, _ := net.InterfaceAddrs() // without them only prefix lengths are missing
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			to = append(to, p)
		}
	}
	return to
}

func (s *Sources) bits(src netip.Addr) int {
	for _, p := range s.prefixes {
		if p.Addr() == src {
			return p.Bits()
		}
	}
	return 0
}
