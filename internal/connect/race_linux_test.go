package connect

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/racer/sched"
)

func TestMain(m *testing.M) {
	if os.Getenv(starved) != "" { // its endpoints are its parent's
		os.Exit(m.Run())
	}
	os.Exit(netlabtest.Run(m))
}

// race is one without a scheduler: the test says what starts and what is given up.
type race struct {
	Attempts
	*log

	now func() time.Duration
}

// newRace is closed when the test ends, at the latest.
func newRace(t testing.TB, attempts func(Race) Attempts, keep bool) *race {
	t.Helper()
	return newRaceOf(t, attempts, Race{Keep: keep})
}

// newRaceOf is newRace with more than Keep to it.
func newRaceOf(t testing.TB, attempts func(Race) Attempts, of Race) *race {
	t.Helper()
	began, l := time.Now(), new(log)
	of.Now, of.Post = func() time.Duration { return time.Since(began) }, l.post
	r := &race{Attempts: attempts(of), log: l, now: of.Now}
	t.Cleanup(r.Close)
	return r
}

// newEngine is closed when the test ends.
func newEngine(t testing.TB) *Engine {
	t.Helper()
	e := new(Engine)
	t.Cleanup(e.Close)
	return e
}

// rawRace is one on raw sockets, and never on anything else.
func rawRace(t testing.TB, e *Engine, keep bool) (*race, *raw) {
	t.Helper()
	r := newRace(t, e.Attempts, keep)
	a, ok := r.Attempts.(*raw)
	if !ok {
		t.Fatalf("the engine gave %T", r.Attempts)
	}
	p, err := e.poller() // now and not with the first attempt, for tests to look at
	must(t, err)
	a.attach(p)
	return r, a
}

// held is the poller of a race or, if it has waited without an attempt in flight, the one
// that its engine keeps of it.
func held(a *raw) *poller {
	if a.poller != nil {
		return a.poller
	}
	idle := a.engine.idle
	return idle[len(idle)-1]
}

// until waits as a race does: until the attempt has posted all of these.
func (r *race) until(t testing.TB, attempt int, kinds ...sched.EventKind) sched.Event {
	t.Helper()
	for deadline := r.now() + patience; r.now() < deadline && len(r.of(attempt)) < len(kinds); {
		r.Wait(r.now()+100*ms, true)
	}
	if got := r.kinds(attempt); !slices.Equal(got, kinds) {
		t.Fatalf("attempt %d posted %v, want %v", attempt, got, kinds)
	}
	return r.of(attempt)[len(kinds)-1]
}

// outcome waits for what an attempt comes to.
func (r *race) outcome(t testing.TB, attempt int) sched.Event {
	t.Helper()
	for deadline := r.now() + patience; r.now() < deadline; r.Wait(r.now()+100*ms, true) {
		events := r.of(attempt)
		if n := len(events); n > 0 && events[n-1].Kind != sched.Started && events[n-1].Kind != sched.Progressed {
			return events[n-1]
		}
	}
	t.Fatalf("attempt %d posted %v and no outcome within %v", attempt, r.kinds(attempt), patience)
	return sched.Event{}
}

// eachEngine runs a test with both.
func eachEngine(t *testing.T, f func(t *testing.T, attempts func(Race) Attempts)) {
	t.Helper()
	t.Run("raw", func(t *testing.T) { f(t, newEngine(t).Attempts) })
	t.Run("portable", func(t *testing.T) {
		f(t, func(r Race) Attempts { return Portable(r, nil) })
	})
}
