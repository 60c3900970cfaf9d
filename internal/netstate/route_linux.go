package netstate

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/rawsock"
)

// routes asks the kernel for routes, with one UDP socket for each family that is
// connected again and again. The zero value is ready to use.
type routes struct {
	open    [2]bool // by family: IPv4, IPv6
	sockets [2]int
}

// source is the address packets to dst would leave from; the zero address: none.
func (r *routes) source(dst netip.AddrPort, via Via) netip.Addr {
	if via != (Via{}) {
		return sourceVia(dst, via)
	}
	fd, ok := r.socket(dst.Addr())
	if !ok {
		return netip.Addr{}
	}
	return ask(fd, dst)
}

// sourceVia asks with a socket of its own: an interface stays with a socket.
func sourceVia(dst netip.AddrPort, via Via) netip.Addr {
	fd, err := newSocket(dst.Addr())
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = unix.Close(fd) }() // nothing is lost
	if via.Interface != "" {
		err = rawsock.LeaveThrough(fd, via.Interface)
	}
	if err == nil && via.Mark != 0 {
		err = rawsock.Mark(fd, via.Mark)
	}
	if err == nil && via.DSCP != 0 {
		err = rawsock.DSCP(fd, dst.Addr().Is6(), via.DSCP)
	}
	if err != nil {
		return netip.Addr{}
	}
	return ask(fd, dst)
}

// ask has the kernel choose.
func ask(fd int, dst netip.AddrPort) netip.Addr {
	errno := rawsock.Connect(fd, dst)
	local := rawsock.LocalEnd(fd)
	// Without this the socket would keep the source of the first destination.
	rawsock.Dissolve(fd)
	if errno != 0 {
		return netip.Addr{}
	}
	return local.Addr()
}

// socket returns the socket for an address's family.
func (r *routes) socket(dst netip.Addr) (fd int, ok bool) {
	family := 0
	if dst.Is6() {
		family = 1
	}
	if !r.open[family] {
		fd, err := newSocket(dst)
		if err != nil {
			return 0, false
		}
		r.open[family], r.sockets[family] = true, fd
	}
	return r.sockets[family], true
}

func newSocket(dst netip.Addr) (fd int, err error) {
	domain := unix.AF_INET
	if dst.Is6() {
		domain = unix.AF_INET6
	}
	return unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
}

func (r *routes) close() {
	for family, fd := range r.sockets {
		if r.open[family] {
			_ = unix.Close(fd) // nothing is lost
			r.open[family] = false
		}
	}
}
