package sim

import (
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/topology"
	"github.com/connrace/connrace/racer/sched"
)

const examples = "../../examples/lab"

// The examples of labs as worlds: what their comments promise a good client, to the
// millisecond. The resolver is a millisecond away, so all times are 2 ms later than
// an address would take.
func TestExamplesOfLabs(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(examples, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	wants := map[string]struct {
		port      uint16
		staggered time.Duration
		atOnce    time.Duration
	}{
		"broken-v6.yaml":        {80, 272 * ms, 22 * ms},
		"lost-syn.yaml":         {80, 272 * ms, 272 * ms},
		"one-of-four-dead.yaml": {80, 272 * ms, 22 * ms},
		"prohibited.yaml":       {80, 42 * ms, 22 * ms},
		"refused-first.yaml":    {80, 42 * ms, 22 * ms},
		"six-addresses.yaml":    {80, 412 * ms, 12 * ms},
		// The Resolution Delay passes at 52.
		"slow-aaaa.yaml": {80, 72 * ms, 72 * ms},
		"slow-tls.yaml":  {443, 22 * ms, 22 * ms}, // nothing after TCP is simulated
	}
	for _, path := range files {
		file := filepath.Base(path)
		t.Run(file, func(t *testing.T) {
			want, listed := wants[file]
			if !listed {
				t.Fatal("no expectations for it; add them")
			}
			lab, err := topology.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			w, err := FromLab(lab, "site.example", want.port)
			if err != nil {
				t.Fatal(err)
			}
			for strategy, at := range map[sched.Strategy]time.Duration{sched.Staggered: want.staggered, sched.AllAtOnce: want.atOnce} {
				if r := Run(w, Racing("", Defaults(strategy))); !r.Connected || r.Time != at {
					t.Errorf("%v: connected after %v (%v), want %v", strategy, r.Time, r.Connected, at)
				}
			}
		})
	}
}

func lab(t *testing.T, lines ...string) *topology.Topology {
	t.Helper()
	found, err := topology.Parse("lab.yaml", []byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Every fact of a path and of an answer finds its place.
func TestFromLab(t *testing.T) {
	w, err := FromLab(lab(t,
		"seed: 7",
		"client: [192.0.2.9/25]",
		"resolver: {delay: 3ms}",
		"hosts:",
		"  - addresses: [198.51.100.1, 198.51.100.2]",
		"    delay: 20ms",
		"    jitter: 4ms",
		"    loss: 10%",
		"    lose_syn: [2]",
		"    ports: {80: http, 81: full-queue, 82: hang}",
		"  - {address: 2001:db8:80::1, delay: 5ms, state: admin-prohibited}",
		"names:",
		"  www.example: {CNAME: site.example}",
		"  site.example:",
		"    A: {addresses: [198.51.100.2, 198.51.100.1], delay: 30ms}",
		"    AAAA: {addresses: [2001:db8:80::1, 2001:db8:80::9], rcode: SERVFAIL}",
		"  other.example:",
		"    A: {drop: true}",
		"    AAAA: {rcode: NXDOMAIN}",
	), "www.example", 80)
	if err != nil {
		t.Fatal(err)
	}
	host := Backend{RTT: 40 * ms, Jitter: 4 * ms, Loss: 0.1, LoseSYN: []int{2}}
	if w.Name != "www.example" || w.Seed != 7 || len(w.Client) != 1 || w.Client[0] != netip.MustParsePrefix("192.0.2.9/25") {
		t.Errorf("world is %+v", w)
	}
	for i, want := range []Backend{v4(1, host), v4(2, host), {
		Addr: netip.MustParseAddr("2001:db8:80::1"), RTT: 10 * ms, State: Unreachable, Errno: syscall.EACCES,
	}} {
		got := w.Backends[i]
		if got.Addr != want.Addr || got.RTT != want.RTT || got.Jitter != want.Jitter || got.Loss != want.Loss ||
			len(got.LoseSYN) != len(want.LoseSYN) || got.State != want.State || got.Errno != want.Errno {
			t.Errorf("backend %d is %+v, want %+v", i, got, want)
		}
	}
	if a := w.A; a.Delay != 36*ms || a.Status != sched.Positive || len(a.Addrs) != 2 || a.Addrs[0] != address4(2) {
		t.Errorf("A is %+v", a)
	}
	if a := w.AAAA; a.Delay != 6*ms || a.Status != sched.Broken || len(a.Addrs) != 0 {
		t.Errorf("AAAA is %+v", a)
	}
}

// What a port does with SYNs.
func TestPortsOfLabs(t *testing.T) {
	file := lab(t,
		"hosts:",
		"  - address: 198.51.100.1",
		"    ports: {80: http, 81: full-queue, 82: hang, 83: reset, 84: stall-tls}",
		"  - {address: 198.51.100.2, state: blackhole, ports: {80: http}}",
		"  - {address: 198.51.100.3, state: tcp-reset, ports: {80: http}}",
	)
	for port, want := range map[uint16][3]State{
		80: {Up, Silent, Refusing}, 81: {Silent, Silent, Refusing}, 82: {Up, Silent, Refusing}, 83: {Up, Silent, Refusing},
		84: {Up, Silent, Refusing}, 85: {Refusing, Silent, Refusing},
	} {
		w, err := FromLab(file, "site.example", port)
		if err != nil {
			t.Fatal(err)
		}
		for i, state := range want {
			if w.Backends[i].State != state {
				t.Errorf("port %d of backend %d is %v, want %v", port, i, w.Backends[i].State, state)
			}
		}
	}
}

// The answers of DNS, those that are none included.
func TestDNSOfLabs(t *testing.T) {
	file := lab(t,
		"resolver: {delay: 3ms}",
		"names:",
		"  a.example: {A: [198.51.100.9]}",
		"  none.example: {A: []}",
		"  nxdomain.example: {A: {rcode: NXDOMAIN}}",
		"  refused.example: {A: {addresses: [198.51.100.9], rcode: REFUSED}}",
		"  drop.example: {A: {drop: true}}",
		"  aaaa.example: {AAAA: ['2001:db8:80::1']}",
		"  alias.example: {CNAME: alias2.example}",
		"  alias2.example: {CNAME: a.example}",
		"  nowhere.example: {CNAME: nosuch.example}",
		"  circle.example: {CNAME: circle.example}",
	)
	for name, want := range map[string]Resolution{
		"a.example":        {Delay: 6 * ms, Addrs: []netip.Addr{address4(9)}},
		"none.example":     {Delay: 6 * ms, Status: sched.NotFound},
		"nxdomain.example": {Delay: 6 * ms, Status: sched.NotFound},
		"refused.example":  {Delay: 6 * ms, Status: sched.Broken},
		"drop.example":     {Dropped: true},
		"aaaa.example":     {Delay: 6 * ms, Status: sched.NotFound},
		"alias.example":    {Delay: 6 * ms, Addrs: []netip.Addr{address4(9)}},
		"nowhere.example":  {Delay: 6 * ms, Status: sched.NotFound},
		"circle.example":   {Delay: 6 * ms, Status: sched.NotFound},
		"nosuch.example":   {Delay: 6 * ms, Status: sched.NotFound},
	} {
		w, err := FromLab(file, name, 80)
		if err != nil {
			t.Fatal(err)
		}
		got := w.A
		if got.Delay != want.Delay || got.Status != want.Status || got.Dropped != want.Dropped || len(got.Addrs) != len(want.Addrs) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	// A lab has no host at the address, and says so at once.
	w, err := FromLab(file, "a.example", 80)
	if err != nil {
		t.Fatal(err)
	}
	want := Result{Time: 6 * ms, Backend: nobody, SYNs: 1}
	if got := Run(w, first); got != want {
		t.Errorf("an address of nobody: %+v, want %+v", got, want)
	}
	silent := lab(t, "resolver: {state: blackhole}")
	if w, err := FromLab(silent, "a.example", 80); err != nil || !w.A.Dropped || !w.AAAA.Dropped {
		t.Errorf("a resolver that is a blackhole: %+v, %v", w, err)
	}
}

// What a world cannot show is an error that says what it is.
func TestWhatNoWorldCanShow(t *testing.T) {
	for lines, want := range map[string]string{
		"resolver: {loss: 1%}":                "the path to the resolver has jitter or loss; the DNS of a simulated world has no luck",
		"resolver: {delay: 2ms, jitter: 1ms}": "the path to the resolver has jitter or loss; the DNS of a simulated world has no luck",
		"resolver: {lose_syn: [1]}":           "the path to the resolver has jitter or loss; the DNS of a simulated world has no luck",
		"names: {site.example: {A: {addresses: [198.51.100.1], truncate: true}}}":     "the A answer for site.example is truncated (truncate); a simulated world has no TCP to ask again by",
		"names: {site.example: {AAAA: {malformed: noise}}}":                           "the AAAA answer for site.example is malformed (malformed: noise); say what a resolver makes of it, such as rcode: SERVFAIL",
		"names: {site.example: {A: {drop: true, then: {addresses: [198.51.100.1]}}}}": "the A answer for site.example changes (then); a simulated world answers each question alike",
	} {
		w, err := FromLab(lab(t, lines), "site.example", 80)
		if err == nil || err.Error() != want || w.Name != "" {
			t.Errorf("%s: error is %v, want %s", lines, err, want)
		}
	}
}

// Each state that a lab can have is one here, and what is unreachable has an error.
func TestStatesOfLabs(t *testing.T) {
	for _, addr := range []netip.Addr{address4(1), address6(1)} {
		for _, s := range link.States(addr) {
			state, errno := labState(s, addr)
			icmp := s != link.Up && s != link.Blackhole && s != link.TCPReset
			if icmp != (state == Unreachable) || icmp != (errno != 0) {
				t.Errorf("%s at %v is %v with errno %v", s, addr, state, errno)
			}
		}
	}
	// Measured in a lab: the answers of Linux.
	for _, c := range []struct {
		state  link.State
		v4, v6 syscall.Errno // 0: no such state
	}{
		{"net-unreachable", syscall.ENETUNREACH, syscall.ENETUNREACH},
		{"host-unreachable", syscall.EHOSTUNREACH, syscall.EHOSTUNREACH},
		{"port-unreachable", syscall.ECONNREFUSED, syscall.ECONNREFUSED},
		{"admin-prohibited", syscall.EHOSTUNREACH, syscall.EACCES},
		{"prot-unreachable", syscall.ENOPROTOOPT, 0},
		{"net-prohibited", syscall.ENETUNREACH, 0},
		{"host-prohibited", syscall.EHOSTUNREACH, 0},
		{"beyond-scope", 0, syscall.EHOSTUNREACH},
		{"policy-fail", 0, syscall.EACCES},
		{"reject-route", 0, syscall.EACCES},
	} {
		for addr, want := range map[netip.Addr]syscall.Errno{address4(1): c.v4, address6(1): c.v6} {
			if _, got := labState(c.state, addr); want != 0 && got != want {
				t.Errorf("%s at %v is %v, want %v", c.state, addr, got, want)
			}
		}
	}
}
