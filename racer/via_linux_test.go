package racer

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// byway gives this host a second way out, which only an interface, a mark or a DSCP leads to,
// with addresses of its own.
func byway(t *testing.T, name string, mark uint32, dscp uint8, addrs ...netip.Prefix) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name + "-far"}))
	link, err := netlink.LinkByName(name)
	must(t, err)
	t.Cleanup(func() { must(t, netlink.LinkDel(link)) })
	far, err := netlink.LinkByName(name + "-far")
	must(t, err)
	must(t, netlink.LinkSetUp(far)) // else the near end has no carrier, and its addresses no use
	must(t, netlink.LinkSetUp(link))
	const table = 100
	for _, p := range addrs {
		family, all, bits := netlink.FAMILY_V4, net.IPv4zero, 32
		if p.Addr().Is6() {
			family, all, bits = netlink.FAMILY_V6, net.IPv6zero, 128
		}
		own := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), bits)}
		must(t, netlink.AddrAdd(link, &netlink.Addr{IPNet: own, Flags: 0x02})) // IFA_F_NODAD: of use at once
		everywhere := &net.IPNet{IP: all, Mask: net.CIDRMask(0, bits)}
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: everywhere, Table: table, Family: family}))
		marked, classed := netlink.NewRule(), netlink.NewRule()
		marked.Family, marked.Table, marked.Mark = family, table, mark
		classed.Family, classed.Table, classed.Tos = family, table, uint(dscp)<<2
		for _, rule := range []*netlink.Rule{marked, classed} {
			must(t, netlink.RuleAdd(rule))
			t.Cleanup(func() { must(t, netlink.RuleDel(rule)) })
		}
	}
}

// The source shown, which the order goes by, is the one that packets have on the way
// that was asked for. A way that is not there has none, and says so when it is tried.
func TestSourceOfTheWayThatWasAskedFor(t *testing.T) {
	netlabtest.Need(t)
	// Older kernels compare three bits of a DSCP in rules, the low ones.
	const mark, dscp = 77, 4
	own4, own6 := netip.MustParsePrefix("192.0.2.9/24"), netip.MustParsePrefix("2001:db8:9::9/64")
	byway(t, "way1", mark, dscp, own4, own6)
	target := Target{Candidates: []CandidateSpec{{Endpoint: "192.0.2.80:80"}, {Endpoint: "[2001:db8:9::80]:80"}, {Endpoint: "203.0.113.80:80"}, {Endpoint: "[2001:db8:a::80]:80"}}}
	r := New(Config{})
	defer r.Close()
	for _, c := range []struct {
		what   string
		source Source
		known  [4]bool // which candidates have one
	}{
		{"nothing", Source{}, [4]bool{true, true, false, false}},
		{"no interface", Source{Interface: "way2"}, [4]bool{}},
		// Linux takes all IPv4 for on-link that no route leads to through the interface.
		{"the interface", Source{Interface: "way1"}, [4]bool{true, true, true, false}},
		{"the mark", Source{Mark: mark}, [4]bool{true, true, true, true}},
		{"both", Source{Interface: "way1", Mark: mark}, [4]bool{true, true, true, true}},
		{"another mark", Source{Mark: mark + 1}, [4]bool{true, true, false, false}},
		{"the DSCP", Source{DSCP: dscp}, [4]bool{true, true, true, true}},
		{"all", Source{Interface: "way1", Mark: mark, DSCP: dscp}, [4]bool{true, true, true, true}},
		{"another DSCP", Source{DSCP: dscp + 1}, [4]bool{true, true, false, false}},
	} {
		t.Run(c.what, func(t *testing.T) {
			result, err := r.ResolveAndRank(t.Context(), RankRequest{Target: target, Options: Options{Source: c.source}})
			must(t, err)
			for _, x := range result.Candidates {
				want := netip.Addr{}
				if c.known[x.Index] {
					want = own4.Addr()
					if x.Family() == addrsel.FamilyIPv6 {
						want = own6.Addr()
					}
				}
				if x.Source != want {
					t.Errorf("to %s it is %s, want %s", x.Endpoint, x.Source, want)
				}
			}
		})
	}
	race, err := r.Race(t.Context(), RaceRequest{Target: target, Options: Options{Source: Source{Interface: "way2"}}})
	must(t, err)
	for _, x := range race.Candidates {
		if f := x.Attempts[0].Failure; f.Fault != sched.FaultHost || !strings.Contains(f.Text, `no interface "way2"`) {
			t.Errorf("the failure is %+v", f)
		}
	}
}

// An attempt takes the way that its source was looked up on: without a DSCP two of the
// addresses have none.
func TestAttemptsTakeTheWayOfTheirDSCP(t *testing.T) {
	netlabtest.Need(t)
	byway(t, "way4", 79, 6, netip.MustParsePrefix("192.0.2.9/24"), netip.MustParsePrefix("2001:db8:9::9/64"))
	r := New(Config{})
	defer r.Close()
	for dscp, fault := range map[uint8]sched.Fault{0: sched.FaultHost, 6: sched.FaultTarget} {
		probe, err := r.Probe(t.Context(), ProbeRequest{
			Target:  Target{Candidates: []CandidateSpec{{Endpoint: "203.0.113.80:80"}, {Endpoint: "[2001:db8:a::80]:80"}}},
			Options: ProbeOptions{Source: Source{DSCP: dscp}, AttemptTimeout: 100 * ms},
		})
		must(t, err)
		for _, c := range probe.Report.Candidates {
			if f := c.Attempts[0].Failure; f.Fault != fault || c.Source.IsValid() != (dscp != 0) {
				t.Errorf("with the DSCP %d to %s from %s the failure is %+v", dscp, c.Endpoint, c.Source, f)
			}
		}
	}
}

// What this host's own routes forbid is its own trouble, and counts against nobody.
func TestRoutesThatForbid(t *testing.T) {
	netlabtest.Need(t)
	byway(t, "way3", 78, 5, netip.MustParsePrefix("192.0.2.9/24"), netip.MustParsePrefix("2001:db8:9::9/64"))
	r := New(Config{})
	defer r.Close()
	for kind, errno := range map[int]string{unix.RTN_UNREACHABLE: "EHOSTUNREACH", unix.RTN_PROHIBIT: "EACCES", unix.RTN_BLACKHOLE: "EINVAL"} {
		for _, to := range []netip.Addr{netip.MustParseAddr("203.0.113.80"), netip.MustParseAddr("2001:db8:a::80")} {
			family := netlink.FAMILY_V4
			if to.Is6() {
				family = netlink.FAMILY_V6
			}
			route := &netlink.Route{
				Dst: &net.IPNet{IP: to.AsSlice(), Mask: net.CIDRMask(to.BitLen(), to.BitLen())}, Type: kind, Family: family,
			}
			must(t, netlink.RouteAdd(route))
			probe, err := r.Probe(t.Context(), ProbeRequest{Target: Target{Candidates: []CandidateSpec{{Endpoint: netip.AddrPortFrom(to, 80).String()}}}})
			must(t, err)
			must(t, netlink.RouteDel(route))
			c := probe.Report.Candidates[0]
			if f := c.Attempts[0].Failure; f.Fault != sched.FaultHost || f.Errno != errno || f.Text == "" {
				t.Errorf("to %s the failure is %+v, want %s", to, f, errno)
			}
			if probe.Report.Verdict != Inconclusive || c.Stats.HostFailures != 1 {
				t.Errorf("to %s it is %s with %+v", to, probe.Report.Explain(), c.Stats)
			}
		}
	}
}
