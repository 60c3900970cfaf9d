package admit

import (
	"cmp"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// refused expects that a caller's race may not come in.
func (g *guests) refused(caller string) OverloadedError {
	g.t.Helper()
	v, err := g.room.Enter(caller, nil)
	overloaded, ok := errors.AsType[*OverloadedError](err)
	if !ok || v != nil {
		g.t.Fatalf("Enter(%q) = %v, %v, want it refused", caller, v, err)
	}
	return *overloaded
}

// refusedWith expects an error. Retry is how long it takes.
func (g *guests) refusedWith(caller string, own bool, budget sched.DeferReason, retry time.Duration) {
	g.t.Helper()
	if got, want := g.refused(caller), (OverloadedError{Own: own, Budget: budget, RetryAfter: retry}); got != want {
		g.t.Errorf("Enter(%q): %v, want %v", caller, &got, &want)
	}
}

// crowdIn has races of one attempt come in until one is refused, and counts those that wait.
func (g *guests) crowdIn(caller string) int {
	g.t.Helper()
	for n := 0; ; n++ {
		v, err := g.room.Enter(caller, nil)
		if err != nil {
			return n
		}
		g.ask(v, 0, here, sched.DeferInFlight)
	}
}

// burst has a caller's race come in that waits with more attempts than there are places.
func (g *guests) burst(caller string, waiting int) *Race {
	g.t.Helper()
	v := g.enter(caller, caller)
	g.ask(v, 0, here, 0)
	for id := range waiting {
		g.ask(v, 1+id, here, sched.DeferCallerInFlight)
	}
	return v
}

// A caller alone gets half of the places. Each further one gets half of those that are
// left, and at least as much as if all before it had only a quarter.
func TestPlacesInLine(t *testing.T) {
	for _, c := range []struct {
		places int
		want   []int // by caller, in the order in which they come
	}{
		{1, []int{1, 0}},
		{2, []int{1, 1, 0}},
		{4, []int{2, 2, 1, 1, 0}},
		{8, []int{4, 3, 2, 1, 1, 0}},
		{100, []int{50, 38, 25, 13, 6, 3, 2, 1, 0}},
		{0, []int{5000, 3750, 2500, 1250}},
	} {
		g := newGuests(t, Limits{InFlight: 1, Waiting: c.places})
		g.ask(g.enter("first", "first"), 0, here, 0)
		for i, want := range c.want {
			if got := g.crowdIn(fmt.Sprint(i)); got != want {
				t.Errorf("of %d places caller %d gets %d, want %d", c.places, i, got, want)
			}
		}
		if n := g.room.Snapshot().Waiting; n > cmp.Or(c.places, DefaultWaiting)*3/2 {
			t.Errorf("of %d places %d are taken", c.places, n)
		}
	}
}

// TestRacesThatComeInTogetherLeaveRoom: the places of three callers whose races came in
// before any had asked, and went far beyond what there is, leave some for others.
func TestRacesThatComeInTogetherLeaveRoom(t *testing.T) {
	for callers, want := range map[int]int{1: 38, 2: 25, 3: 13} {
		g := newGuests(t, Limits{CallerInFlight: 1, Waiting: 100})
		for i := range callers {
			g.together(fmt.Sprint("a", i), 8, 60)
		}
		b := g.enter("b", "b")
		g.ask(b, 0, here, 0)
		for n := range want {
			g.ask(g.enter("b", "b"), 0, here, sched.DeferCallerInFlight)
			if n == 0 {
				g.enter("c", "c").Leave() // b's waiting leaves room too
			}
		}
		if err := g.refused("b"); err.Own != (callers == 1) {
			t.Errorf("with %d callers that take 25 places each, and %d of its own, b is told %v", callers, want, &err)
		}
		if err := g.refused("a0"); !err.Own && callers == 1 {
			t.Errorf("a, with 479 waiting, is told %v", &err)
		}
	}
}

// together has races come in one after the other, and then all ask.
func (g *guests) together(caller string, races, attempts int) {
	g.t.Helper()
	var all []*Race
	for range races {
		all = append(all, g.enter(caller, caller))
	}
	for i, v := range all {
		for id := range attempts {
			want := sched.DeferCallerInFlight
			if i == 0 && id == 0 {
				want = 0
			}
			g.ask(v, id, here, want)
		}
	}
}

// What may wait is bounded also where each of very many callers has one race, of more
// attempts than there are places.
func TestManyCallersDoNotWaitWithoutBound(t *testing.T) {
	const size = 100
	for _, places := range []int{1, 8, 100, 1000} {
		g := newGuests(t, Limits{InFlight: 1, Waiting: places})
		g.ask(g.enter("first", "first"), 0, here, 0)
		callers := 0
		for ; callers < 10_000; callers++ {
			v, err := g.room.Enter(fmt.Sprint(callers), nil)
			if err != nil {
				break
			}
			for id := range size {
				g.ask(v, id, here, sched.DeferInFlight)
			}
		}
		waiting := g.room.Snapshot().Waiting
		if most := max(places+size, 4*size); waiting > most || waiting < places {
			t.Errorf("of %d places %d callers take %d, want at most %d", places, callers, waiting, most)
		}
		if n := len(g.room.callers); n != 1+callers {
			t.Errorf("%d callers are known, and %d are in", n, 1+callers)
		}
	}
}

// The error names whose attempts take most of the places, and what these wait for.
func TestOverloadNamesTheBudgetAndWhoseAttempts(t *testing.T) {
	g := newGuests(t, Limits{CallerInFlight: 2, DestinationInFlight: 1, Waiting: 8})
	a, b := g.enter("a", "a"), g.enter("b", "b")
	g.ask(a, 0, here, 0)
	for id := range 3 {
		g.ask(a, 1+id, here, sched.DeferDestinationInFlight)
	}
	g.ask(b, 0, nextDoor, 0)
	g.ask(b, 1, elsewhere, 0)
	for id := range 3 {
		g.ask(b, 2+id, elsewhere, sched.DeferCallerInFlight)
	}
	for caller, want := range map[string]sched.DeferReason{"a": sched.DeferDestinationInFlight, "b": sched.DeferCallerInFlight} {
		if err := g.refused(caller); !err.Own || err.Budget != want {
			t.Errorf("%s is told %v, want %v of its own", caller, &err, want)
		}
	}
	c := g.enter("c", "c")
	g.ask(c, 0, here, sched.DeferDestinationInFlight) // as a
	g.ask(c, 1, here, sched.DeferDestinationInFlight)
	g.ask(b, 5, elsewhere, sched.DeferCallerInFlight) // one more than a
	g.ask(b, 6, elsewhere, sched.DeferCallerInFlight)
	if err := g.refused("c"); err.Own || err.Budget != sched.DeferCallerInFlight {
		t.Errorf("c is told %v, want what most of the others wait for", &err)
	}
	g.enter("d", "d")
}

// What the caller waits for itself is not held against the others.
func TestOverloadNamesWhatOnlyTheOthersWaitFor(t *testing.T) {
	g := newGuests(t, Limits{CallerInFlight: 1, DestinationInFlight: 1, Waiting: 8})
	a, b, c := g.enter("a", "a"), g.enter("b", "b"), g.enter("c", "c")
	g.ask(g.enter("first", "first"), 0, here, 0)
	for id := range 3 {
		g.ask(c, id, here, sched.DeferDestinationInFlight)
	}
	g.ask(b, 0, here, sched.DeferDestinationInFlight)
	g.ask(b, 1, nextDoor, 0)
	g.ask(b, 2, nextDoor, sched.DeferCallerInFlight)
	g.ask(a, 0, elsewhere, 0)
	g.ask(a, 1, elsewhere, sched.DeferCallerInFlight)
	g.ask(a, 2, elsewhere, sched.DeferCallerInFlight)
	if err := g.refused("c"); err.Own || err.Budget != sched.DeferCallerInFlight {
		t.Errorf("c is told %v, want what 3 of 4 others wait for", &err)
	}
}

func TestOverloadInWords(t *testing.T) {
	for want, err := range map[string]error{
		"too many attempts of this caller wait for caller_rate; retry in 1.5s":    &OverloadedError{true, sched.DeferCallerRate, 1500 * time.Millisecond},
		"too many attempts of other callers wait for descriptors; retry in 100ms": &OverloadedError{false, sched.DeferDescriptors, MinRetryAfter},
	} {
		if got := err.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestRetryAfterFollowsTheCallersOwn: how fast others move says nothing of a caller whose
// own attempts are too many.
func TestRetryAfterFollowsTheCallersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const budget = sched.DeferCallerInFlight
		g := newGuests(t, Limits{CallerInFlight: 1, Waiting: 8})
		a := g.burst("a", 7)
		g.refusedWith("a", true, budget, MinRetryAfter) // nothing is known
		time.Sleep(time.Second)
		g.refusedWith("a", true, budget, time.Second) // nothing, for a second
		b := g.burst("b", 100)
		for id := range 98 {
			b.Done(id)
		}
		b.Leave()
		time.Sleep(time.Second)
		a.Done(0)
		g.refusedWith("a", true, budget, 6*time.Second) // 6 wait, and with 3 it may come in
		time.Sleep(time.Second)
		a.Done(1)
		g.refusedWith("a", true, budget, 3*time.Second) // 2 too many, and 1.5 s each
		time.Sleep(time.Minute)
		g.refusedWith("a", true, budget, MaxRetryAfter)
		a.Done(2)
		a.Done(6) // gives up
		g.enter("a", "a")
	})
}

// TestRetryAfterFollowsAllOthers: when others take all places, it is their attempts that
// have to leave, and it counts how fast they do.
func TestRetryAfterFollowsAllOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const budget = sched.DeferCallerInFlight
		g := newGuests(t, Limits{CallerInFlight: 1, Waiting: 8})
		var all []*Race
		for i := range 4 {
			all = append(all, g.enter(fmt.Sprint(i), "all"))
		}
		for _, v := range all {
			for id := range 5 {
				v.Ask(id, here)
			}
		}
		g.refusedWith("b", false, budget, MinRetryAfter)
		time.Sleep(2 * time.Second)
		all[0].Done(0)
		g.refusedWith("b", false, budget, 16*time.Second) // 8 of 15 have to leave
		time.Sleep(time.Second)
		all[1].Leave() // 4 at once: 5 in 3 s
		g.enter("b", "b").Leave()
		g.burst("c", 4)
		g.refusedWith("b", false, budget, 4800*time.Millisecond) // 8 of 15 again
		time.Sleep(20 * time.Second)
		g.refusedWith("b", false, budget, 20*time.Second) // that was not to be
	})
}

// How fast a caller's own attempts went is no use to it while others take all places.
func TestRetryAfterIsThatOfTheOthersWhileTheyTakeAllPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t, Limits{CallerInFlight: 1, Waiting: 8})
		b := g.burst("b", 1)
		time.Sleep(time.Second)
		b.Done(1)
		var all []*Race
		for i := range 4 {
			all = append(all, g.burst(fmt.Sprint(i), 4))
		}
		time.Sleep(4 * time.Second)
		all[0].Done(0) // the second in 5 s
		g.ask(b, 1, here, sched.DeferCallerInFlight)
		g.refusedWith("b", false, sched.DeferCallerInFlight, 25*time.Second) // 10 of 1 + 16 have to leave
	})
}

// A race that gives up takes many out of the line at once, which is no fast line.
func TestRetryAfterIsNotFooledByABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t, Limits{CallerInFlight: 1, Waiting: 100})
		g.burst("a", 0)
		for range 20 {
			all := []*Race{g.enter("a", "a"), g.enter("a", "a")}
			for _, v := range all {
				for id := range 60 {
					g.ask(v, id, here, sched.DeferCallerInFlight)
				}
			}
			time.Sleep(6 * time.Second)
			all[0].Leave()        // 60 each 6 s
			err := g.refused("a") // until 11 have left
			if err.RetryAfter < 800*time.Millisecond || err.RetryAfter > 1200*time.Millisecond {
				t.Errorf("%v, want about 1.1 s", &err)
			}
			time.Sleep(6 * time.Second)
			all[1].Leave()
		}
	})
}

// TestTimeWithoutALineMeansNothing: a quiet minute says nothing of how fast the next
// line moves.
func TestTimeWithoutALineMeansNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t, Limits{InFlight: 1, Waiting: 4})
		v := g.enter("a", "v")
		g.ask(v, 0, here, 0)
		g.ask(v, 1, here, sched.DeferInFlight)
		time.Sleep(2 * time.Second)
		v.Done(0)
		time.Sleep(time.Minute)
		g.ask(v, 2, here, sched.DeferInFlight)
		g.ask(v, 3, here, sched.DeferInFlight)
		g.refusedWith("a", true, sched.DeferInFlight, 2*time.Second)
	})
}

// TestRetryAfterFollowsTheRate: nothing was served yet, and the rate says how long it
// will take.
func TestRetryAfterFollowsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t, Limits{CallerPerSecond: 2, Waiting: 4})
		a, b := g.enter("a", "a"), g.enter("b", "b")
		for id := range 12 {
			g.ask(a, id, here, []sched.DeferReason{0, sched.DeferCallerRate}[id/8])
		}
		g.ask(b, 0, here, 0)
		g.refusedWith("a", true, sched.DeferCallerRate, 1500*time.Millisecond)
		time.Sleep(1500*time.Millisecond - 1)
		g.refused("a")
		time.Sleep(time.Nanosecond)
		g.enter("a", "a") // as it was told
	})
}

// A caller that has not had anything served is told how fast the line moves.
func TestRetryAfterOfANewcomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests(t, Limits{InFlight: 1, Waiting: 8})
		a, b := g.enter("a", "a"), g.enter("b", "b")
		for id := range 4 {
			a.Ask(id, here)
		}
		time.Sleep(time.Second)
		a.Done(0)
		for id := range 4 {
			g.ask(b, id, here, sched.DeferInFlight)
		}
		g.refusedWith("b", true, sched.DeferInFlight, 3*time.Second) // 4 of its own, and 6 of 8
	})
}
