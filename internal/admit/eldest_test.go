package admit

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// stream is a race that always has an attempt in line and always one in flight, as
// far as its budgets allow it.
type stream struct {
	race *Race
	to   func(i int) netip.AddrPort
	next int
}

// step asks for one more, unless one waits, and then ends what was in flight. So the
// place is free for no time at all.
func (s *stream) step() {
	var held []int
	for id := range s.race.attempts {
		if s.race.holds(id) {
			held = append(held, id)
		}
	}
	if s.race.waiting == 0 {
		s.race.Ask(s.next, s.to(s.next))
		s.next++
	}
	for _, id := range held {
		s.race.Done(id)
	}
}

// anywhere is another prefix for each i.
func anywhere(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 443)
}

// rivals are one stream of caller a to anywhere, and one of caller b to here, which
// step in turns: whenever a has a place, b's destination has none, and the other way
// round.
type rivals struct {
	*guests
	own, other stream
}

func newRivals(g *guests) *rivals {
	toHere := func(int) netip.AddrPort { return here }
	return &rivals{g, stream{race: g.enter("a", "own"), to: anywhere}, stream{race: g.enter("b", "other"), to: toHere}}
}

// pass lets them go on for a while, or until an attempt is granted, and returns how
// long that took.
func (r *rivals) pass(most time.Duration, v *Race, id int) time.Duration {
	start := time.Now()
	for time.Since(start) < most && (v == nil || !v.holds(id)) {
		for _, s := range []*stream{&r.own, &r.other} {
			s.step()
			time.Sleep(5 * time.Millisecond)
			synctest.Wait()
		}
	}
	return time.Since(start)
}

// TestTwoCrowdedBudgets: an attempt that needs two budgets which are never free at
// the same moment starts all the same. Without an eldest it never does.
func TestTwoCrowdedBudgets(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		most   time.Duration
	}{
		// A place comes free each 10 ms: patience for the caller's and one more, which is
		// kept, and two for the destination's.
		{Limits{CallerInFlight: 1, DestinationInFlight: 1}, 70 * time.Millisecond},
		{Limits{CallerInFlight: 1, PrefixInFlight: 1}, 70 * time.Millisecond},
		{Limits{CallerInFlight: 1, DestinationInFlight: 1, PrefixInFlight: 1, InFlight: 2}, 70 * time.Millisecond},
		// A token comes each 100 ms.
		{Limits{CallerInFlight: 1, DestinationPerSecond: 10}, 350 * time.Millisecond},
		{Limits{CallerInFlight: 1, PrefixPerSecond: 10}, 350 * time.Millisecond},
		{Limits{CallerPerSecond: 10, DestinationInFlight: 1}, 550 * time.Millisecond},
		{Limits{CallerPerSecond: 10, PrefixInFlight: 1}, 550 * time.Millisecond},
		{Limits{CallerPerSecond: 10, DestinationPerSecond: 10}, 700 * time.Millisecond},
		{Limits{CallerPerSecond: 10, PrefixPerSecond: 10}, 700 * time.Millisecond},
		{Limits{CallerPerSecond: 10, CallerInFlight: 1, DestinationPerSecond: 10, DestinationInFlight: 1, PrefixInFlight: 1, PrefixPerSecond: 10}, 700 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%+v", c.limits), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRivals(newGuests(t, c.limits))
				r.pass(time.Second, nil, 0)
				time.Sleep(time.Millisecond)
				v := r.enter("a", "v")
				if why, granted := v.Ask(0, here); granted {
					t.Fatalf("granted at once: %v", why)
				}
				if took := r.pass(5*time.Second, v, 0); took > c.most {
					t.Errorf("it waits for %v, want %v at most", took, c.most)
				} else {
					t.Log(took)
				}
			})
		})
	}
}

// TestBusyElsewhere: the caller has turns all the time, but never where its eldest
// waits. It has every second one there nevertheless.
func TestBusyElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t, Limits{DestinationPerSecond: 10})
		own, other, v := g.enter("a", "own"), g.enter("b", "other"), g.enter("a", "v")
		g.ask(other, 0, here, 0)
		for id := range 5 {
			g.ask(other, id+1, here, sched.DeferDestinationRate)
		}
		g.ask(v, 0, here, sched.DeferDestinationRate)
		g.ask(v, 1, here, sched.DeferDestinationRate)
		for id := range 50 {
			g.ask(own, id, anywhere(id), 0)
			own.Done(id)
			time.Sleep(10 * time.Millisecond)
		}
		g.see("100ms other:1", "200ms v:0", "300ms other:2", "400ms v:1", "500ms other:3")
	})
}

// TestWhatIsKeptIsGivenBack: a token is kept for v:0, which leaves before it has come,
// or later, or is served.
func TestWhatIsKeptIsGivenBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration
		end   func(other, v *Race)
		want  []string
	}{
		{"nothing ends", 0, func(_, _ *Race) {}, []string{"600ms own:12", "700ms own:13", "800ms own:14"}},
		{"it is done before", 10 * time.Millisecond, func(_, v *Race) { v.Done(0) }, []string{"500ms own:12", "600ms own:13", "700ms own:14"}},
		{"it leaves after", 160 * time.Millisecond, func(_, v *Race) { v.Leave() }, []string{"600ms own:12", "610ms own:13", "700ms own:14"}},
		{"it is served", 60 * time.Millisecond, func(other, _ *Race) { other.Done(1) }, []string{"510ms v:0", "600ms own:12", "700ms own:13", "800ms own:14"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuests(t, Limits{CallerPerSecond: 10, DestinationInFlight: 1})
				own, other, v := g.enter("a", "own"), g.enter("b", "other"), g.enter("a", "v")
				g.ask(other, 0, here, 0)
				for id := range 8 {
					g.ask(own, id, anywhere(id), 0)
				}
				g.ask(v, 0, here, sched.DeferCallerRate)
				for id := 8; id < 8+patience; id++ {
					g.ask(own, id, anywhere(id), sched.DeferCallerRate)
				}
				time.Sleep(450 * time.Millisecond)
				g.see("100ms own:8", "200ms own:9", "300ms own:10", "400ms own:11")

				other.Done(0) // v's turn has come, without a token
				g.ask(other, 1, here, 0)
				for id := 12; id < 15; id++ {
					g.ask(own, id, anywhere(id), sched.DeferCallerRate)
				}
				time.Sleep(c.after)
				c.end(other, v)
				time.Sleep(850*time.Millisecond - c.after - 450*time.Millisecond)
				g.see(c.want...)
			})
		})
	}
}
