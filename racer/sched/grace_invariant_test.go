package sched

import (
	"fmt"
	"time"
)

// losersHaveTheirGrace looks at what was in flight when the race was won: H2-24 and
// H3-37, where there is no grace.
func losersHaveTheirGrace(a *account) error {
	for i := range a.tries {
		f := &a.tries[i]
		over := a.lostAt(f)
		if a.wonAt == never || !f.live(a.wonAt-1) && f.asked != a.wonAt || f.ended <= a.wonAt {
			continue
		}
		switch {
		case f.givenUp == never && f.ended > over:
			return fmt.Errorf("attempt %d is not given up", i)
		case f.cause == CauseLost && f.givenUp != over:
			return fmt.Errorf("attempt %d is given up in step %d, but the grace is over in step %d", i, f.givenUp, over)
		}
	}
	return nil
}

// graceOver returns the step in which the losers must be done.
func (a *account) graceOver() int {
	for n := a.wonAt; n <= a.last; n++ {
		if a.stopped(n) || a.timedOut(n) || a.steps[n].now >= a.steps[a.wonAt].now+a.cfg.Grace {
			return n
		}
	}
	return never
}

// lostAt returns the step in which a loser must be done. One that has not started is
// given up as soon as it is deferred, since nothing starts after the win.
func (a *account) lostAt(f *try) int {
	if f.deferred == never || f.let < a.wonAt {
		return a.graceOver()
	}
	return min(max(a.wonAt, f.deferred), a.graceOver())
}

// inGrace says that after a step the race was won, and losers could still finish.
func (a *account) inGrace(step int) bool { return a.wonAt <= step && step < a.graceOver() }

// graceEnds returns when the grace is over, if nobody stops the race.
func (a *account) graceEnds() time.Duration {
	ends := a.steps[a.wonAt].now + a.cfg.Grace
	if a.cfg.Timeout > 0 {
		ends = min(ends, a.cfg.Timeout)
	}
	return ends
}

// nothingBeginsAfterTheEnd: H2-25.
func nothingBeginsAfterTheEnd(a *account) error {
	for n := a.overAt(); n <= a.last; n++ {
		for _, action := range a.steps[n].actions {
			if action.Kind == Start || action.Kind == Query && n > 0 {
				return fmt.Errorf("%v at %v", action, a.steps[n].now)
			}
		}
	}
	for i := range a.tries {
		if f := &a.tries[i]; f.let != never && f.let >= a.overAt() {
			return fmt.Errorf("attempt %d may start at %v", i, a.steps[f.let].now)
		}
	}
	return nil
}
