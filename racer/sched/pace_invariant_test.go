package sched

import (
	"fmt"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// The invariants of how much time lies between attempts.

// startsKeepTheFloor: RFC 8305 section 5, H2-31 and H3-42. A try that failed before it
// could start counts.
func startsKeepTheFloor(a *account) error {
	latest := -time.Hour
	byTurn := slices.SortedFunc(slices.Values(a.tries), func(f, g try) int { return f.nth - g.nth })
	for _, f := range byTurn {
		if f.begun == never && f.outcome.Kind != Failed {
			continue // it was given up, and never started
		}
		at := f.tried(a.last)
		if at < latest+10*ms && (!a.bursts() || f.Trigger == TriggerBackup) {
			return fmt.Errorf("attempt %d starts at %v, one before at %v", f.Attempt, at, latest)
		}
		latest = max(latest, at)
	}
	return nil
}

// bursts says that the strategy starts several attempts at once.
func (a *account) bursts() bool {
	return a.cfg.Strategy == AllAtOnce || a.cfg.Strategy == FirstThenAll
}

// startsLeaveTime: H2-22, H3-36 and H3-50, and design. A failure starts the next
// candidate at once, but not while an attempt younger than its delay is in flight.
func startsLeaveTime(a *account) error {
	for i := range a.tries {
		f := &a.tries[i]
		for j := range a.tries[:i] {
			if other := &a.tries[j]; other.live(f.asked) && !a.leavesTime(f, other) {
				return fmt.Errorf("attempt %d starts at %v while attempt %d is in flight", i, a.steps[f.asked].now, j)
			}
		}
	}
	return nil
}

// leavesTime says that an attempt may start beside a live one.
func (a *account) leavesTime(f, other *try) bool {
	patient := other.counts(f.asked) && a.steps[f.asked].now >= a.until(other, f.asked)
	switch {
	case f.Trigger == TriggerBackup && f.Candidate == other.Candidate:
		return other.begun <= f.asked // see backupsHaveACause
	case f.Trigger == TriggerBackup:
		return patient
	case a.cfg.Strategy == Sequential:
		return false
	case a.cfg.Strategy == AllAtOnce:
		return true
	case a.cfg.Strategy == FirstThenAll:
		return patient || other.Attempt > 0
	case a.cfg.Strategy == FamilyFallback:
		return other.counts(f.asked) // the families wait for each other in other ways
	case other.Trigger == TriggerBackup:
		return other.counts(f.asked) // it holds back further backups only
	}
	return patient
}

// until returns when an attempt has had its delay, as known in a step. One that is
// over needs no more than it had from the start.
func (a *account) until(f *try, step int) time.Duration {
	if !f.live(step) {
		return f.tried(step) + f.Delay
	}
	return a.granted(f, step)
}

// granted returns when an attempt has or would have had its delay. Version 3 gives
// it the delay anew after each stage of a handshake, up to 2 s from its start: H3-50.
func (a *account) granted(f *try, step int) time.Duration {
	until := f.tried(step) + f.Delay
	if at, ok := f.progress(step); ok && a.cfg.Version == V3 {
		until = max(until, min(at+f.Delay, f.start+2*time.Second))
	}
	return until
}

// familiesTakeTheirLanes: RFC 6555 section 5.
func familiesTakeTheirLanes(a *account) error {
	if a.cfg.Strategy != FamilyFallback {
		return nil
	}
	for i := range a.tries {
		f := &a.tries[i]
		if i == 0 || f.Trigger == TriggerBackup {
			continue
		}
		if a.runs(f.asked, i, a.family(f)) {
			return fmt.Errorf("attempt %d starts while its family has another one", i)
		}
		if a.family(f) != a.firstFamily() && !a.secondMayGo(f.asked, i) {
			return fmt.Errorf("attempt %d starts before the turn of its family", i)
		}
	}
	return nil
}

func (a *account) firstFamily() addrsel.Family { return a.family(&a.tries[0]) }

// runs says that one of the first attempts at a family, backups aside, was live after
// a step.
func (a *account) runs(step, attempts int, family addrsel.Family) bool {
	for i := range a.tries[:attempts] {
		if f := &a.tries[i]; f.live(step) && f.Trigger != TriggerBackup && a.family(f) == family {
			return true
		}
	}
	return false
}

// secondMayGo says that the first family has had its head start in a step, or
// nothing of it was left among what was not one of the first attempts.
func (a *account) secondMayGo(step, attempts int) bool {
	return a.steps[step].now >= a.until(&a.tries[0], step) || a.firstIsOver(step, attempts)
}

func (a *account) firstIsOver(step, attempts int) bool {
	return !a.runs(step, attempts, a.firstFamily()) && len(a.waiting(step, attempts, a.firstFamily())) == 0
}
