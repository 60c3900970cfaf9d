package racer

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/connrace/connrace/racer/sched"
)

var (
	bound4 = netip.MustParseAddr("192.0.2.77")
	bound6 = netip.MustParseAddr("2001:db8::77")
)

// Where attempts leave from an address of one family, the other family is not asked
// for, its literals are skipped and say why, and nobody goes there. What is tried says
// that it leaves from there, in a race, in a ranking and in a probe.
func TestBoundToOneFamily(t *testing.T) {
	for _, c := range []struct {
		source  Source
		asked   []sched.RecordType
		skipped []string
	}{
		{Source{}, []sched.RecordType{sched.AAAA, sched.A}, nil},
		{Source{Interface: "eth0", Mark: 1, DSCP: 1}, []sched.RecordType{sched.AAAA, sched.A}, nil},
		{Source{IPv4: bound4}, []sched.RecordType{sched.A}, []string{"[2001:db8::1]:443"}},
		{Source{IPv6: bound6}, []sched.RecordType{sched.AAAA}, []string{"192.0.2.1:443"}},
		{Source{IPv4: bound4, IPv6: bound6}, []sched.RecordType{sched.AAAA, sched.A}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.resolves("two.example", sched.AAAA, 1*ms, "2001:db8::2")
			n.resolves("two.example", sched.A, 1*ms, "192.0.2.2")
			target := Target{Candidates: []CandidateSpec{
				{Endpoint: "[2001:db8::1]:443"}, {Endpoint: "192.0.2.1:443"}, {Endpoint: "two.example:443"},
			}}
			for _, e := range []string{"[2001:db8::1]:443", "192.0.2.1:443", "[2001:db8::2]:443", "192.0.2.2:443"} {
				n.host(e, refuses(1*ms))
			}
			want := map[bool]netip.Addr{true: source4, false: source6}
			if c.source.IPv4.IsValid() || c.source.IPv6.IsValid() {
				want = map[bool]netip.Addr{true: c.source.IPv4, false: c.source.IPv6}
			}
			check := func(what string, cs []Candidate, queries []Query) {
				var skipped []string
				for i := range cs {
					f := &cs[i]
					switch {
					case f.Outcome != sched.OutcomeSkipped && f.Source != want[f.Endpoint.Addr().Is4()]:
						t.Errorf("%s from %+v: %s leaves from %s", what, c.source, f.Endpoint, f.Source)
					case f.Skip == sched.SkipSource:
						skipped = append(skipped, f.Endpoint.String())
						if f.Source.IsValid() {
							t.Errorf("%s from %+v: %s is skipped, and leaves from %s", what, c.source, f.Endpoint, f.Source)
						}
					}
				}
				var asked []sched.RecordType
				for _, q := range queries {
					asked = append(asked, q.Type)
				}
				if !slices.Equal(skipped, c.skipped) || !slices.Equal(asked, c.asked) {
					t.Errorf("%s from %+v: asked for %v, skipped are %v", what, c.source, asked, skipped)
				}
			}
			r := raceIn(t, n, RaceRequest{Target: target, Options: Options{Source: c.source}})
			check("a race", r.Candidates, r.Queries)
			if r.Options.Source != c.source {
				t.Errorf("in effect is %+v", r.Options.Source)
			}
			ranked, err := n.racer().ResolveAndRank(t.Context(), RankRequest{Target: target, Options: Options{Source: c.source}})
			must(t, err)
			check("a ranking", ranked.Candidates, ranked.Queries)
			probed := probe(t.Context(), t, n, ProbeRequest{Target: target, Options: ProbeOptions{Source: c.source}})
			var cs []Candidate
			for _, p := range probed.Report.Candidates {
				cs = append(cs, p.Candidate)
			}
			check("a probe", cs, probed.Queries)
			for _, to := range n.dialed {
				if slices.Contains(c.skipped, to.String()) {
					t.Errorf("it connected to %s", to)
				}
			}
		})
	}
}

// What the family, the source and the policy leave out is told in that order.
func TestSkipReasonsHaveAnOrder(t *testing.T) {
	n := newNetwork(t)
	p := mustPlan(t, RaceRequest{
		Target: literals(1), Options: Options{Source: Source{IPv4: bound4}},
	})
	e := newEngineIn(t, n, p, false)
	if f := e.gather(origin{port: 443}, netip.MustParseAddr("fe80::1")); f.skip != sched.SkipSource {
		t.Errorf("of the other family and denied: %s", f.skip)
	}
	if f := e.gather(origin{port: 443}, netip.MustParseAddr("169.254.0.1")); f.skip != sched.SkipDenied {
		t.Errorf("denied: %s", f.skip)
	}
	if f := e.gather(origin{port: 443}, netip.MustParseAddr("::ffff:192.0.2.1")); f.skip != sched.SkipNone || f.source != bound4 {
		t.Errorf("IPv4-mapped: %s from %s", f.skip, f.source)
	}
}

// What is wrong with a source, a criterion and a caller is told of each field, in a
// race and in a probe, in the same words.
func TestManner(t *testing.T) {
	long := strings.Repeat("x", MaxCallerLength)
	for _, c := range []struct {
		name      string
		source    Source
		criterion Criterion
		caller    string
		want      []FieldError
	}{
		{name: "nothing"},
		{
			name:      "the most",
			source:    Source{IPv4: bound4, IPv6: bound6, Interface: strings.Repeat("i", 15), Mark: 1<<32 - 1, DSCP: MaxDSCP},
			criterion: Criterion{TLS: &TLSCheck{ServerName: "site.example", ALPN: []string{"a", "\xff"}}, HTTP: &HTTPCheck{Method: "HEAD", Path: "/a?b", Statuses: []int{101, 599}}},
			caller:    strings.Repeat("ü", MaxCallerLength),
		},
		{name: "IPv6 for IPv4", source: Source{IPv4: bound6}, want: []FieldError{{"options.source.bind_addresses", "has 2001:db8::77, which is no IPv4 address"}}},
		{name: "a zone", source: Source{IPv6: netip.MustParseAddr("fe80::1%eth0")}, want: []FieldError{{
			"options.source.bind_addresses", "has fe80::1%eth0, an address with a zone; leave the zone out and set the interface",
		}}},
		{name: "IPv4 for IPv6", source: Source{IPv6: bound4}, want: []FieldError{{"options.source.bind_addresses", "has 192.0.2.77, which is no IPv6 address"}}},
		{
			name: "mapped", source: Source{IPv4: netip.MustParseAddr("::ffff:192.0.2.77"), IPv6: netip.MustParseAddr("::ffff:192.0.2.77")},
			want: []FieldError{
				{"options.source.bind_addresses", "has ::ffff:192.0.2.77, which is no IPv4 address"},
				{"options.source.bind_addresses", "has ::ffff:192.0.2.77, which is no IPv6 address"},
			},
		},
		{name: "interface", source: Source{Interface: strings.Repeat("i", 16)}, want: []FieldError{{"options.source.interface", "is 16 bytes long; 15 are allowed"}}},
		{name: "any IPv4", source: Source{IPv4: netip.IPv4Unspecified()}, want: []FieldError{{
			"options.source.bind_addresses", "has 0.0.0.0, the unspecified address; allowed is one that a host has, or none",
		}}},
		{name: "any IPv6", source: Source{IPv4: bound4, IPv6: netip.IPv6Unspecified()}, want: []FieldError{{
			"options.source.bind_addresses", "has ::, the unspecified address; allowed is one that a host has, or none",
		}}},
		{name: "many hosts", source: Source{IPv4: netip.MustParseAddr("224.0.0.1"), IPv6: netip.MustParseAddr("ff02::1")}, want: []FieldError{
			{"options.source.bind_addresses", "has 224.0.0.1, a multicast address; allowed is one that a host has, or none"},
			{"options.source.bind_addresses", "has ff02::1, a multicast address; allowed is one that a host has, or none"},
		}},
		{name: "all hosts", source: Source{IPv4: netip.MustParseAddr("255.255.255.255")}, want: []FieldError{{
			"options.source.bind_addresses", "has 255.255.255.255, the broadcast address; allowed is one that a host has, or none",
		}}},
		{name: "loopback and private", source: Source{IPv4: netip.MustParseAddr("127.0.0.1"), IPv6: netip.MustParseAddr("fd00::1")}},
		{name: "NUL in an interface", source: Source{Interface: "lo\x00zzz"}, want: []FieldError{{
			"options.source.interface", `is "lo\x00zzz"; allowed is a name without white space, control characters, '/' and ':'`,
		}}},
		{name: "DSCP", source: Source{DSCP: 64}, want: []FieldError{{"options.source.dscp", "is 64; allowed is 0 to 63"}}},
		{name: "caller", caller: long + "x", want: []FieldError{{"caller_key", "is 101 characters long; 100 are allowed"}}},
		{
			name:      "criterion",
			criterion: Criterion{TLS: &TLSCheck{ServerName: "no name"}, HTTP: &HTTPCheck{Method: "POST", Statuses: []int{99}}, FirstByte: true},
			want: []FieldError{
				{"options.criterion.tls.server_name", `is "no name"; allowed is a name of letters, digits, '-', '_' and '.' (others as in xn--...), or an address`},
				{"options.criterion.http.method", `is "POST"; allowed is GET or HEAD`},
				{"options.criterion.http.success_statuses[0]", "is 99; allowed are 101 and 200 to 599"},
				{"options.criterion.first_byte", "is given beside http; allowed is one of http, grpc_health and first_byte"},
			},
		},
		{
			name: "all of it", source: Source{DSCP: 255}, criterion: Criterion{Health: &HealthCheck{Authority: "a b"}}, caller: long + "xx",
			want: []FieldError{
				{"caller_key", "is 102 characters long; 100 are allowed"},
				{"options.criterion.grpc_health.authority", `is "a b"; allowed is a name of letters, digits, '-', '_' and '.' (others as in xn--...), or an address`},
				{"options.source.dscp", "is 255; allowed is 0 to 63"},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			race := RaceRequest{Target: literals(1), Caller: c.caller, Options: Options{Source: c.source, Criterion: c.criterion}}
			probe := ProbeRequest{Target: literals(1), Caller: c.caller, Options: ProbeOptions{Source: c.source, Criterion: c.criterion}}
			if got := fieldErrors(t, race.Validate()); !slices.Equal(got, c.want) {
				t.Errorf("a race: %q, want %q", got, c.want)
			}
			if got := fieldErrors(t, probe.Validate()); !slices.Equal(got, c.want) {
				t.Errorf("a probe: %q, want %q", got, c.want)
			}
		})
	}
}

// What can't be in an interface's name is refused, and what can is not: names are bytes
// to a kernel, and people give them theirs.
func TestInterfaceNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"": true, "eth0": true, "br-1f2e3d_4c": true, "eth0.100": true, "veth0@if2": true, "häuser": true, "wg%d": true,
		"\x00": false, "lo\x00": false, "\x00lo": false, "lo\x00zzz": false, "lo ": false, " lo": false, "l o": false,
		"lo\n": false, "lo\t": false, "lo\v": false, "lo\x7f": false, "lo\x1b": false, "lo\u00a0": false, "lo\u0085": false, "../lo": false, "/": false, "eth0:1": false,
	} {
		err := RaceRequest{Target: literals(1), Options: Options{Source: Source{Interface: name}}}.Validate()
		if got := fieldErrors(t, err); ok != (len(got) == 0) {
			t.Errorf("%q: problems are %q", name, got)
		} else if !ok {
			wantProblem(t, got, "options.source.interface", "allowed is a name without")
		}
	}
}
