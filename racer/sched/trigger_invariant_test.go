package sched

import (
	"fmt"
	"slices"

	"github.com/connrace/connrace/racer/addrsel"
)

func triggersAreTrue(a *account) error {
	for i := range a.tries {
		f := &a.tries[i]
		if second := len(a.found[f.Candidate].attempts) > 1 && a.found[f.Candidate].attempts[0] != i; second != (f.Trigger == TriggerBackup) {
			return fmt.Errorf("attempt %d starts because of %v", i, f.Trigger)
		}
		if !a.triggered(f) {
			return fmt.Errorf("attempt %d does not start because of %v", i, f.Trigger)
		}
		if f.Trigger != TriggerNewAddress && a.hadOnlyNews(f) {
			return fmt.Errorf("attempt %d starts because of a new address, and not of %v", i, f.Trigger)
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
		return burst && (f.Attempt == 0 || !a.isLate(f) && !a.hadNoSlot(f))
	case TriggerAttemptDelay:
		return f.Attempt > 0 && a.delayPassed(f) && (a.cfg.Strategy == FamilyFallback || !a.hadNoSlot(f))
	case TriggerFailure:
		return f.Attempt > 0 && !burst && a.somethingEnded(f) && !a.delayCame(f) && (!a.inBulk() || !a.hadNoSlot(f))
	case TriggerNewAddress:
		return f.Attempt > 0 && a.isLate(f) && !a.waitedBefore(f) && (!a.bursts() || !a.hadNoSlot(f))
	case TriggerSlotFree:
		return f.Attempt > 0 && a.hadNoSlot(f)
	case TriggerBackup:
		return true // see backupsHaveACause
	}
	return false
}

// inBulk says that an end makes room for more than one attempt, or for those of one
// family alone, so that it is not what an attempt waits for that has no slot.
func (a *account) inBulk() bool {
	return a.cfg.Strategy == FirstThenAll || a.cfg.Strategy == FamilyFallback
}

// hadNoSlot says that MaxInFlight made something wait in the step before.
func (a *account) hadNoSlot(f *try) bool { return a.full(f.asked-1) && a.somethingWaits(f.asked-1) }

// isLate says that an attempt's candidate has come after the first start.
func (a *account) isLate(f *try) bool {
	opened := a.steps[a.tries[0].asked].now
	return slices.ContainsFunc(a.news(f.Candidate, f.asked), func(n int) bool { return a.steps[n].now > opened })
}

// hadOnlyNews says that an attempt could have started before, had its candidate been
// known: at the time of its start nothing happens but that answers come.
func (a *account) hadOnlyNews(f *try) bool {
	if f.Attempt == 0 || f.Trigger == TriggerBackup || f.asked == a.tries[f.Attempt-1].asked || a.full(f.asked-1) {
		return false
	}
	s, pace := a.steps[f.asked], a.paceDue(f.asked, f.Attempt, a.family(f))
	comes := slices.Contains(a.news(f.Candidate, f.asked), f.asked) && a.isLate(f)
	return comes && a.isQuiet(f.asked) && pace.known && pace.at < s.now
}

// isQuiet says that at the time of a step no attempt reports anything or is given up.
func (a *account) isQuiet(step int) bool {
	s := a.steps[step]
	return a.steps[step-1].now < s.now &&
		!slices.ContainsFunc(s.events, func(e Event) bool { return e.Kind != Resolved }) &&
		!slices.ContainsFunc(s.actions, func(action Action) bool { return action.Kind == Cancel })
}

// delayPassed says that an attempt has waited until the delay of another one had
// passed, which that one did not end before.
func (a *account) delayPassed(f *try) bool {
	switch now := a.steps[f.asked].now; a.cfg.Strategy {
	case Staggered, Adaptive:
		return now >= a.granted(a.youngest(f), f.asked)
	case FirstThenAll:
		return now >= a.until(&a.tries[0], f.asked)
	case FamilyFallback:
		return now >= a.until(&a.tries[0], f.asked) && a.isFirstOfSecondFamily(f)
	}
	return false
}

// youngest is the attempt that has started, failed to or was deferred last when another
// one starts, backups aside.
func (a *account) youngest(f *try) *try {
	best := &a.tries[0]
	for _, e := range a.events(f.asked) {
		if e.Kind != Started && e.Kind != Deferred && e.Kind != Failed {
			continue
		}
		told := &a.tries[e.Attempt]
		if told.Trigger != TriggerBackup && (e.Kind != Failed || told.begun == never) {
			best = told
		}
	}
	return best
}

// delayCame says that it was the delay of the youngest attempt that has passed, and
// not its end that has made room for the next one.
func (a *account) delayCame(f *try) bool {
	staggered := a.cfg.Strategy == Staggered || a.cfg.Strategy == Adaptive
	return staggered && a.delayPassed(f)
}

func (a *account) isFirstOfSecondFamily(f *try) bool {
	for i := range a.tries[:f.Attempt] {
		if a.family(&a.tries[i]) == a.family(f) {
			return false
		}
	}
	return true
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

// waitedBefore says that something waited for its turn after the step before: in
// the same lane, where families race each other. It is no witness when that turn may
// have come with the new address: the engine has overslept it, or an attempt has
// reported something in the same batch.
func (a *account) waitedBefore(f *try) bool {
	family := addrsel.FamilyAny
	if a.cfg.Strategy == FamilyFallback {
		family = a.family(f)
	}
	last, this := a.steps[f.asked-1], a.steps[f.asked]
	overslept := last.waits && last.next < this.now
	reported := slices.ContainsFunc(this.events, func(e Event) bool { return e.Kind != Resolved })
	return !overslept && !reported && len(a.waiting(f.asked-1, a.askedBefore(f.asked), family)) > 0
}
