package racer

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/racer/sched"
)

// A name server that this host has no route to, or whose route forbids it, has not been
// asked and is not to blame.
func TestNoRouteToTheNameServer(t *testing.T) {
	netlabtest.Need(t)
	const server = "203.0.113.53:53"
	for _, c := range []struct {
		route int // to the server; 0: none
		errno string
		says  string
	}{
		{0, "ENETUNREACH", "this host has no route to the name server " + server},
		{unix.RTN_UNREACHABLE, "EHOSTUNREACH", "a route of this host forbids the name server " + server},
		{unix.RTN_PROHIBIT, "EACCES", "a route of this host forbids the name server " + server},
	} {
		t.Run(c.errno, func(t *testing.T) {
			to := netip.MustParseAddrPort(server)
			if c.route != 0 {
				forbid(t, to.Addr(), c.route)
			}
			r := New(Config{DNSServer: to})
			defer r.Close()
			result, err := r.Race(t.Context(), RaceRequest{Target: Target{Name: "one.example.:443"}})
			must(t, err)
			checkRace(t, result)
			if result.End != sched.EndResolutionFailed || len(result.Queries) != 2 {
				t.Errorf("it is %s after %d queries", result.End, len(result.Queries))
			}
			for _, q := range result.Queries {
				if f := q.Failure; f.Fault != sched.FaultHost || f.Errno != c.errno || !strings.HasPrefix(f.Text, c.says) {
					t.Errorf("%s: %+v, want %q, this host's fault", q.Type, f, c.says)
				}
			}
		})
	}
}

// forbid gives this host a route to addr that forbids it.
func forbid(t *testing.T, addr netip.Addr, kind int) {
	t.Helper()
	route := &netlink.Route{Dst: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(32, 32)}, Type: kind}
	must(t, netlink.RouteAdd(route))
	t.Cleanup(func() { must(t, netlink.RouteDel(route)) })
}
