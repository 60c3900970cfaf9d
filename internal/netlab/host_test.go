package netlab_test

import (
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
)

func TestAcceptCounts(t *testing.T) {
	t.Parallel()
	for _, addr := range []netip.Addr{v4, v6} {
		t.Run(addr.String(), func(t *testing.T) {
			t.Parallel()
			h := start(t, netlab.Accept, any0(t, addr))
			counts := func(accepted, open int) {
				t.Helper()
				eventually(t, "accepted and open", func() bool {
					return h.Accepted() == accepted && h.Open() == open
				})
			}
			counts(0, 0)
			a, b := mustDial(t, h.Addr()), mustDial(t, h.Addr())
			counts(2, 2)
			_, err := a.Write([]byte("read and forgotten"))
			must(t, err)
			must(t, a.Close())
			counts(2, 1)
			must(t, b.(*net.TCPConn).SetLinger(0))
			must(t, b.Close())
			counts(2, 0)
		})
	}
}

// A client that closes its half sees the server close the other, as from any
// healthy one.
func TestAcceptClosesAfterThePeer(t *testing.T) {
	t.Parallel()
	h := start(t, netlab.Accept, any0(t, v4))
	c := mustDial(t, h.Addr())
	must(t, c.(*net.TCPConn).CloseWrite())
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	if _, err := c.Read(make([]byte, 1)); err == nil || err.Error() != "EOF" {
		t.Errorf("reading ends with %v, want EOF", err)
	}
}

func TestCloseResetsWhatIsOpen(t *testing.T) {
	t.Parallel()
	h := start(t, netlab.Accept, fixedPort(t))
	c := mustDial(t, h.Addr())
	eventually(t, "accepted", func() bool { return h.Accepted() == 1 })
	must(t, h.Close())
	must(t, h.Close())
	if h.Open() != 0 || h.Accepted() != 1 {
		t.Errorf("after Close %d are open and %d accepted, want 0 and 1", h.Open(), h.Accepted())
	}
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err := c.Read(make([]byte, 1))
	mustBe(t, err, syscall.ECONNRESET)
	start(t, netlab.Accept, h.Addr()) // its port is free again
}

func TestHostErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	taken := start(t, netlab.Accept, any0(t, v4))
	_, inUse := netlab.Accept(taken.Addr())
	mustBe(t, inUse, syscall.EADDRINUSE)
	_, abroad := netlab.Accept(netip.MustParseAddrPort("192.0.2.1:0"))
	_, everywhere := netlab.Accept(netip.MustParseAddrPort("[::]:0"))
	_, dns := netlab.StartDNS(netip.MustParseAddrPort("0.0.0.0:0"))
	for _, c := range []struct {
		err  error
		says string
	}{
		{inUse, "use port 0 or one from FreePort"},
		{abroad, "use one of 127.0.0.0/8"},
		{everywhere, "use one of 127.0.0.0/8"},
		{dns, "use one of 127.0.0.0/8"},
		{taken.Drain(), "make it with Swallow"},
		{taken.Refill(), "make it with Swallow"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("error %v does not say %q", c.err, c.says)
		}
	}
}
