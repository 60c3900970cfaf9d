package racer

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/racer/sched"
)

func TestMain(m *testing.M) {
	if os.Getenv(starved) != "" { // its endpoints are its parent's
		os.Exit(m.Run())
	}
	os.Exit(netlabtest.Run(m))
}

// The addresses of the lab's servers.
var (
	resolver = netip.MustParseAddr("203.0.113.53")
	here4    = netip.MustParseAddr("198.51.100.1")
	here6    = netip.MustParseAddr("2001:db8:80::1")
)

// world is a lab with a scripted name server and a Racer that asks it.
type world struct {
	*netlab.Lab
	dns   *netlab.DNS
	racer *Racer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldAt(t)
}

// newWorldAt is one whose client has these addresses; none are the usual two.
func newWorldAt(t *testing.T, client ...netip.Prefix) *world {
	t.Helper()
	lab := netlabtest.Start(t, netlab.Config{Client: client})
	must(t, lab.SetPath(resolver, link.Path{}))
	dns, err := lab.StartDNS(netip.AddrPortFrom(resolver, 53))
	must(t, err)
	return &world{Lab: lab, dns: dns, racer: New(Config{DNSServer: dns.Addr()})}
}

// host is a server at port 80 behind a path.
func (w *world) host(t *testing.T, addr netip.Addr, p link.Path) *netlab.Host {
	t.Helper()
	must(t, w.SetPath(addr, p))
	h, err := w.Serve(netip.AddrPortFrom(addr, 80), netlab.Read())
	must(t, err)
	return h
}

func (w *world) race(t *testing.T, req RaceRequest) *RaceResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := w.racer.Race(ctx, req)
	must(t, err)
	checkRace(t, r)
	return r
}

// syn is a SYN on the wire.
type syn struct {
	to netip.AddrPort
	at time.Duration // since the race began
}

// syns are those that left since the race began, in that order.
func (w *world) syns(t *testing.T, r *Run) (seen []syn) {
	t.Helper()
	packets, err := w.Packets()
	must(t, err)
	for _, p := range packets {
		if at := w.Time(p.Sent).Sub(r.Start); p.Kind == link.SYN && at >= 0 {
			seen = append(seen, syn{p.To, at})
		}
	}
	return seen
}

// sixHosts are two families and six addresses behind one name, one black hole,
// one that refuses and one out of reach among them.
func (w *world) sixHosts(t *testing.T) Target {
	t.Helper()
	var four, six []netip.Addr
	for _, h := range []struct {
		addr string
		path link.Path
	}{
		{"2001:db8:80::1", link.Path{Delay: 10 * ms, State: link.Blackhole}},
		{"198.51.100.1", link.Path{Delay: 5 * ms, State: link.TCPReset}},
		{"2001:db8:80::2", link.Path{Delay: 20 * ms, State: link.AdminProhibited}},
		{"198.51.100.2", link.Path{Delay: 40 * ms}},
		{"2001:db8:80::3", link.Path{Delay: 60 * ms}},
		{"198.51.100.3", link.Path{Delay: 80 * ms}},
	} {
		addr := netip.MustParseAddr(h.addr)
		w.host(t, addr, h.path)
		if addr.Is4() {
			four = append(four, addr)
		} else {
			six = append(six, addr)
		}
	}
	w.dns.Set("six.example", netlab.Answers{A: netlab.Answer{Addrs: four}, AAAA: netlab.Answer{Addrs: six}})
	return Target{Name: "six.example.:80"}
}

// step is a candidate of a race as it must be: at which endpoint, when its attempt
// starts, and what becomes of it.
type step struct {
	to      string
	start   time.Duration // since the first one
	outcome sched.Outcome
	failure string
}

// noStep is a candidate that has no turn.
func noStep(to string) step { return step{to, 0, sched.OutcomeNotStarted, ""} }

// wantSteps holds that the candidates are these, in this order, and that the wire saw
// a SYN of each that had a turn, in the order of their starts, and no other. as says so.
// An answer of DNS that is late can change the order, and an attempt that is late what
// becomes of others, or bring a backup, of which there is none in steps.
func wantSteps(t *testing.T, watch *netlabtest.Watch, r *RaceResult, syns []syn, steps []step) (as bool) {
	t.Helper()
	if q := r.Queries; len(q) == 2 { // the second start is due 20 ms after the first, at the soonest
		apart := (q[0].Start + q[0].Duration - q[1].Start - q[1].Duration).Abs()
		if !q[0].Answered || !q[1].Answered || apart >= 20*ms {
			watch.Doubt(fmt.Sprintf("the answers are %+v", q))
			return false
		}
	}
	if len(r.Candidates) != len(steps) {
		t.Fatalf("%s with %d candidates", r.End, len(r.Candidates))
	}
	var turns []int
	for i, want := range steps {
		got := &r.Candidates[i]
		if got.Endpoint.String() != want.to {
			t.Errorf("place %d has %v, want %s", i+1, got.Endpoint, want.to)
		}
		if got.Outcome != want.outcome {
			watch.Doubt(fmt.Sprintf("place %d, %v, is %s, want %s", i+1, got.Endpoint, got.Outcome, want.outcome))
			return false
		}
		if want.outcome != sched.OutcomeNotStarted {
			turns = append(turns, i)
		}
	}
	slices.SortStableFunc(turns, func(a, b int) int { return cmp.Compare(steps[a].start, steps[b].start) })
	if len(syns) > len(turns) && (r.Cost.Backups > 0 || r.Duration >= sched.SecondSYN) {
		// A machine that was this late may have let a kernel repeat a SYN, too.
		watch.Doubt(fmt.Sprintf("the race took %v, and the wire saw %d SYNs for %d attempts", r.Duration, len(syns), len(turns)))
		return false
	}
	if len(syns) != len(turns) {
		t.Fatalf("the wire saw %v, want %d SYNs", syns, len(turns))
	}
	first := r.Candidates[turns[0]].Attempts[0].Start
	for n, i := range turns {
		want, seen, a := steps[i], syns[n], &r.Candidates[i].Attempts[0]
		if seen.to != r.Candidates[i].Endpoint {
			t.Errorf("SYN %d went to %v, want %s", n+1, seen.to, want.to)
		}
		watch.Between("the reply's start to "+want.to+" against the wire's", (seen.at - a.Start).Abs(), 0, netlabtest.Slack)
		watch.Near("the start to "+want.to, a.Start-first, want.start)
		if a.Number != n+1 || a.Failure.Type != want.failure {
			t.Errorf("%s: attempt %d with failure %q, want %d with %q", want.to, a.Number, a.Failure.Type, n+1, want.failure)
		}
	}
	return true
}

// What the race says, what the wire saw and what arithmetic says are the same:
// the order exactly, the offsets within the slack. The families alternate, IPv6
// first (H2-19); a failure starts the next one at once, but not while a younger
// attempt than the delay is in flight (H2-30).
func TestRaceInTheLab(t *testing.T) {
	delay := 20 * ms
	for name, c := range map[string]struct {
		options Options
		steps   []step
		won     time.Duration // since the first start
	}{
		"staggered by 250 ms": {
			Options{}, []step{
				{"[2001:db8:80::1]:80", 0, sched.OutcomeCancelled, ""},
				{"198.51.100.1:80", 250 * ms, sched.OutcomeFailed, "connection_refused"},
				{"[2001:db8:80::2]:80", 260 * ms, sched.OutcomeFailed, "access_denied"},
				{"198.51.100.2:80", 300 * ms, sched.OutcomeWon, ""},
				noStep("[2001:db8:80::3]:80"),
				noStep("198.51.100.3:80"),
			}, 380 * ms,
		},
		"staggered by 20 ms": {
			Options{AttemptDelay: &delay}, []step{
				{"[2001:db8:80::1]:80", 0, sched.OutcomeCancelled, ""},
				{"198.51.100.1:80", 20 * ms, sched.OutcomeFailed, "connection_refused"},
				{"[2001:db8:80::2]:80", 30 * ms, sched.OutcomeFailed, "access_denied"},
				{"198.51.100.2:80", 50 * ms, sched.OutcomeWon, ""},
				{"[2001:db8:80::3]:80", 70 * ms, sched.OutcomeCancelled, ""},
				{"198.51.100.3:80", 90 * ms, sched.OutcomeCancelled, ""},
			}, 130 * ms,
		},
		"sequential": {
			Options{Strategy: sched.Sequential, AttemptTimeout: 200 * ms}, []step{
				{"[2001:db8:80::1]:80", 0, sched.OutcomeTimedOut, "timed_out"},
				{"198.51.100.1:80", 200 * ms, sched.OutcomeFailed, "connection_refused"},
				{"[2001:db8:80::2]:80", 210 * ms, sched.OutcomeFailed, "access_denied"},
				{"198.51.100.2:80", 250 * ms, sched.OutcomeWon, ""},
				noStep("[2001:db8:80::3]:80"),
				noStep("198.51.100.3:80"),
			}, 330 * ms,
		},
		// RFC 6555: the other family begins after 300 ms, and goes through its
		// addresses on its own.
		"family fallback": {
			Options{Strategy: sched.FamilyFallback, MaxBackups: new(0)}, []step{
				{"[2001:db8:80::1]:80", 0, sched.OutcomeCancelled, ""},
				{"198.51.100.1:80", 300 * ms, sched.OutcomeFailed, "connection_refused"},
				noStep("[2001:db8:80::2]:80"),
				{"198.51.100.2:80", 310 * ms, sched.OutcomeWon, ""},
				noStep("[2001:db8:80::3]:80"),
				noStep("198.51.100.3:80"),
			}, 390 * ms,
		},
		"family fallback within the head start": {
			Options{Strategy: sched.FamilyFallback, AttemptDelay: new(500 * ms), AttemptTimeout: 150 * ms}, []step{
				{"[2001:db8:80::1]:80", 0, sched.OutcomeTimedOut, "timed_out"},
				noStep("198.51.100.1:80"),
				{"[2001:db8:80::2]:80", 150 * ms, sched.OutcomeFailed, "access_denied"},
				noStep("198.51.100.2:80"),
				{"[2001:db8:80::3]:80", 190 * ms, sched.OutcomeWon, ""},
				noStep("198.51.100.3:80"),
			}, 310 * ms,
		},
	} {
		t.Run(name, func(t *testing.T) {
			netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
				w := newWorld(t)
				r := w.race(t, RaceRequest{Target: w.sixHosts(t), Options: c.options})
				if wantSteps(t, watch, r, w.syns(t, &r.Run), c.steps) {
					watch.Near("the win", r.Winner.Won().End-r.Candidates[0].Attempts[0].Start, c.won)
				}
			})
		})
	}
}

// raceForSix races for six hosts: each gets a SYN, and 198.51.100.2 wins. Without one of
// the two answers, or when a kernel repeats a SYN, that is not so, and as is false.
func raceForSix(t *testing.T, watch *netlabtest.Watch, strategy sched.Strategy) (r *RaceResult, syns []syn, as bool) {
	t.Helper()
	w := newWorld(t)
	r = w.race(t, RaceRequest{Target: w.sixHosts(t), Options: Options{Strategy: strategy, MaxBackups: new(0)}})
	if r.End != sched.EndWon {
		t.Fatalf("%s, cost %+v", r.End, r.Cost)
	}
	syns = w.syns(t, &r.Run)
	as = r.Winner.Endpoint.String() == "198.51.100.2:80" && r.Cost.Attempts == 6 && len(syns) == 6
	if !as {
		watch.Doubt(fmt.Sprintf("%v won after %v, the cost is %+v, and the wire saw %v", r.Winner.Endpoint, r.Duration, r.Cost, syns))
	}
	return r, syns, as
}

// All at once: every SYN leaves at the start, and the nearest that answers wins.
func TestAllAtOnceInTheLab(t *testing.T) {
	netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
		r, syns, as := raceForSix(t, watch, sched.AllAtOnce)
		if !as {
			return
		}
		for _, s := range syns {
			watch.Near(fmt.Sprint("the SYN to ", s.to, " after the first"), s.at-syns[0].at, 0)
		}
		watch.Near("the win", r.Winner.Attempts[0].End-r.Winner.Attempts[0].Start, 80*ms)
	})
}

// First then all: the first SYN has a quarter of a second for itself, then the
// others leave together, and the nearest that answers wins.
func TestFirstThenAllInTheLab(t *testing.T) {
	netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
		r, syns, as := raceForSix(t, watch, sched.FirstThenAll)
		if !as {
			return
		}
		if syns[0].to.String() != "[2001:db8:80::1]:80" { // or AAAA was answered too late
			watch.Doubt(fmt.Sprintf("the first SYN went to %v", syns[0].to))
			return
		}
		first := r.Candidates[0].Attempts[0].Start
		for i := range r.Candidates[1:] {
			c := &r.Candidates[i+1]
			watch.Near(fmt.Sprint("the start to ", c.Endpoint), c.Attempts[0].Start-first, sched.DefaultAttemptDelay)
		}
		for _, s := range syns[1:] { // a SYN may leave a moment after its start, the first one too
			off := (s.at - syns[0].at - sched.DefaultAttemptDelay).Abs()
			watch.Between(fmt.Sprint("the wire's head start before ", s.to, " against 250 ms"), off, 0, netlabtest.Slack)
		}
		watch.Near("the win", r.Winner.Attempts[0].End-first, 330*ms)
	})
}

// A probe hides nothing: each address has its errno, its silence or its time.
func TestProbeInTheLab(t *testing.T) {
	netlabtest.Punctually(t, probeSix)
}

func probeSix(t *testing.T, watch *netlabtest.Watch) {
	w := newWorld(t)
	r, err := w.racer.Probe(t.Context(), ProbeRequest{
		Target: w.sixHosts(t), Rounds: 3, Interval: 400 * ms, Options: ProbeOptions{AttemptTimeout: 300 * ms},
	})
	must(t, err)
	checkProbed(t, r)
	want := map[string]struct {
		verdict Verdict
		errno   string
		rtt     time.Duration
	}{
		"[2001:db8:80::1]:80": {Unreachable, "", 0},
		"198.51.100.1:80":     {Unreachable, "ECONNREFUSED", 0},
		"[2001:db8:80::2]:80": {Unreachable, "EACCES", 0},
		"198.51.100.2:80":     {Reachable, "", 80 * ms},
		"[2001:db8:80::3]:80": {Reachable, "", 120 * ms},
		"198.51.100.3:80":     {Reachable, "", 160 * ms},
	}
	for i := range r.Report.Candidates {
		c := &r.Report.Candidates[i]
		w := want[c.Endpoint.String()]
		if c.Stats.Count != 3 {
			t.Errorf("%v is %+v", c.Endpoint, c.Stats)
		}
		switch { // what is late enough has timed out instead
		case c.Stats.Verdict() != w.verdict:
			watch.Doubt(fmt.Sprintf("%v is %+v", c.Endpoint, c.Stats))
		case w.verdict == Reachable:
			watch.Near(fmt.Sprint("the median of ", c.Endpoint), c.Stats.Quantile(0.5), w.rtt)
		case len(c.Stats.Kinds) != 1 || c.Stats.Kinds[0].Errno != w.errno:
			watch.Doubt(fmt.Sprintf("%v failed by %+v, want %s", c.Endpoint, c.Stats.Kinds, w.errno))
		}
	}
	switch syns := w.syns(t, &r.Run); {
	case len(syns) > 18: // a timeout was so late that a kernel has repeated a SYN
		watch.Doubt(fmt.Sprintf("the wire saw %d SYNs, want 3 to each of 6", len(syns)))
	case len(syns) < 18:
		t.Errorf("the wire saw %d SYNs, want 3 to each of 6", len(syns))
	}
}

// A path that dies in mid-life: what won before loses now, and the reply says
// what it masks.
func TestPathDiesBetweenRaces(t *testing.T) {
	w := newWorld(t)
	w.host(t, here6, link.Path{Delay: 5 * ms})
	w.host(t, here4, link.Path{Delay: 5 * ms})
	w.dns.Set("two.example", netlab.Answers{
		A: netlab.Answer{Addrs: []netip.Addr{here4}}, AAAA: netlab.Answer{Addrs: []netip.Addr{here6}},
	})
	// Long delays keep a busy machine out of it.
	req := RaceRequest{
		Target: Target{Name: "two.example.:80"}, Selection: Selection{ResolutionDelay: new(MaxResolutionDelay)},
		Options: Options{AttemptDelay: new(time.Second), MaxBackups: new(0)},
	}
	if r := w.race(t, req); r.Winner.Endpoint.Addr() != here6 || r.Cost.Attempts != 1 || len(r.Masked.Addresses) != 0 {
		t.Errorf("first %v won: %+v, masked %+v", r.Winner.Endpoint, r.Cost, r.Masked)
	}
	must(t, w.SetPath(here6, link.Path{State: link.Blackhole}))
	r := w.race(t, req)
	if r.Winner.Endpoint.Addr() != here4 || r.Cost.Attempts != 2 || len(r.Masked.Addresses) != 1 {
		t.Errorf("then %v won: %+v, masked %+v", r.Winner.Endpoint, r.Cost, r.Masked)
	}
	must(t, w.SetPath(here6, link.Path{Delay: 5 * ms}))
	if r := w.race(t, req); r.Winner.Endpoint.Addr() != here6 {
		t.Errorf("at last %v won", r.Winner.Endpoint)
	}
}

// sixAddresses are the six hosts' as candidates, in no order of families.
func sixAddresses() Target {
	var target Target
	for _, addr := range []string{"198.51.100.1", "198.51.100.2", "198.51.100.3", "2001:db8:80::1", "2001:db8:80::2", "2001:db8:80::3"} {
		target.Candidates = append(target.Candidates, CandidateSpec{
			Endpoint: netip.AddrPortFrom(netip.MustParseAddr(addr), 80).String(), Label: addr,
		})
	}
	return target
}

// Adaptive: the SYNs leave as far apart as each address's own round-trip time says, by
// what the caller knows of it (H2-29).
func TestAdaptiveInTheLab(t *testing.T) {
	known := map[string]CandidateSpec{
		"2001:db8:80::1": {ExpectedRTT: 20 * ms},                                      // 20 + 4 * 10 = 60
		"198.51.100.1":   {ExpectedRTT: 10 * ms},                                      // 10 + 4 * 5 = 30, and it refuses
		"2001:db8:80::2": {PastConnects: []time.Duration{40 * ms}},                    // 40 + 4 * 20 = 120, and it fails
		"198.51.100.2":   {PastConnects: []time.Duration{80 * ms, 80 * ms, 200 * ms}}, // the win comes sooner
		"2001:db8:80::3": {ExpectedRTT: 120 * ms},
		"198.51.100.3":   {ExpectedRTT: 160 * ms},
	}
	netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
		w := newWorld(t)
		w.sixHosts(t)
		target := sixAddresses()
		for i := range target.Candidates {
			spec := &target.Candidates[i]
			spec.ExpectedRTT, spec.PastConnects = known[spec.Label].ExpectedRTT, known[spec.Label].PastConnects
		}
		r := w.race(t, RaceRequest{Target: target, Options: Options{Strategy: sched.Adaptive}})
		as := wantSteps(t, watch, r, w.syns(t, &r.Run), []step{
			{"[2001:db8:80::1]:80", 0, sched.OutcomeCancelled, ""},
			{"198.51.100.1:80", 60 * ms, sched.OutcomeFailed, "connection_refused"},
			{"[2001:db8:80::2]:80", 70 * ms, sched.OutcomeFailed, "access_denied"},
			{"198.51.100.2:80", 110 * ms, sched.OutcomeWon, ""},
			noStep("[2001:db8:80::3]:80"),
			noStep("198.51.100.3:80"),
		})
		if !as {
			return
		}
		watch.Near("the win", r.Winner.Won().End-r.Candidates[0].Attempts[0].Start, 190*ms)
		// RFC 6298: 80, then 80, then 200 make 95 and 52.5.
		if d := r.Winner.Won().Delay; d != 305*ms || len(r.Warnings) > 0 {
			t.Errorf("the winner's delay is %v, warnings are %q", d, r.Warnings)
		}
	})
}

// Grace: the winner is the same, and the reply comes later, with what the losers came
// to. On the wire each that connected has a connection, which a RST ends at once,
// while the others go on.
func TestGraceInTheLab(t *testing.T) {
	netlabtest.Punctually(t, graceForSix)
}

func graceForSix(t *testing.T, watch *netlabtest.Watch) {
	w := newWorld(t)
	delay := 20 * ms
	conn, r, err := w.racer.Dial(t.Context(), RaceRequest{
		Target: w.sixHosts(t), Options: Options{AttemptDelay: &delay, Grace: 300 * ms},
	})
	must(t, err)
	defer func() { must(t, conn.Close()) }()
	checkRace(t, r)
	as := wantSteps(t, watch, r, w.syns(t, &r.Run), []step{
		{"[2001:db8:80::1]:80", 0, sched.OutcomeCancelled, ""},
		{"198.51.100.1:80", 20 * ms, sched.OutcomeFailed, "connection_refused"},
		{"[2001:db8:80::2]:80", 30 * ms, sched.OutcomeFailed, "access_denied"},
		{"198.51.100.2:80", 50 * ms, sched.OutcomeWon, ""},
		{"[2001:db8:80::3]:80", 70 * ms, sched.OutcomeConnectedLate, ""},
		{"198.51.100.3:80", 90 * ms, sched.OutcomeConnectedLate, ""},
	})
	if !as {
		return
	}
	if got, want := conn.RemoteAddr().String(), r.Winner.Endpoint.String(); got != want {
		t.Errorf("the connection is to %s, the winner is %s", got, want)
	}
	first := r.Candidates[0].Attempts[0].Start
	won := r.Winner.Won().End
	watch.Near("the win", won-first, 130*ms)
	watch.Near("the reply after the win", r.Duration-won, 300*ms)
	// Each by its own handshake from the first start, against the win at 130.
	for place, want := range map[int]time.Duration{4: -50 * ms, 5: -10 * ms, 6: 30 * ms} {
		got := r.Candidates[place-1].IfFirst
		watch.Between(fmt.Sprintf("the difference at place %d against %v", place, want), (*got - want).Abs(), 0, netlabtest.Slack)
	}
	w.wantResets(t, watch, r)
}

// wantResets holds that the wire saw a RST of ours for each that connected too late,
// right after it had connected, and none for the winner's connection.
func (w *world) wantResets(t *testing.T, watch *netlabtest.Watch, r *RaceResult) {
	t.Helper()
	packets, err := w.Packets()
	must(t, err)
	resets := make(map[netip.AddrPort]time.Duration)
	for _, p := range packets {
		if p.Kind == link.RST && p.By == link.Client {
			resets[p.To] = w.Time(p.Sent).Sub(r.Start)
		}
	}
	for i := range r.Candidates {
		c := &r.Candidates[i]
		at, reset := resets[c.Endpoint]
		if reset != (c.Outcome == sched.OutcomeConnectedLate) {
			t.Errorf("%s is %s, a RST went there: %t", c.Endpoint, c.Outcome, reset)
		} else if reset {
			watch.Between("the RST to "+c.Endpoint.String()+" after it has connected", (at - c.Attempts[0].End).Abs(), 0, netlabtest.Slack)
		}
	}
}

// Grace leaves nothing behind: no connection, no descriptor, no goroutine.
func TestGraceLeavesNothing(t *testing.T) {
	w := newWorld(t)
	var hosts []*netlab.Host
	for i := range byte(4) {
		hosts = append(hosts, w.host(t, netip.AddrFrom4([4]byte{198, 51, 100, 1 + i}), link.Path{Delay: time.Duration(2*i) * ms}))
	}
	hole := netip.MustParseAddr("198.51.100.9")
	must(t, w.SetPath(hole, link.Path{State: link.Blackhole}))
	target := at80Each(hole)
	for _, h := range hosts {
		target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: h.Addr().String()})
	}
	before := resources(t)
	racer := New(Config{})
	for round := range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		time.AfterFunc(time.Duration(round)*5*ms, cancel) // in the middle of it, at last
		conn, r, err := racer.Dial(ctx, RaceRequest{
			Target: target, Options: Options{Strategy: sched.AllAtOnce, Grace: 30 * ms},
		})
		if conn != nil {
			checkRace(t, r)
			must(t, conn.Close())
		} else if r != nil || err == nil {
			t.Errorf("Dial returns %v and %v without a connection", r, err)
		}
		cancel()
	}
	racer.Close()
	checkNothingLeft(t, before, hosts)
}
