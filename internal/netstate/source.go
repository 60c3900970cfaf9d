// Package netstate knows this host's side of the network: the address it would
// send from, and how long that address's prefix is.
package netstate

import (
	"net"
	"net/netip"
)

// Sources tells the source address for a destination. It reads the host's
// addresses once, so take a new one for each race.
type Sources struct {
	prefixes []netip.Prefix // of this host's addresses
}

// NewSources reads the host's addresses. A host that does not tell them has
// sources without prefix lengths.
func NewSources() *Sources {
	var s Sources
	addrs, _ := net.InterfaceAddrs() // without them only prefix lengths are missing
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			s.prefixes = append(s.prefixes, p)
		}
	}
	return &s
}

// For returns the address the kernel would send from to dst, and the length of
// its prefix (0: unknown). The zero address says there is none: no route. It
// connects a UDP socket, which sends no packet.
func (s *Sources) For(dst netip.Addr) (src netip.Addr, bits int) {
	// RFC 6724 section 8: the port plays no part in the choice.
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(dst, 9)))
	if err != nil {
		return netip.Addr{}, 0
	}
	local, ok := conn.LocalAddr().(*net.UDPAddr)
	if err := conn.Close(); err != nil || !ok {
		return netip.Addr{}, 0
	}
	src = local.AddrPort().Addr().Unmap().WithZone("")
	return src, s.bits(src)
}

func (s *Sources) bits(src netip.Addr) int {
	for _, p := range s.prefixes {
		if p.Addr() == src {
			return p.Bits()
		}
	}
	return 0
}
