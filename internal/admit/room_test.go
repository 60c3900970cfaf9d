package admit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

var (
	here      = netip.MustParseAddrPort("192.0.2.1:443")
	nextDoor  = netip.MustParseAddrPort("192.0.2.2:443") // the same /24
	elsewhere = netip.MustParseAddrPort("198.51.100.1:443")
)

// guests are races in one room, and what was granted to them in line:
// "offset race:attempt".
type guests struct {
	t       *testing.T
	room    *Room
	start   time.Time
	granted []string
}

func newGuests(t *testing.T, limits Limits) *guests {
	t.Helper()
	if wrong := limits.Check(); wrong != nil {
		t.Fatal(wrong)
	}
	return &guests{t: t, room: New(limits, 0), start: time.Now()}
}

func (g *guests) enter(caller, race string) *Race {
	g.t.Helper()
	v, err := g.room.Enter(caller, func(id int) {
		g.granted = append(g.granted, fmt.Sprintf("%v %s:%d", time.Since(g.start), race, id))
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return v
}

// ask expects an answer: the reason, 0 for granted.
func (g *guests) ask(v *Race, id int, to netip.AddrPort, want sched.DeferReason) {
	g.t.Helper()
	if why, granted := v.Ask(id, to); why != want || granted != (want == 0) {
		g.t.Fatalf("Ask(%d, %v) = %v, %v, want %v", id, to, why, granted, want)
	}
}

// see expects what was granted in line since the last time.
func (g *guests) see(want ...string) {
	g.t.Helper()
	synctest.Wait()
	if !slices.Equal(g.granted, want) {
		g.t.Fatalf("granted %q, want %q", g.granted, want)
	}
	g.granted = nil
	g.room.Snapshot() // its lock stands between this and the timer's goroutine
}

func TestPaceIsExact(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		burst  int
		want   sched.DeferReason
		step   time.Duration
	}{
		{Limits{DestinationPerSecond: 4}, 1, sched.DeferDestinationRate, 250 * time.Millisecond},
		{Limits{DestinationPerSecond: 3}, 1, sched.DeferDestinationRate, 333_333_334},
		{Limits{DestinationPerSecond: 199}, 1, sched.DeferDestinationRate, 5_025_126},
		{Limits{DestinationPerSecond: 500}, 5, sched.DeferDestinationRate, 2 * time.Millisecond},
		{Limits{PerSecond: 5}, 8, sched.DeferRate, 200 * time.Millisecond},
		{Limits{PerSecond: 200}, 20, sched.DeferRate, 5 * time.Millisecond},
		{Limits{CallerPerSecond: 1}, 8, sched.DeferCallerRate, time.Second},
		{Limits{CallerPerSecond: 1000}, 100, sched.DeferCallerRate, time.Millisecond},
		{Limits{PrefixPerSecond: 10}, 8, sched.DeferPrefixRate, 100 * time.Millisecond},
		{Limits{PrefixPerSecond: 100}, 10, sched.DeferPrefixRate, 10 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGuests(t, c.limits)
			v := g.enter("a", "v")
			for id := range c.burst {
				g.ask(v, id, here, 0)
			}
			var want []string
			for i := range 5 {
				g.ask(v, c.burst+i, here, c.want)
				want = append(want, fmt.Sprintf("%v v:%d", time.Duration(i+1)*c.step, c.burst+i))
			}
			time.Sleep(5*c.step - 1)
			g.see(want[:4]...)
			time.Sleep(time.Nanosecond)
			g.see(want[4:]...)
			time.Sleep(time.Duration(c.burst)*c.step - 1) // all but one token are there again
			for id := range c.burst - 1 {
				g.ask(v, 1000+id, here, 0)
			}
			g.ask(v, 2000, here, c.want)
		})
	}
}

// TestRacesToOneHostDoNotBurst is what a pace is for: races that would dial the same
// host together.
func TestRacesToOneHostDoNotBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t, Limits{DestinationPerSecond: 10})
		first := g.enter("a", "first")
		g.ask(first, 0, here, 0)
		for _, name := range []string{"second", "third", "fourth"} {
			g.ask(g.enter("a", name), 0, here, sched.DeferDestinationRate)
		}
		first.Done(0) // gives no token back
		other := g.enter("a", "other")
		for id := range 8 { // an ordinary race does not feel it
			g.ask(other, id, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + id)}), 443), 0)
		}
		time.Sleep(time.Second)
		g.see("100ms second:0", "200ms third:0", "300ms fourth:0")
	})
}

func TestWhatSharesABudget(t *testing.T) {
	for _, c := range []struct {
		limits        Limits
		first, second string
		want          sched.DeferReason
	}{
		{Limits{DestinationInFlight: 1}, "192.0.2.1:1", "192.0.2.1:1", sched.DeferDestinationInFlight},
		{Limits{DestinationInFlight: 1}, "192.0.2.1:1", "[::ffff:192.0.2.1]:1", sched.DeferDestinationInFlight},
		{Limits{DestinationInFlight: 1}, "[fe80::1%a]:1", "[fe80::1]:1", sched.DeferDestinationInFlight},
		{Limits{DestinationInFlight: 1}, "192.0.2.1:1", "192.0.2.1:2", 0},
		{Limits{DestinationInFlight: 1}, "192.0.2.1:1", "192.0.2.2:1", 0},
		{Limits{PrefixInFlight: 1}, "192.0.2.1:1", "192.0.2.255:2", sched.DeferPrefixInFlight},
		{Limits{PrefixInFlight: 1}, "192.0.2.1:1", "[::ffff:192.0.2.9]:1", sched.DeferPrefixInFlight},
		{Limits{PrefixInFlight: 1}, "192.0.2.1:1", "192.0.3.1:1", 0},
		{Limits{PrefixInFlight: 1}, "127.0.0.1:1", "127.0.0.2:1", sched.DeferPrefixInFlight},
		{Limits{PrefixInFlight: 1}, "127.0.0.1:1", "[::1]:1", 0},
		{Limits{PrefixInFlight: 1}, "[2001:db8:1::1]:1", "[2001:db8:1:ffff::1]:2", sched.DeferPrefixInFlight},
		{Limits{PrefixInFlight: 1}, "[2001:db8:1::1]:1", "[2001:db8:2::1]:1", 0},
		{Limits{PrefixInFlight: 1}, "[::ffff:192.0.2.1]:1", "[::1]:1", 0},
		{Limits{CallerInFlight: 1}, "192.0.2.1:1", "[2001:db8::1]:1", sched.DeferCallerInFlight},
		{Limits{InFlight: 1}, "192.0.2.1:1", "[2001:db8::1]:1", sched.DeferInFlight},
		{Limits{}, "192.0.2.1:1", "192.0.2.1:1", 0},
	} {
		t.Run(fmt.Sprintf("%s and %s", c.first, c.second), func(t *testing.T) {
			g := newGuests(t, c.limits)
			g.ask(g.enter("a", "v"), 0, netip.MustParseAddrPort(c.first), 0)
			g.ask(g.enter("a", "w"), 0, netip.MustParseAddrPort(c.second), c.want)
			if c.limits.CallerInFlight > 0 {
				g.ask(g.enter("b", "x"), 0, netip.MustParseAddrPort(c.second), 0)
			}
		})
	}
}

// A race has descriptors of its own while it has attempts in flight.
func TestDescriptorsAreShared(t *testing.T) {
	g := &guests{t: t, room: New(Limits{InFlight: 5}, 2*(OfARace+1))}
	v, w := g.enter("a", "v"), g.enter("b", "w")
	g.ask(v, 0, here, 0)
	g.ask(w, 0, elsewhere, 0)
	g.ask(v, 1, here, sched.DeferDescriptors)
	w.Done(0)
	if len(g.granted) != 1 || !strings.HasSuffix(g.granted[0], "v:1") {
		t.Errorf("granted %q", g.granted)
	}
	g.ask(w, 1, elsewhere, sched.DeferDescriptors) // 5 and 1 are in use, and it would take 5
	v.Done(0)
	if len(g.granted) != 2 || !strings.HasSuffix(g.granted[1], "w:1") {
		t.Errorf("granted %q", g.granted)
	}
}

// Of hardly any descriptors one attempt at a time still gets what there is.
func TestOneAttemptIsNeverForbiddenByDescriptors(t *testing.T) {
	g := &guests{t: t, room: New(Limits{}, 1)}
	v := g.enter("a", "v")
	g.ask(v, 0, here, 0)
	g.ask(v, 1, here, sched.DeferDescriptors)
	v.Done(0)
	if len(g.granted) != 1 {
		t.Errorf("granted %q", g.granted)
	}
}

func TestCallersAndRacesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t, Limits{InFlight: 1})
		holder := g.enter("holder", "holder")
		g.ask(holder, 0, here, 0)
		a1, a2, b, c := g.enter("a", "a1"), g.enter("a", "a2"), g.enter("b", "b"), g.enter("c", "c")
		for id := range 4 {
			g.ask(a1, id, here, sched.DeferInFlight)
		}
		for id := range 2 {
			g.ask(a2, id, here, sched.DeferInFlight)
		}
		for id := range 3 {
			g.ask(b, id, here, sched.DeferInFlight)
		}
		g.ask(c, 0, here, sched.DeferInFlight)

		holder.Done(0)
		for _, next := range []struct {
			who  string
			race *Race
			id   int
		}{
			{"a1:0", a1, 0},
			{"b:0", b, 0},
			{"c:0", c, 0},
			{"a2:0", a2, 0},
			{"b:1", b, 1},
			{"a1:1", a1, 1},
			{"b:2", b, 2},
			{"a2:1", a2, 1},
			{"a1:2", a1, 2},
			{"a1:3", a1, 3},
		} {
			g.see("0s " + next.who)
			next.race.Done(next.id)
		}
		g.see()
	})
}

// TestALateRaceDoesNotWaitForAFullOne also holds for races that came long after.
func TestALateRaceDoesNotWaitForAFullOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t, Limits{CallerInFlight: 1})
		full := g.enter("a", "full")
		for id := range 100 {
			g.ask(full, id, here, []sched.DeferReason{0, sched.DeferCallerInFlight}[min(id, 1)])
		}
		for id := range 50 {
			full.Done(id)
		}
		g.granted = nil
		late := g.enter("a", "late")
		g.ask(late, 0, here, sched.DeferCallerInFlight)
		full.Done(50)
		full.Done(51)
		g.see("0s full:51", "0s late:0")
	})
}

func TestWhoWaitsForADestinationHoldsNobodyBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t, Limits{InFlight: 2, DestinationInFlight: 1})
		v := g.enter("a", "v")
		g.ask(v, 0, here, 0)
		g.ask(v, 1, here, sched.DeferDestinationInFlight)
		g.ask(v, 2, elsewhere, 0)
		g.ask(v, 3, nextDoor, sched.DeferInFlight)
		v.Done(2)
		g.see("0s v:3") // past attempt 1
		v.Done(0)
		g.see("0s v:1")
	})
}

// TestAllBudgetsOrNone: an attempt that waits for one budget holds none of another.
func TestAllBudgetsOrNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t, Limits{CallerInFlight: 1, DestinationInFlight: 1})
		a, b, c := g.enter("a", "a"), g.enter("b", "b"), g.enter("c", "c")
		g.ask(a, 0, here, 0)
		g.ask(b, 0, elsewhere, 0)
		g.ask(a, 1, elsewhere, sched.DeferCallerInFlight) // and its destination is taken
		g.ask(b, 1, here, sched.DeferCallerInFlight)      // likewise, the other way round
		b.Done(0)
		g.see() // a:1 has a destination and no caller's place
		g.ask(c, 0, elsewhere, 0)
		a.Done(0)
		g.see("0s b:1") // and a:1 has a caller's place and no destination
		c.Done(0)
		g.see("0s a:1")
	})
}

func TestWhoIsDoneLeavesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t, Limits{DestinationPerSecond: 1})
		v, w := g.enter("a", "v"), g.enter("b", "w")
		g.ask(v, 0, here, 0)
		g.ask(v, 1, here, sched.DeferDestinationRate)
		g.ask(v, 2, here, sched.DeferDestinationRate)
		g.ask(w, 0, here, sched.DeferDestinationRate)
		g.ask(w, 1, here, sched.DeferDestinationRate)
		v.Done(1)
		w.Leave()
		g.ask(v, 1, here, sched.DeferDestinationRate) // an id may be used again
		time.Sleep(10 * time.Second)
		g.see("1s v:2", "2s v:1")
		if s := g.room.Snapshot(); s.InFlight != 3 || s.Waiting != 0 || s.WaitingFor != nil {
			t.Errorf("Snapshot = %+v", s)
		}
		v.Leave()
		if s := g.room.Snapshot(); s.InFlight != 0 {
			t.Errorf("Snapshot = %+v", s)
		}
	})
}

func TestSnapshotCountsReasons(t *testing.T) {
	g := newGuests(t, Limits{InFlight: 2, DestinationInFlight: 1})
	v := g.enter("a", "v")
	g.ask(v, 0, here, 0)
	g.ask(v, 1, here, sched.DeferDestinationInFlight)
	g.ask(v, 2, elsewhere, 0)
	g.ask(v, 3, nextDoor, sched.DeferInFlight)
	g.ask(v, 4, nextDoor, sched.DeferInFlight)
	s := g.room.Snapshot()
	if s.InFlight != 2 || s.Waiting != 3 || s.WaitingFor[sched.DeferDestinationInFlight] != 1 || s.WaitingFor[sched.DeferInFlight] != 2 || len(s.WaitingFor) != 2 {
		t.Errorf("Snapshot = %+v", s)
	}
}

// TestBudgetsAreForgotten: what was dialed once does not take memory for ever, also
// without anybody who waits or a timer, and while a race stays for long.
func TestBudgetsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t, Limits{DestinationPerSecond: 10, PrefixInFlight: 10, CallerPerSecond: 1000})
		stays := g.enter("stays", "stays")
		to := func(i int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 443)
		}
		for i := range 5000 {
			g.ask(stays, 0, to(i), 0)
			v := g.enter(fmt.Sprint(i), "v")
			g.ask(v, 0, to(10_000+i), 0)
			v.Leave()
			time.Sleep(time.Millisecond)
			stays.Done(0)
			if n := len(g.room.destinations); n > 210 { // a token is owed for 100 ms
				t.Fatalf("%d destinations are remembered", n)
			}
			if n := len(g.room.prefixes) + len(g.room.callers); n > 10 {
				t.Fatalf("%d prefixes and callers are remembered", n)
			}
		}
		time.Sleep(time.Second)
		for i := range 100 {
			g.ask(stays, 0, to(i), 0)
			stays.Done(0)
		}
		if n := len(g.room.destinations); n > 100 {
			t.Fatalf("%d destinations are remembered", n)
		}
	})
}

// TestALateTimerTakesNoTurnAway: whoever calls first grants what is due, before it
// asks for something itself.
func TestALateTimerTakesNoTurnAway(t *testing.T) {
	for name, call := range map[string]func(g *guests, w *Race){
		"ask":   func(g *guests, w *Race) { g.ask(w, 1, here, sched.DeferDestinationRate) },
		"done":  func(_ *guests, w *Race) { w.Done(0) },
		"leave": func(_ *guests, w *Race) { w.Leave() },
		"enter": func(g *guests, _ *Race) { g.enter("c", "x") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuests(t, Limits{DestinationPerSecond: 1})
				v, w := g.enter("a", "v"), g.enter("b", "w")
				g.ask(w, 0, here, 0)
				g.ask(v, 0, here, sched.DeferDestinationRate)
				g.room.timer.Stop()
				time.Sleep(1500 * time.Millisecond)
				g.see()
				call(g, w)
				g.see("1.5s v:0")
			})
		})
	}
}

// TestATokenIsOwedAfterLeaving: leaving and coming back is no way round a rate.
func TestATokenIsOwedAfterLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t, Limits{CallerPerSecond: 1, DestinationPerSecond: 1})
		for i := range 8 {
			v := g.enter("a", "v")
			g.ask(v, 0, netip.AddrPortFrom(here.Addr(), uint16(i+1)), 0)
			v.Leave()
		}
		v := g.enter("a", "v")
		g.ask(v, 0, elsewhere, sched.DeferCallerRate)
		g.ask(g.enter("b", "w"), 0, netip.AddrPortFrom(here.Addr(), 8), sched.DeferDestinationRate)
	})
}

func TestProgrammersErrorsPanic(t *testing.T) {
	for name, wrong := range map[string]func(v *Race){
		"an attempt asks twice":      func(v *Race) { v.Ask(0, here); v.Ask(0, here) },
		"done without asking":        func(v *Race) { v.Done(0) },
		"done twice":                 func(v *Race) { v.Ask(0, here); v.Done(0); v.Done(0) },
		"an attempt after the end":   func(v *Race) { v.Leave(); v.Ask(0, here) },
		"done after the end":         func(v *Race) { v.Ask(0, here); v.Leave(); v.Done(0) },
		"while it waits, once again": func(v *Race) { v.Ask(0, here); v.Ask(1, here); v.Ask(1, here) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuests(t, Limits{InFlight: 1})
			v := g.enter("a", "v")
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
				g.enter("b", "w").Leave() // the room is not locked
			}()
			wrong(v)
		})
	}
}

// TestOvertaking: of n callers that keep one place in constant demand, nobody waits
// longer than a round.
func TestOvertaking(t *testing.T) {
	const callers = 20
	order, holds := []int{}, []int{}
	room := New(Limits{InFlight: 1}, 0)
	races := make([]*Race, callers)
	for c := range callers {
		race, err := room.Enter(fmt.Sprint(c), func(id int) { order, holds = append(order, c), append(holds, id) })
		if err != nil {
			t.Fatal(err)
		}
		races[c] = race
		for id := range 1 + 3*c { // some want more than others
			race.Ask(id, here)
		}
	}
	next := 1000
	for c, id := 0, 0; len(order) < 50*callers; next++ {
		races[c].Ask(next, here)
		races[c].Done(id)
		c, id = order[len(order)-1], holds[len(holds)-1]
	}
	for i := range len(order) - callers {
		round := slices.Sorted(slices.Values(order[i : i+callers]))
		if len(slices.Compact(round)) != callers {
			t.Fatalf("grants %d to %d went to %v", i, i+callers, order[i:i+callers])
		}
	}
}
