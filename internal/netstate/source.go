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
	prefixes []netip.Prefix // of this host's addresses
	read     time.Time      // when they were read
}

// fresh is how old the lengths of prefixes may be: RFC 6724 section 8 lets an order of
// addresses be a second old. Routes are asked for each time.
const fresh = time.Second

// For returns the address the kernel would send from to dst, and the length of
// its prefix (0: unknown). The zero address says there is none: no route. It
// connects a UDP socket, which sends no packet.
func (s *Sources) For(dst netip.Addr) (src netip.Addr, bits int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// RFC 6724 section 8: the port plays no part in the choice.
	src = s.routes.source(netip.AddrPortFrom(dst.Unmap(), 9))
	if !src.IsValid() {
		return src, 0
	}
	if time.Since(s.read) > fresh {
		s.prefixes, s.read = hostPrefixes(s.prefixes[:0]), time.Now()
	}
	return src, s.bits(src)
}

// Close lets go of what is kept. It may be used after that.
func (s *Sources) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes.close()
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
