package sched

import (
	"fmt"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// The invariants of how attempts, candidates and races end.

// timersOnlyAdd: H2-23, H2-34 and H3-58. A timer adds an attempt; nothing is killed to
// make room, or because DNS no longer has it.
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
		may := f.begun <= f.givenUp || f.Trigger == TriggerBackup && f.isPutOff(f.givenUp, f.givenUp)
		return a.cfg.AttemptTimeout > 0 && may && now >= a.expiry(f) && (f.givenUp == a.overAt() || a.lives(f.givenUp))
	case CauseLost:
		return a.end == EndWon && f.givenUp == a.lostAt(f)
	case CauseEnded:
		return a.end != EndWon && f.givenUp == a.overAt()
	}
	return false
}

func (a *account) timedOut(step int) bool {
	return a.cfg.Timeout > 0 && a.steps[step].now >= a.cfg.Timeout
}

// stopped says that the caller's side had ended the race by then.
func (a *account) stopped(step int) bool { return a.stop(step) != EndNone }

// stop returns the latest reason.
func (a *account) stop(step int) (why EndReason) {
	for _, e := range a.events(step) {
		if e.Kind == Stopped {
			why = e.End
		}
	}
	return why
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
	var outcomes [2]Outcome
	for i, attempt := range c.attempts {
		outcomes[i] = a.outcome(attempt)
	}
	switch {
	case settle.Outcomes != outcomes:
		return false
	case len(c.attempts) > 0:
		return settle.Outcome == a.candidateOutcome(c.attempts)
	case !a.listed(settle.Candidate, a.last):
		return settle.Outcome == OutcomeWithdrawn
	case c.now().skip != SkipNone:
		return settle.Outcome == OutcomeSkipped && settle.Skip == c.now().skip
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
		settle := a.found[other].settles[0]
		out := settle.Outcome == OutcomeSkipped || settle.Outcome == OutcomeWithdrawn
		if other != id && !out && a.door(other, a.last) == a.door(id, a.last) {
			return true
		}
	}
	return false
}

// candidateOutcome is the best of what the attempts at a candidate came to; where
// none has connected, it is that of the first.
func (a *account) candidateOutcome(attempts []int) Outcome {
	for _, best := range []Outcome{OutcomeWon, OutcomeConnected, OutcomeConnectedLate} {
		for _, id := range attempts {
			if a.outcome(id) == best {
				return best
			}
		}
	}
	return a.outcome(attempts[0])
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
	if f.begun == never {
		return OutcomeNotStarted
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
		got := a.door(action.Candidate, a.last)
		switch out := action.Outcome == OutcomeSkipped || action.Outcome == OutcomeWithdrawn; {
		case out && (len(want) > 0 || action.Reason != addrsel.ReasonLast):
			return fmt.Errorf("%v is not last", action)
		case !out && (len(want) == 0 || got != want[0].door || action.Reason != want[0].reason):
			return fmt.Errorf("%v %v (%v), want %v", action, got, action.Reason, want)
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
	best := none
	for i := range a.tries {
		f := &a.tries[i]
		if f.outcome.Kind != Connected || f.givenUp != never || f.ended > a.overAt() {
			continue
		}
		if best == none || f.outcome.At < a.tries[best].outcome.At {
			best = i
		}
	}
	if a.end == EndWon && (a.wonAt != a.overAt() || a.won[0].Attempt != best) {
		return fmt.Errorf("%v in step %d, want attempt %d in step %d", a.won[0], a.wonAt, best, a.overAt())
	}
	return nil
}

// theEndIsTrue: the race goes on until there is a reason to end it, and then only
// until all that is in flight has reported.
func theEndIsTrue(a *account) error {
	over := a.overAt()
	if over > a.last {
		return fmt.Errorf("%v, but the race is not over", a.end)
	}
	if want := a.reason(over); a.end != want {
		return fmt.Errorf("%v, want %v", a.end, want)
	}
	for n := over; n < a.last; n++ {
		if a.inFlight(n) == 0 {
			return fmt.Errorf("it goes on after %v, but nothing is in flight", a.steps[n].now)
		}
	}
	return nil
}

// overAt returns the first step in which there is a reason to end the race.
func (a *account) overAt() int {
	if a.over == nil {
		n := 0
		for n <= a.last && a.reason(n) == EndNone {
			n++
		}
		if n > a.last {
			n = never
		}
		a.over = &n
	}
	return *a.over
}

// reason returns why the race is over, if it has not been so before a step. Failed
// service information is the first one, as to go on could be what an attacker wants;
// and a connection in hand beats the clock.
func (a *account) reason(step int) EndReason {
	switch {
	case a.cfg.Service.Protected && a.broken(step, forService): // H3-55
		return EndServiceFailed
	case a.cfg.Goal == First && a.connected(step):
		return EndWon
	case a.stopped(step):
		return a.stop(step)
	case a.timedOut(step):
		return EndTimedOut
	case !a.allAnswered(step, anyQuestion) || a.resortPends(step):
		return EndNone
	}
	return a.natural(step)
}

// resortPends says that the last resort is left, and nothing has connected yet that
// would make it superfluous.
func (a *account) resortPends(step int) bool {
	wanted := len(a.cfg.LastResort) > 0 && a.cfg.Goal != Order && !a.connected(step)
	return wanted && step < a.resortAt()
}

// natural returns why a race is over that nothing and nobody ends early.
func (a *account) natural(step int) EndReason {
	begun := a.askedBefore(step)
	left := len(a.waiting(step, begun, addrsel.FamilyAny))
	flying := slices.ContainsFunc(a.tries[:begun], func(f try) bool { return f.ended > step })
	switch {
	case len(a.ranking(step)) == 0:
		return a.nothingBecause(step)
	case a.cfg.Goal == Order:
		return EndCompleted
	case left > 0 || flying:
		return EndNone
	case a.cfg.Goal == Every:
		return EndCompleted
	}
	return EndExhausted
}

// nothingBecause says why there is nothing to try: what is there is skipped, or
// the latest answers have nothing.
func (a *account) nothingBecause(step int) EndReason {
	for id := range a.found {
		if a.listed(id, step) {
			return EndAllSkipped
		}
	}
	types := map[RecordType]bool{}
	for _, q := range a.questions {
		types[q.Type] = types[q.Type] || q.known <= step
	}
	switch {
	case a.broken(step, anyQuestion):
		return EndResolutionFailed
	case types[A] && types[AAAA]:
		return EndNameNotFound
	}
	return EndNoAddresses
}
