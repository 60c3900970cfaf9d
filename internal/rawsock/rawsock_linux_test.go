package rawsock_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/rawsock"
)

// listen accepts at a free port of an address, or tells that there is no such address.
func listen(t *testing.T, addr string) (net.Listener, netip.AddrPort) {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Skipf("this machine lacks %s: %v; switch IPv6 on", addr, err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln, ln.Addr().(*net.TCPAddr).AddrPort()
}

func socket(t *testing.T, of netip.Addr, kind int) int {
	t.Helper()
	domain := unix.AF_INET
	if of.Is6() {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

var families = []string{"127.0.0.1", "::1"}

// A socket connects, says where from as the peer sees it, is dissolved with a reset,
// and connects again.
func TestConnectAndDissolve(t *testing.T) {
	for _, addr := range families {
		t.Run(addr, func(t *testing.T) {
			ln, at := listen(t, addr)
			fd := socket(t, at.Addr(), unix.SOCK_STREAM)
			for range 3 {
				if errno := rawsock.Connect(fd, at); errno != 0 && errno != unix.EINPROGRESS {
					t.Fatal(errno)
				}
				peer, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				if got, want := rawsock.LocalEnd(fd), peer.RemoteAddr().(*net.TCPAddr).AddrPort(); got != want {
					t.Errorf("it is from %s, and the peer says %s", got, want)
				}
				if errno := rawsock.Dissolve(fd); errno != 0 {
					t.Errorf("dissolving says %v", errno)
				}
				if n, err := peer.Read(make([]byte, 1)); n != 0 || err == nil || err.Error() == "EOF" {
					t.Errorf("the peer reads %v, want a reset", err)
				}
				if got := rawsock.LocalEnd(fd); !got.Addr().IsUnspecified() { // its port it still names
					t.Errorf("dissolved it is still from %s", got)
				}
				_ = peer.Close()
			}
		})
	}
}

// A port that is closed refuses, at once on loopback or soon.
func TestConnectIsRefused(t *testing.T) {
	for _, addr := range families {
		t.Run(addr, func(t *testing.T) {
			at := closed(t, addr)
			fd := socket(t, at.Addr(), unix.SOCK_STREAM)
			errno := rawsock.Connect(fd, at)
			if errno == unix.EINPROGRESS {
				awaitEnd(t, fd)
				pending, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
				if err != nil {
					t.Fatal(err)
				}
				errno = unix.Errno(pending)
			}
			if errno != unix.ECONNREFUSED {
				t.Errorf("it says %v", errno)
			}
		})
	}
}

// closed is a port at which nobody listens and which nobody else gets: it is bound.
func closed(t *testing.T, addr string) netip.AddrPort {
	t.Helper()
	of := netip.MustParseAddr(addr)
	fd := socket(t, of, unix.SOCK_STREAM)
	sa := unix.Sockaddr(&unix.SockaddrInet6{Addr: of.As16()})
	if of.Is4() {
		sa = &unix.SockaddrInet4{Addr: of.As4()}
	}
	if err := unix.Bind(fd, sa); err != nil {
		t.Skipf("this machine lacks %s: %v; switch IPv6 on", addr, err)
	}
	return rawsock.LocalEnd(fd)
}

// awaitEnd waits until a connect is over. A signal with which Go preempts this thread
// may end a poll.
func awaitEnd(t *testing.T, fd int) {
	t.Helper()
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 10_000)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Of UDP it sets the peer, and thereby the address this host would send from.
func TestConnectUDP(t *testing.T) {
	for _, addr := range families {
		t.Run(addr, func(t *testing.T) {
			_, at := listen(t, addr)
			fd := socket(t, at.Addr(), unix.SOCK_DGRAM)
			if errno := rawsock.Connect(fd, at); errno != 0 {
				t.Fatal(errno)
			}
			if got := rawsock.LocalEnd(fd); got.Addr() != at.Addr() || got.Port() == 0 {
				t.Errorf("it sends from %s", got)
			}
			if errno := rawsock.Dissolve(fd); errno != 0 {
				t.Errorf("dissolving says %v", errno)
			}
		})
	}
}

// What is no socket has no end, and its errors come back as they are.
func TestNoSocket(t *testing.T) {
	const none = -1
	if got := rawsock.LocalEnd(none); got.IsValid() {
		t.Errorf("it is from %s", got)
	}
	if errno := rawsock.Connect(none, netip.MustParseAddrPort("127.0.0.1:1")); errno != unix.EBADF {
		t.Errorf("connecting says %v", errno)
	}
	if errno := rawsock.Dissolve(none); errno != unix.EBADF {
		t.Errorf("dissolving says %v", errno)
	}
}
