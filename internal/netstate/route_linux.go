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
func (r *routes) source(dst netip.AddrPort) netip.Addr {
	fd, ok := r.socket(dst.Addr())
	if !ok {
		return netip.Addr{}
	}
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
	family, domain := 0, unix.AF_INET
	if dst.Is6() {
		family, domain = 1, unix.AF_INET6
	}
	if !r.open[family] {
		fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, false
		}
		r.open[family], r.sockets[family] = true, fd
	}
	return r.sockets[family], true
}

func (r *routes) close() {
	for family, fd := range r.sockets {
		if r.open[family] {
			_ = unix.Close(fd) // nothing is lost
			r.open[family] = false
		}
	}
}
