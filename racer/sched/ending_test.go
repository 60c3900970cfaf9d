package sched

import (
	"fmt"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// The invariants of how attempts, candidates and races end.

// H2-23: a timer adds an attempt. Nothing is killed to make room.
func timersOnlyAdd(a *account) error {
	for _, f := range a.tries {
		if f.givenUp == never {
			continue
		}
		if now := a.steps[f.givenUp].now; !a.mayGiveUp(&f, now) {
			return fmt.Errorf("attempt %d is given up at %v (%v)", f.Attempt, now, f.cause)
		}
	}
	return nil
}

func (a *account) mayGiveUp(f *try, now time.Duration) bool {
	switch f.cause {
	case CauseTimeout:
		return a.cfg.AttemptTimeout > 0 && f.begun <= f.givenUp && now >= f.start+a.cfg.AttemptTimeout
	case CauseLost:
		return a.end == EndWon && f.givenUp == a.wonAt()
	case CauseEnded:
		return a.end != EndWon && (a.timedOut(f.givenUp) || a.stopped(f.givenUp, a.end))
	}
	return false
}

// wonAt returns the step of the only Won.
func (a *account) wonAt() int {
	for n, s := range a.steps {
		if slices.ContainsFunc(s.actions, func(action Action) bool { return action.Kind == Won }) {
			return n
		}
	}
	return never
}

func (a *account) timedOut(step int) bool {
	return a.cfg.Timeout > 0 && a.steps[step].now >= a.cfg.Timeout
}

func (a *account) stopped(step int, why EndReason) bool {
	for _, e := range a.events(step) {
		if e.Kind == Stopped && e.End == why {
			return true
		}
	}
	return false
}

func triesEnd(a *account) error {
	for _, f := range a.tries {
		if f.ended == never {
			return fmt.Errorf("attempt %d has none", f.Attempt)
		}
	}
	return nil
}

func outcomesAreTrue(a *account) error {
	for id := range a.found {
		c := &a.found[id]
		if len(c.settles) != 1 {
			return fmt.Errorf("candidate %d has %d", id, len(c.settles))
		}
		if got := c.settles[0]; !a.isTrue(got) {
			return fmt.Errorf("candidate %d is not %v", id, got)
		}
	}
	return nil
}

func (a *account) isTrue(settle Action) bool {
	c := &a.found[settle.Candidate]
	switch {
	case c.attempt != none:
		return settle.Outcome == a.outcome(c.attempt)
	case !a.listed(settle.Candidate, a.last):
		return settle.Outcome == OutcomeWithdrawn
	case c.Skip != SkipNone:
		return settle.Outcome == OutcomeSkipped && settle.Skip == c.Skip
	case settle.Outcome == OutcomeSkipped && settle.Skip == SkipDuplicate:
		return a.hasDouble(settle.Candidate)
	case a.tooMany(settle.Candidate, a.last):
		return settle.Outcome == OutcomeSkipped && settle.Skip == SkipTooMany
	}
	return settle.Outcome == OutcomeNotStarted
}

// hasDouble says that another candidate stands for the endpoint.
func (a *account) hasDouble(id int) bool {
	for other := range a.found {
		same := unmapped(a.found[other].Endpoint) == unmapped(a.found[id].Endpoint)
		settle := a.found[other].settles[0]
		if other != id && same && settle.Outcome != OutcomeSkipped && settle.Outcome != OutcomeWithdrawn {
			return true
		}
	}
	return false
}

// outcome is what an attempt came to.
func (a *account) outcome(attempt int) Outcome {
	f := &a.tries[attempt]
	switch {
	case len(a.won) == 1 && a.won[0].Attempt == attempt:
		return OutcomeWon
	case f.outcome.Kind == Failed:
		return OutcomeFailed
	case f.outcome.Kind == Connected && a.cfg.Goal == Every && f.givenUp == never:
		return OutcomeConnected
	case f.outcome.Kind == Connected:
		return OutcomeConnectedLate
	}
	return map[Cause]Outcome{
		CauseTimeout: OutcomeTimedOut, CauseLost: OutcomeCancelled, CauseEnded: OutcomeRunning,
	}[f.cause]
}

func settlesFollowTheRanking(a *account) error {
	want := a.ranking(a.last)
	for _, action := range a.steps[a.last].actions {
		if action.Kind != Settle {
			continue
		}
		got := ranked{unmapped(a.found[action.Candidate].Endpoint), action.Reason}
		switch out := action.Outcome == OutcomeSkipped || action.Outcome == OutcomeWithdrawn; {
		case out && (len(want) > 0 || action.Reason != addrsel.ReasonLast):
			return fmt.Errorf("%v is not last", action)
		case !out && (len(want) == 0 || got != want[0]):
			return fmt.Errorf("%v %v (%v), want %v", action, got.endpoint, got.reason, want)
		case !out:
			want = want[1:]
		}
	}
	if len(want) > 0 {
		return fmt.Errorf("%v are missing", want)
	}
	return nil
}

func finishIsLast(a *account) error {
	for n, s := range a.steps {
		for i, action := range s.actions {
			last := n == a.last && i == len(s.actions)-1
			if (action.Kind == Finish) != last || action.Kind == Settle && n != a.last {
				return fmt.Errorf("%v in step %d of %d", action, n, a.last)
			}
		}
	}
	return nil
}

func theTimeoutHolds(a *account) error {
	for n, s := range a.steps {
		if !a.timedOut(n) {
			continue
		}
		for i := range a.tries {
			if f := &a.tries[i]; f.asked == n || f.live(n) {
				return fmt.Errorf("attempt %d is in flight at %v", i, s.now)
			}
		}
		if a.inFlight(n) == 0 && n != a.last {
			return fmt.Errorf("nothing is in flight at %v", s.now)
		}
	}
	return nil
}

func wonMeansOneWinner(a *account) error {
	winners := 0
	for id := range a.found {
		if a.found[id].settles[0].Outcome == OutcomeWon {
			winners++
		}
	}
	want := 0
	if a.end == EndWon {
		want = 1
	}
	if len(a.won) != want || winners != want {
		return fmt.Errorf("%v: %d Won, %d outcomes won", a.end, len(a.won), winners)
	}
	for _, w := range a.won {
		if f := &a.tries[w.Attempt]; f.Candidate != w.Candidate || f.outcome.Kind != Connected {
			return fmt.Errorf("%v", w)
		}
	}
	return nil
}

func theEarliestWins(a *account) error {
	for _, w := range a.won {
		winner, step := &a.tries[w.Attempt], a.wonAt()
		for i := range a.tries {
			f := &a.tries[i]
			if f.outcome.Kind != Connected || f.ended > step || f.givenUp <= step {
				continue
			}
			if f.ended < step || f.outcome.At < winner.outcome.At || f.outcome.At == winner.outcome.At && i < w.Attempt {
				return fmt.Errorf("attempt %d was earlier than %d", i, w.Attempt)
			}
		}
	}
	return nil
}

func theEndIsTrue(a *account) error {
	if !a.endsAs(a.end) {
		return fmt.Errorf("%v", a.end)
	}
	return nil
}

func (a *account) endsAs(end EndReason) bool {
	order := a.ranking(a.last)
	switch end {
	case EndWon:
		return a.cfg.Goal == First
	case EndTimedOut:
		return a.timedOut(a.last)
	case EndDeadlineNear, EndCallerLeft:
		return a.stopped(a.last, end)
	case EndCompleted:
		done := a.cfg.Goal == Order || a.cfg.Goal == Every && len(a.tries) == len(order)
		return len(order) > 0 && a.allAnswered() && done
	case EndExhausted:
		return a.cfg.Goal == First && len(a.tries) > 0 && len(a.tries) == len(order) && a.allAnswered()
	}
	return len(order) == 0 && a.allAnswered() && a.nothingBecause(end)
}

func (a *account) allAnswered() bool {
	for id := range a.cfg.Questions {
		if !a.answered(id, a.last) {
			return false
		}
	}
	return true
}

// nothingBecause says why there is nothing to try: what is there is skipped, or
// the latest answers have nothing.
func (a *account) nothingBecause(end EndReason) bool {
	left := 0
	for id := range a.found {
		if a.listed(id, a.last) {
			left++
		}
	}
	last := map[int]Answer{}
	for _, e := range a.events(a.last) {
		if e.Kind == Resolved && e.Question != NoQuestion {
			last[e.Question] = e.Answer
		}
	}
	broken, types := false, map[RecordType]bool{}
	for id, q := range a.cfg.Questions {
		broken = broken || last[id] == Broken
		types[q.Type] = true
	}
	switch {
	case left > 0:
		return end == EndAllSkipped
	case broken:
		return end == EndResolutionFailed
	case types[A] && types[AAAA]:
		return end == EndNameNotFound
	}
	return end == EndNoAddresses
}
