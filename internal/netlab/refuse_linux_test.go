//go:build linux

package netlab_test

import (
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
)

var v4b = netip.MustParseAddr("127.0.0.2")

func TestRefuse(t *testing.T) {
	t.Parallel()
	for _, addr := range []netip.Addr{v4, v4b, v6} {
		t.Run(addr.String(), func(t *testing.T) {
			t.Parallel()
			h := start(t, netlab.Refuse, any0(t, addr))
			for range 3 {
				_, err := dial(t, h.Addr(), patience)
				mustBe(t, err, syscall.ECONNREFUSED)
			}
			if h.Accepted() != 0 || h.Open() != 0 {
				t.Errorf("accepted %d, open %d; want none", h.Accepted(), h.Open())
			}
			if h.Drain() == nil || h.Refill() == nil {
				t.Error("Drain and Refill work on a host that refuses")
			}
		})
	}
}

// Nobody else gets the port of a host that refuses, whoever asks.
func TestRefuseHoldsItsPort(t *testing.T) {
	t.Parallel()
	h := start(t, netlab.Refuse, fixedPort(t))
	for _, behave := range []func(netip.AddrPort) (*netlab.Host, error){
		netlab.Accept, netlab.Refuse, netlab.Swallow,
	} {
		other, err := behave(h.Addr())
		if err == nil {
			other.Close()
		}
		mustBe(t, err, syscall.EADDRINUSE)
	}
	_, err := dial(t, h.Addr(), patience)
	mustBe(t, err, syscall.ECONNREFUSED)
	must(t, h.Close())
	mustDial(t, start(t, netlab.Accept, h.Addr()).Addr())
}

// A port with a connection in TIME_WAIT can become one that refuses.
func TestRefuseAfterTimeWait(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", fixedPort(t).String())
	must(t, err)
	defer ln.Close()
	at := netip.MustParseAddrPort(ln.Addr().String())
	client := mustDial(t, at)
	served, err := ln.Accept()
	must(t, err)
	must(t, served.Close()) // this end first: TIME_WAIT will be on the port
	must(t, client.Close())
	must(t, ln.Close())
	h := start(t, netlab.Refuse, at)
	_, err = dial(t, h.Addr(), patience)
	mustBe(t, err, syscall.ECONNREFUSED)
}
