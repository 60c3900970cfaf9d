package sched

import (
	"fmt"
	"testing"
	"time"
)

// A clone and its race share nothing: before each step a clone is made, one of the two
// is stopped and gives up all it has, and the other goes on as if there had never been
// a clone. In every other world it is the clone that goes on.
func TestCloneSharesNothing(t *testing.T) {
	besideClones(t, halt)
}

// besideClones runs a race in each world, and before each step lets one of the two, a
// clone or the race itself, go astray: the other one goes on as if it were alone.
func besideClones(t *testing.T, astray func(r *Race, now time.Duration)) {
	t.Helper()
	eachWorld(func(w *world) {
		e := w.engine(t, new(Race))
		for range maxSteps {
			at, _ := e.wake()
			e.now = e.overslept(max(at, e.now))
			clone := e.race.Clone()
			if w.seed%2 == 0 {
				e.race, clone = clone, e.race
			}
			astray(clone, e.now)
			if e.step() {
				mustBeSame(t, w.name, &e.history, w.run(t, new(Race)))
				return
			}
		}
		e.fail("the race does not end")
	})
}

// halt ends a race; whatever it gives up is cancelled.
func halt(r *Race, now time.Duration) {
	batch := []Event{{Kind: Stopped, At: now, End: EndDeadlineNear}}
	for !r.done {
		actions := r.Step(now, batch, nil)
		batch = nil
		for _, id := range r.flying {
			batch = append(batch, Event{Kind: Cancelled, At: now, Attempt: id})
		}
		if !r.done && len(batch) == 0 {
			panic("it does not end: " + fmt.Sprint(actions))
		}
	}
}
