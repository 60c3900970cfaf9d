package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
)

const (
	// maxWidth is how many endpoints the widest race has.
	maxWidth = 128
	// probeWidth is how many endpoints a probe has: as many as a request may.
	probeWidth = 1000
)

// oneWay is the delay of the lab link; a handshake takes twice as long.
const oneWay = 2500 * time.Microsecond

// loopbackName is the place without a link.
const loopbackName = "loopback"

// place has endpoints that connect and such that swallow every SYN.
type place struct {
	name       string
	good, dead []netip.AddrPort // maxWidth each
	many       []netip.AddrPort // probeWidth that connect
}

// openPlaces starts the servers. They live as long as this process, or as the lab.
func openPlaces(lab *netlab.Lab) ([]place, error) {
	loopback, err := openLoopback()
	if err != nil || lab == nil {
		return []place{loopback}, err
	}
	overLink, err := openLink(lab)
	return []place{loopback, overLink}, err
}

func openLoopback() (place, error) {
	p := place{name: loopbackName}
	for i := range byte(maxWidth) {
		good, err := listenDeferred(netip.AddrFrom4([4]byte{127, 0, 1, i + 1}))
		if err != nil {
			return p, err
		}
		dead, err := netlab.Swallow(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 2, i + 1}), 0))
		if err != nil {
			return p, err
		}
		open = append(open, dead)
		p.good, p.dead = append(p.good, good), append(p.dead, dead.Addr())
	}
	everywhere, err := listenDeferred(netip.IPv4Unspecified())
	for i := range probeWidth {
		p.many = append(p.many, netip.AddrPortFrom(nth([2]byte{127, 1}, i), everywhere.Port()))
	}
	return p, err
}

// nth is one of many addresses that begin with the two bytes.
func nth(prefix [2]byte, i int) netip.Addr {
	const hosts = 250 // of each /24, from .1 on
	return netip.AddrFrom4([4]byte{prefix[0], prefix[1], byte(i / hosts), byte(i%hosts) + 1})
}

// listenDeferred is the cheapest live peer: its kernel makes no socket for a client that
// sends nothing, so there is nothing to accept until a program ends in the middle of its
// work, which leaves a FIN.
func listenDeferred(addr netip.Addr) (netip.AddrPort, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		const seconds = 10
		failed := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds)
		})
		if failed != nil {
			return failed
		}
		return err
	}}
	config.SetMultipathTCP(false)
	listener, err := config.Listen(context.Background(), "tcp4", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return netip.AddrPort{}, err
	}
	open = append(open, listener)
	go acceptAll(listener)
	return listener.Addr().(*net.TCPAddr).AddrPort(), nil
}

// acceptAll has every connection until the client closes it.
func acceptAll(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			_, _ = io.Copy(io.Discard, conn) // until its end, by FIN or RST
			_ = conn.Close()
		}()
	}
}

// open keeps the servers on loopback from the garbage collector, which would close
// their sockets.
var open []io.Closer

func openLink(lab *netlab.Lab) (place, error) {
	p := place{name: fmt.Sprintf("lab link with a handshake of %v", 2*oneWay)}
	for i := range byte(maxWidth) {
		good := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, i + 1}), 80)
		dead := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, i + 101}), 80)
		if err := serve(lab, good, link.Path{Delay: oneWay}, netlab.Read()); err != nil {
			return p, err
		}
		if err := lab.SetPath(dead.Addr(), link.Path{State: link.Blackhole}); err != nil {
			return p, err
		}
		p.good, p.dead = append(p.good, good), append(p.dead, dead)
	}
	for i := range probeWidth {
		at := netip.AddrPortFrom(nth([2]byte{198, 18}, i), 80)
		if err := serve(lab, at, link.Path{Delay: oneWay}, netlab.Read()); err != nil {
			return p, err
		}
		p.many = append(p.many, at)
	}
	return p, nil
}

// serve makes a host of the lab.
func serve(lab *netlab.Lab, at netip.AddrPort, p link.Path, b netlab.Behaviour) error {
	if err := lab.SetPath(at.Addr(), p); err != nil {
		return err
	}
	_, err := lab.Serve(at, b)
	return err
}
