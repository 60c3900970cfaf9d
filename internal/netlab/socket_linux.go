//go:build linux

package netlab

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a TCP socket's descriptor: not blocking, closed on exec, and known
// to nobody but its owner.
type socket int

func newSocket(family int) (socket, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	return socket(fd), os.NewSyscallError("socket", err)
}

// bind returns a socket of the place, bound to at.
func (p place) bind(at netip.AddrPort) (socket, error) {
	at, err := p.check(at)
	if err != nil {
		return -1, err
	}
	s := socket(-1)
	err = p.do(func() (err error) {
		s, err = bind(at)
		return err
	})
	return s, err
}

// connect returns a socket of the place that is connecting to at.
func (p place) connect(at netip.AddrPort) (socket, error) {
	s := socket(-1)
	err := p.do(func() (err error) {
		s, err = connect(at)
		return err
	})
	return s, err
}

// bind: as with every listener of Go, connections of earlier owners in TIME_WAIT
// do not make the port a taken one.
func bind(at netip.AddrPort) (socket, error) {
	family, sa := sockaddr(at)
	s, err := newSocket(family)
	if err != nil {
		return -1, err
	}
	err = errors.Join(
		os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)),
		os.NewSyscallError("bind", unix.Bind(int(s), sa)))
	if err != nil {
		_ = s.Close()
		return -1, err
	}
	return s, nil
}

func connect(at netip.AddrPort) (socket, error) {
	family, sa := sockaddr(at)
	s, err := newSocket(family)
	if err != nil {
		return -1, err
	}
	err = unix.Connect(int(s), sa)
	if err != nil && !errors.Is(err, unix.EINPROGRESS) && !errors.Is(err, unix.EINTR) {
		_ = s.Close()
		return -1, os.NewSyscallError("connect", err)
	}
	return s, nil
}

// hold takes the address for good. A socket that may share its address does so
// with any other of that kind as long as nobody listens.
func (s socket) hold() error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_REUSEADDR, 0))
}

// listener turns s into a listener of Go, which takes over the descriptor.
func (s socket) listener(backlog int) (*net.TCPListener, error) {
	f := os.NewFile(uintptr(s), "listener")
	defer func() { _ = f.Close() }() // Go has its own copy
	if err := unix.Listen(int(s), backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return ln.(*net.TCPListener), nil
}

// connected waits for a connecting socket, and reports whether it connected
// within limit. The error is the one the connect ended with.
func (s socket) connected(limit time.Duration) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(s), Events: unix.POLLOUT}}
	for deadline := time.Now().Add(limit); ; {
		wait := max(0, time.Until(deadline))
		n, err := unix.Poll(fds, int(wait.Milliseconds()))
		switch {
		case err == unix.EINTR:
			// A signal, often one of Go's own to preempt this thread.
		case err != nil:
			return false, os.NewSyscallError("poll", err)
		case n > 0:
			return s.outcome()
		default:
			return false, nil
		}
	}
}

// outcome asks a socket that poll has named whether its connect succeeded.
func (s socket) outcome() (bool, error) {
	code, err := unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return false, os.NewSyscallError("getsockopt", err)
	}
	if code != 0 {
		return false, os.NewSyscallError("connect", unix.Errno(code))
	}
	return true, nil
}

func (s socket) localAddr() (netip.AddrPort, error) {
	sa, err := unix.Getsockname(int(s))
	if err != nil {
		return netip.AddrPort{}, os.NewSyscallError("getsockname", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, os.NewSyscallError("getsockname", unix.EAFNOSUPPORT)
}

// Close resets a connection, so that it leaves no TIME_WAIT.
func (s socket) Close() error {
	_ = unix.SetsockoptLinger(int(s), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 0})
	return os.NewSyscallError("close", unix.Close(int(s)))
}

func sockaddr(at netip.AddrPort) (family int, sa unix.Sockaddr) {
	if at.Addr().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Addr: at.Addr().As16(), Port: int(at.Port())}
}
