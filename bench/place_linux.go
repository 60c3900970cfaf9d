package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
)

// maxWidth is how many endpoints the widest race has.
const maxWidth = 32

// oneWay is the delay of the lab link; a handshake takes twice as long.
const oneWay = 2500 * time.Microsecond

// loopbackName is the place without a link.
const loopbackName = "loopback"

// place has endpoints that connect and such that swallow every SYN.
type place struct {
	name       string
	good, dead []netip.AddrPort // maxWidth each
}

// benchCase is what the programs do: races of all Endpoints at once, InFlight of them
// side by side. One endpoint is a plain connect.
type benchCase struct {
	Place, Name string
	Width       int
	Endpoints   []netip.AddrPort
	InFlight    int
}

func (c benchCase) title() string { return c.Place + ": " + c.Name }

func (p place) cases() []benchCase {
	const connects, races = 64, 8 // in flight
	cases := []benchCase{{p.name, "connect", 1, p.good[:1], connects}}
	for _, n := range []int{2, 8, maxWidth} {
		cases = append(cases,
			benchCase{p.name, fmt.Sprintf("race of %d, all good", n), n, p.good[:n], races},
			benchCase{p.name, fmt.Sprintf("race of %d, one good", n), n, slices.Concat(p.dead[:n-1], p.good[:1]), races})
	}
	return cases
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
	return p, nil
}

// listenDeferred is the cheapest live peer: a listener that accepts nothing, and
// whose kernel makes no socket for a client that sends nothing.
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
	listener, err := config.Listen(context.Background(), "tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return netip.AddrPort{}, err
	}
	open = append(open, listener)
	return listener.Addr().(*net.TCPAddr).AddrPort(), nil
}

// open keeps the servers on loopback from the garbage collector, which would close
// their sockets.
var open []io.Closer

func openLink(lab *netlab.Lab) (place, error) {
	p := place{name: fmt.Sprintf("lab link with a handshake of %v", 2*oneWay)}
	for i := range byte(maxWidth) {
		good := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, i + 1}), 80)
		dead := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, i + 1}), 80)
		if err := lab.SetPath(good.Addr(), link.Path{Delay: oneWay}); err != nil {
			return p, err
		}
		if err := lab.SetPath(dead.Addr(), link.Path{State: link.Blackhole}); err != nil {
			return p, err
		}
		if _, err := lab.Serve(good, netlab.Read()); err != nil {
			return p, err
		}
		p.good, p.dead = append(p.good, good), append(p.dead, dead)
	}
	return p, nil
}
