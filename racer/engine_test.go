package racer

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
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

// An engine that is kept for the next race refers to nothing of the last one, which its
// result still has. Many attempts end at once here, and a single one later: what was in
// a batch lies behind what is in the next. Of a race by TCP that stays: it is little.
func TestKeptEngineForgets(t *testing.T) {
	for name, c := range map[string]struct {
		criterion func(*peers) Criterion
		stays     []string
	}{
		"tcp": {func(*peers) Criterion { return Criterion{} }, []string{"events"}},
		"tls": {(*peers).wants, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, p := newNetwork(t), newPeers(t)
				target := literals(8)
				for i := range target.Candidates {
					c := &target.Candidates[i]
					c.Label, c.PastConnects = strings.Repeat("l", 1+i), []time.Duration{ms, 2 * ms}
					n.host(c.Endpoint, talking(5*ms, secure(15*ms, p.good, mute)))
				}
				n.host(second, talking(50*ms, secure(15*ms, p.good, mute)))
				n.resolves("late.example", sched.AAAA, 60*ms, "2001:db8::1")
				n.names[sched.Question{Name: "late.example", Type: sched.A}] = reply{never: true} // given up when the race is over
				n.host("[2001:db8::1]:443", talking(5*ms, stalls))
				target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: "late.example:443", Label: "late"})
				e := newEngineIn(t, n, mustPlan(t, RaceRequest{
					Target: target, Options: Options{Strategy: sched.AllAtOnce, Criterion: c.criterion(p), Grace: time.Second},
				}), false)
				result := e.ended(t)
				n.checkClosed(t, nil)
				before, err := json.Marshal(result)
				must(t, err)
				e.racer.recycle(e)
				holdsNothing(t, "engine", reflect.ValueOf(e).Elem(), append(c.stays, "racer", "start", "race", "post", "lookups", "peers", "mu"))
				e.peers.Range(func(id, _ any) bool { t.Errorf("the peer of attempt %d is known", id); return true })
				if after, err := json.Marshal(result); err != nil || string(after) != string(before) {
					t.Errorf("the result was\n%s\nand is, %v,\n%s", before, err, after)
				}
			})
		})
	}
}

// ended is the result of an engine's race.
func (e *engine) ended(t *testing.T) *RaceResult {
	t.Helper()
	e.run(t.Context())
	result := e.result()
	if result.Winner == nil || len(result.Transcript) == 0 {
		t.Fatalf("it ended with %s", result.End)
	}
	return result
}

// holdsNothing holds that what an engine takes into its next race refers to nothing, up to
// the capacity of its slices, in all fields but some.
func holdsNothing(t *testing.T, name string, v reflect.Value, but []string) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i).Name; !slices.Contains(but, field) {
				holdsNothing(t, name+"."+field, v.Field(i), but)
			}
		}
	case reflect.Slice:
		all := v.Slice(0, v.Cap())
		for i := range all.Len() {
			if refers(v.Type().Elem()) && !all.Index(i).IsZero() {
				t.Errorf("%s[%d], of %d and room for %d, is %+v", name, i, v.Len(), v.Cap(), all.Index(i))
				return
			}
		}
	default:
		if refers(v.Type()) && !v.IsZero() {
			t.Errorf("%s is %+v", name, v)
		}
	}
}

// refers says whether a value of the type can refer to memory.
func refers(of reflect.Type) bool {
	switch of.Kind() {
	case reflect.Struct:
		return slices.ContainsFunc(reflect.VisibleFields(of), func(f reflect.StructField) bool { return refers(f.Type) })
	case reflect.Array:
		return refers(of.Elem())
	case reflect.Pointer, reflect.Slice, reflect.String, reflect.Map, reflect.Chan, reflect.Func, reflect.Interface, reflect.UnsafePointer:
		return true
	default:
		return false
	}
}
