package netlab

import "net/netip"

// gateway is the client's way out of its network: for IPv4 the last address that
// a host can have, or the one before if the client has that; for IPv6 a
// link-local address, as routers announce themselves with one (RFC 4861 section
// 4.2).
func gateway(client netip.Prefix) netip.Addr {
	if client.Addr().Is6() {
		return netip.MustParseAddr("fe80::1")
	}
	last := client.Masked().Addr().As4()
	for bit := client.Bits(); bit < 32; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	via := netip.AddrFrom4(last).Prev() // the last one of all is the broadcast address
	if via == client.Addr() {
		return via.Prev()
	}
	return via
}
