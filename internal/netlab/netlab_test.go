package netlab_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
)

var (
	v4 = netip.MustParseAddr("127.0.0.1")
	v6 = netip.IPv6Loopback()
)

// patience is how long a test waits for what must happen: long enough for a
// busy machine, and far below the test's own limit.
const patience = 5 * time.Second

// any0 is addr with port 0. It skips the test where the machine lacks addr.
func any0(t *testing.T, addr netip.Addr) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Skipf("this machine has no %v", addr)
	}
	must(t, err)
	must(t, ln.Close())
	return netip.AddrPortFrom(addr, 0)
}

// start makes a host that is closed when the test ends.
func start(t *testing.T, behave func(netip.AddrPort) (*netlab.Host, error), at netip.AddrPort) *netlab.Host {
	t.Helper()
	h, err := behave(at)
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	return h
}

// dial connects within limit, and closes the connection when the test ends.
func dial(t *testing.T, to netip.AddrPort, limit time.Duration) (net.Conn, error) {
	t.Helper()
	c, err := net.DialTimeout("tcp", to.String(), limit)
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func mustDial(t *testing.T, to netip.AddrPort) net.Conn {
	t.Helper()
	c, err := dial(t, to, patience)
	must(t, err)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustBe(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error is %v, want %v", err, target)
	}
}

// eventually waits for what another goroutine or the kernel is about to do.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}
