//go:build !linux

package netstate

import (
	"net"
	"net/netip"
)

// routes asks the kernel for routes, with a socket for each question.
type routes struct{}

// source is the address packets to dst would leave from; the zero address: none.
func (routes) source(dst netip.AddrPort, _ Via) netip.Addr {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(dst))
	if err != nil {
		return netip.Addr{}
	}
	local, ok := conn.LocalAddr().(*net.UDPAddr)
	if err := conn.Close(); err != nil || !ok {
		return netip.Addr{}
	}
	return local.AddrPort().Addr().Unmap().WithZone("")
}

func (routes) close() {}
