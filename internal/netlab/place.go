package netlab

import (
	"context"
	"net"
	"net/netip"
)

// place is where the sockets of a host are made: on this machine's loopback, or
// inside the server host of a lab.
type place struct {
	// check refuses an endpoint that does not belong there, and returns it in its
	// plain form: an IPv4-mapped address is the IPv4 address.
	check func(netip.AddrPort) (netip.AddrPort, error)

	// do calls f where sockets come to life in that place. f must make them on
	// its own goroutine; once made, they may be used by any.
	do func(f func() error) error
}

// loopback needs no privileges, and its sockets can be made anywhere.
var loopback = place{check: checkLoopback, do: func(f func() error) error { return f() }}

// listen is plain TCP: Go's default would be a Multipath TCP socket where the
// kernel has it, and what a test sees would depend on that.
func (p place) listen(at netip.AddrPort) (*net.TCPListener, error) {
	at, err := p.check(at)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	var ln net.Listener
	err = p.do(func() (err error) {
		ln, err = lc.Listen(context.Background(), "tcp", at.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	return ln.(*net.TCPListener), nil
}

// listenUDP is the same for datagrams.
func (p place) listenUDP(at netip.AddrPort) (*net.UDPConn, error) {
	at, err := p.check(at)
	if err != nil {
		return nil, err
	}
	var conn *net.UDPConn
	err = p.do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	})
	return conn, err
}
