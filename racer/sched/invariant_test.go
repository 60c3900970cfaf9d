package sched

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// invariants hold in every race, whatever the world does.
var invariants = []struct {
	sentence string
	check    func(*account) error
}{
	{"no two attempts start within 10 ms of each other, except all at once", startsKeepTheFloor},
	{"a start leaves every live attempt its attempt delay, a sequential one its whole time", startsLeaveTime},
	{"nothing starts before the gate opens, and the first attempt starts with it", firstStartIsAtTheGate},
	{"the first in ranked order that has not been tried starts next", startsFollowTheRanking},
	{"no endpoint is dialled twice", endpointsAreDialledOnce},
	{"what is skipped or withdrawn never starts", onlyWhatMayBeTriedStarts},
	{"a trigger tells the truth", triggersAreTrue},
	{"attempts in flight never exceed MaxInFlight", theCapHolds},
	{"a live attempt is given up only at its timeout or when the race is over", timersOnlyAdd},
	{"every attempt has an outcome by Finish", triesEnd},
	{"every candidate has exactly one Settle, and it is true", outcomesAreTrue},
	{"Settles come in ranked order with its reasons, the others last", settlesFollowTheRanking},
	{"Finish comes once and last, Settles only with it", finishIsLast},
	{"the race is over by Timeout, but for what the network takes to confirm", theTimeoutHolds},
	{"there is one winner if the race was won, and none otherwise", wonMeansOneWinner},
	{"the winner is the earliest connection of its batch", theEarliestWins},
	{"the reason of the end is true", theEndIsTrue},
	{"each question is asked once, at the beginning", questionsAreAskedOnce},
	{"Next is later than now, and exactly when something is due", nextIsDue},
}

func checkInvariants(t testing.TB, name string, h *history) {
	t.Helper()
	a := accountOf(h)
	for _, inv := range invariants {
		if err := inv.check(a); err != nil {
			t.Fatalf("%s: %s: %v\n%s", name, inv.sentence, err, h.text())
		}
	}
}

// RFC 8305 section 5: H2-31. A try that failed before it could start counts.
func startsKeepTheFloor(a *account) error {
	previous := -time.Hour
	for _, f := range a.tries {
		if f.begun == never && f.outcome.Kind != Failed || a.cfg.Strategy == AllAtOnce || a.cfg.Strategy == FirstThenAll {
			continue
		}
		if f.tried() < previous+10*ms {
			return fmt.Errorf("attempt %d starts at %v, the one before at %v", f.Attempt, f.tried(), previous)
		}
		previous = f.tried()
	}
	return nil
}

// H2-22, and design: a failure starts the next candidate at once, but not while
// an attempt younger than the attempt delay is in flight.
func startsLeaveTime(a *account) error {
	for _, f := range a.tries {
		for _, other := range a.tries[:f.Attempt] {
			if !other.live(f.asked) || a.cfg.Strategy == AllAtOnce || a.cfg.Strategy == FirstThenAll && other.Attempt > 0 {
				continue
			}
			now := a.steps[f.asked].now
			if other.begun > f.asked || a.cfg.Strategy == Sequential || now < other.start+a.cfg.AttemptDelay {
				return fmt.Errorf("attempt %d starts at %v while attempt %d is in flight", f.Attempt, now, other.Attempt)
			}
		}
	}
	return nil
}

// RFC 8305 section 3: H2-03, H2-05 to H2-08b.
func firstStartIsAtTheGate(a *account) error {
	first := never
	if len(a.tries) > 0 {
		first = a.tries[0].asked
	}
	opens := a.gateOpens()
	over := a.overAt()
	switch {
	case a.cfg.Goal == Order && first != never:
		return fmt.Errorf("an attempt starts, but only the order was asked for")
	case a.cfg.Goal == Order || first == opens || first == never && opens >= over:
		return nil
	}
	return fmt.Errorf("first start in step %d, the gate opens in step %d, the race is over in step %d", first, opens, over)
}

// gateOpens returns the first step in which the first attempt may start.
func (a *account) gateOpens() int {
	for n, s := range a.steps {
		open := a.preferredAnswered(n) || s.now >= a.addressSince(n)+a.cfg.ResolutionDelay
		if open && len(a.ranking(n)) > 0 {
			return n
		}
	}
	return never
}

// bringsAddress says that a step brings an address that may be tried, though a
// later event of the same step may withdraw it.
func (a *account) bringsAddress(step int) bool {
	for _, e := range a.steps[step].events {
		for place, c := range e.Candidates {
			tooMany := a.bounded(e.Question) && place >= a.cfg.MaxPerAnswer
			if c.Skip == SkipNone && !tooMany {
				return true
			}
		}
	}
	return false
}

func (a *account) preferredAnswered(step int) bool {
	preferred := AAAA
	if f := a.cfg.Ranking.PreferredFamily; f == A.Family() || f == addrsel.FamilyAny && a.cfg.OnlyRouted == A.Family() {
		preferred = A
	}
	for id := range a.found {
		if a.mayTry(id, step) && addrsel.FamilyOf(a.found[id].Endpoint.Addr()) == preferred.Family() {
			return true
		}
	}
	for id, q := range a.cfg.Questions {
		if q.Type == preferred && !a.answered(id, step) {
			return false
		}
	}
	return true
}

// overAt returns the step in which the race knew that it was over.
func (a *account) overAt() int {
	for n, s := range a.steps {
		for _, action := range s.actions {
			switch {
			case action.Kind == Won, action.Kind == Finish:
				return n
			case action.Kind == Cancel && action.Cause != CauseTimeout:
				return n
			}
		}
		if a.cfg.Timeout > 0 && s.now >= a.cfg.Timeout {
			return n
		}
		for _, e := range s.events {
			if e.Kind == Stopped {
				return n
			}
		}
	}
	return never
}

// H3-59, H2-36: the complete list is sorted, what has been tried included.
func startsFollowTheRanking(a *account) error {
	for _, f := range a.tries {
		endpoint := unmapped(a.found[f.Candidate].Endpoint)
		for _, r := range a.ranking(f.asked) {
			if r.endpoint == endpoint {
				break
			}
			if !a.dialed(r.endpoint, f.Attempt) {
				return fmt.Errorf("attempt %d goes to %v, but %v comes before it", f.Attempt, endpoint, r.endpoint)
			}
		}
	}
	return nil
}

func endpointsAreDialledOnce(a *account) error {
	for _, f := range a.tries {
		if endpoint := unmapped(a.found[f.Candidate].Endpoint); a.dialed(endpoint, f.Attempt) {
			return fmt.Errorf("attempt %d goes to %v again", f.Attempt, endpoint)
		}
	}
	return nil
}

// H2-35, H3-58.
func onlyWhatMayBeTriedStarts(a *account) error {
	for _, f := range a.tries {
		c := &a.found[f.Candidate]
		if c.Skip != SkipNone || a.tooMany(f.Candidate, f.asked) || !a.listed(f.Candidate, f.asked) {
			return fmt.Errorf("attempt %d goes to candidate %d", f.Attempt, f.Candidate)
		}
	}
	return nil
}

func triggersAreTrue(a *account) error {
	for _, f := range a.tries {
		if !a.triggered(&f) {
			return fmt.Errorf("attempt %d does not start because of %v", f.Attempt, f.Trigger)
		}
	}
	return nil
}

func (a *account) triggered(f *try) bool {
	burst := a.cfg.Strategy == AllAtOnce
	switch f.Trigger {
	case TriggerFirst:
		return f.Attempt == 0 && !burst
	case TriggerAllAtOnce:
		return burst
	case TriggerAttemptDelay:
		return (a.cfg.Strategy == Staggered || a.cfg.Strategy == FirstThenAll) && f.Attempt > 0 && a.delayPassed(f)
	case TriggerFailure:
		return !burst && a.somethingEnded(f)
	case TriggerNewAddress:
		late := func(step int) bool { return a.tries[0].asked < step && step <= f.asked }
		return f.Attempt > 0 && slices.ContainsFunc(a.found[f.Candidate].told, late)
	case TriggerSlotFree:
		return a.cfg.MaxInFlight > 0 && f.asked > 0 && a.inFlight(f.asked-1) == a.cfg.MaxInFlight && a.somethingWaits(f.asked-1)
	}
	return false
}

func (a *account) delayPassed(f *try) bool {
	last := a.tries[f.Attempt-1]
	if a.cfg.Strategy == FirstThenAll {
		last = a.tries[0]
	}
	return last.begun == never || a.steps[f.asked].now >= last.start+a.cfg.AttemptDelay
}

// somethingEnded says that an attempt had failed or timed out. In a race that
// success does not end, success counts too.
func (a *account) somethingEnded(f *try) bool {
	for _, other := range a.tries[:f.Attempt] {
		failed := other.ended <= f.asked && (other.outcome.Kind == Failed || a.cfg.Goal == Every)
		if failed || other.givenUp <= f.asked {
			return true
		}
	}
	return false
}

// somethingWaits says that a candidate had not been tried after a step.
func (a *account) somethingWaits(step int) bool {
	asked := 0
	for asked < len(a.tries) && a.tries[asked].asked <= step {
		asked++
	}
	return len(a.ranking(step)) > asked
}

func theCapHolds(a *account) error {
	for n, s := range a.steps {
		if count := a.inFlight(n); a.cfg.MaxInFlight > 0 && count > a.cfg.MaxInFlight {
			return fmt.Errorf("%d in flight at %v", count, s.now)
		}
	}
	return nil
}

func questionsAreAskedOnce(a *account) error {
	next := 0
	for n, s := range a.steps {
		for _, action := range s.actions {
			if action.Kind == Query && (n > 0 || action.Question != next) {
				return fmt.Errorf("question %d is asked in step %d", action.Question, n)
			}
			if action.Kind == Query {
				next++
			}
		}
	}
	if next != len(a.cfg.Questions) {
		return fmt.Errorf("%d questions are asked", next)
	}
	return nil
}
