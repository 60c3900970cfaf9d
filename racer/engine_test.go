package racer

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// A batch is in the order in which things happened, whatever order they were
// posted in; what happened in the same moment keeps the order of posting.
func TestBatchIsInTheOrderOfTime(t *testing.T) {
	e := newEngineIn(t, newNetwork(t), mustPlan(t, RaceRequest{Target: literals(1)}), false)
	e.visit.place.Ask(2, netip.MustParseAddrPort("192.0.2.1:443"))
	for _, ev := range []sched.Event{
		{Kind: sched.Started, At: 30 * ms, Attempt: 2},
		{Kind: sched.Started, At: 10 * ms, Attempt: 0},
		{Kind: sched.Connected, At: 30 * ms, Attempt: 2},
		{Kind: sched.Started, At: 20 * ms, Attempt: 1},
	} {
		e.inbox.post(news{event: ev})
	}
	var at []time.Duration
	var attempts []int
	for _, ev := range e.batch() {
		at, attempts = append(at, ev.At), append(attempts, ev.Attempt)
	}
	if !slices.Equal(at, []time.Duration{10 * ms, 20 * ms, 30 * ms, 30 * ms}) || !slices.Equal(attempts, []int{0, 1, 2, 2}) {
		t.Errorf("the batch is of attempts %v at %v", attempts, at)
	}
	if again := e.batch(); len(again) > 0 {
		t.Errorf("the same news a second time: %v", again)
	}
}

// Two answers of one wake-up, posted the other way round than they came in: the
// race numbers candidates in the order of time, and so does the engine.
func TestAnswersOfOneWakeUp(t *testing.T) {
	e := newEngineIn(t, newNetwork(t), mustPlan(t, RaceRequest{Target: Target{Name: "two.example:443"}}), false)
	for _, a := range []struct {
		question int
		at       time.Duration
		addr     string
	}{{1, 20 * ms, "192.0.2.1"}, {0, 10 * ms, "2001:db8::1"}} {
		e.inbox.post(news{
			event: sched.Event{Kind: sched.Resolved, At: a.at, Question: a.question},
			facts: []fact{{endpoint: netip.AddrPortFrom(netip.MustParseAddr(a.addr), 443)}},
		})
	}
	batch := e.batch()
	e.race.Reset(e.plan.cfg)
	e.race.Step(20*ms, batch, nil) // panics on candidates out of turn
	for id, f := range e.known {
		if c := batch[id].Candidates[0]; c.ID != id || c.Endpoint != f.endpoint {
			t.Errorf("candidate %d is %v to the race, %v to the engine", c.ID, c.Endpoint, f.endpoint)
		}
	}
}

// What the race need not know is not looked up: an address that is left out or
// denied has no source and cannot be dialed.
func TestGather(t *testing.T) {
	n := newNetwork(t)
	p := mustPlan(t, RaceRequest{Target: literals(1), Selection: Selection{OnlyFamily: addrsel.FamilyIPv4}})
	e := newEngineIn(t, n, p, false)
	o := origin{port: 443}
	for addr, skip := range map[string]sched.SkipReason{
		"192.0.2.1": sched.SkipNone, "::ffff:192.0.2.1": sched.SkipNone, "169.254.0.1": sched.SkipDenied,
		"2001:db8::1": sched.SkipFamily, "fe80::1": sched.SkipFamily,
	} {
		f := e.gather(o, netip.MustParseAddr(addr))
		usable := skip == sched.SkipNone
		if f.skip != skip || f.source.IsValid() != usable || f.allowed.Endpoint().IsValid() != usable {
			t.Errorf("%s: skip %q, source %s, allowed %s", addr, f.skip, f.source, f.allowed.Endpoint())
		}
		if f.endpoint.Addr().Is4In6() {
			t.Errorf("%s is %s to the race", addr, f.endpoint)
		}
	}
}
