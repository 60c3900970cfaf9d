package sched

import (
	"fmt"
	"time"
)

// losersHaveTheirGrace looks at what was in flight when the race was won: H2-24 and
// H3-37, where there is no grace.
func losersHaveTheirGrace(a *account) error {
	over := a.graceOver()
	for i := range a.tries {
		f := &a.tries[i]
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
	return nil
}
