package netlab_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
)

func TestFreePortIsSharedByHosts(t *testing.T) {
	t.Parallel()
	any0(t, v6)
	port, err := netlab.FreePort(v4, v6, v4)
	must(t, err)
	for _, addr := range []netip.Addr{v4, v6} {
		h := start(t, netlab.Accept, netip.AddrPortFrom(addr, port))
		if want := netip.AddrPortFrom(addr, port); h.Addr() != want {
			t.Errorf("host is at %v, want %v", h.Addr(), want)
		}
		mustDial(t, h.Addr())
	}
}

func TestFreePortErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		addrs []netip.Addr
		says  string
	}{
		{"no address", nil, "name the addresses"},
		{"not loopback", []netip.Addr{netip.MustParseAddr("192.0.2.1")}, "use one of 127.0.0.0/8"},
		{"zero address", []netip.Addr{{}}, "use one of 127.0.0.0/8"},
		{"second not loopback", []netip.Addr{v4, netip.IPv4Unspecified()}, "use one of 127.0.0.0/8"},
	} {
		port, err := netlab.FreePort(c.addrs...)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: port %d, error %v; want one that says %q", c.name, port, err, c.says)
		}
	}
}
