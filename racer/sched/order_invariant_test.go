package sched

import (
	"fmt"

	"github.com/connrace/connrace/racer/addrsel"
)

// The invariants of which candidate an attempt goes to.

// startsFollowTheRanking: H3-20, H3-25, H3-39 and H3-59 (version 2: H2-36). Where
// families race each other, each of them has its own line.
func startsFollowTheRanking(a *account) error {
	for i := range a.tries {
		f := &a.tries[i]
		if f.Trigger == TriggerBackup {
			continue
		}
		next, ok := a.nextInLine(f)
		if !ok || next != a.door(f.Candidate, f.asked) {
			return fmt.Errorf("attempt %d goes to candidate %d, but %v is next", i, f.Candidate, next)
		}
	}
	return nil
}

// nextInLine returns where an attempt should go.
func (a *account) nextInLine(f *try) (door, bool) {
	for _, r := range a.line(f.asked) {
		mine := addrsel.FamilyOf(r.endpoint.Addr()) == a.family(f)
		if a.cfg.Strategy == FamilyFallback && f.Attempt > 0 && !mine {
			continue
		}
		if !a.opened(r.door, f.Attempt) {
			return r.door, true
		}
	}
	return door{}, false
}

func endpointsAreDialledOnce(a *account) error {
	for i := range a.tries {
		f := &a.tries[i]
		if f.Trigger != TriggerBackup && a.opened(a.door(f.Candidate, f.asked), i) {
			return fmt.Errorf("attempt %d goes to candidate %d again", i, f.Candidate)
		}
	}
	for id := range a.found {
		tried := a.found[id].attempts
		if len(tried) > 2 || len(tried) == 2 && a.tries[tried[1]].Trigger != TriggerBackup {
			return fmt.Errorf("candidate %d has attempts %v", id, tried)
		}
	}
	return nil
}

// onlyWhatMayBeTriedStarts: H2-35, H3-53, H3-57 and H3-58.
func onlyWhatMayBeTriedStarts(a *account) error {
	for i := range a.tries {
		f := &a.tries[i]
		may := a.listed(f.Candidate, f.asked) && !a.tooMany(f.Candidate, f.asked)
		if f.Trigger == TriggerBackup {
			may = a.hasDoor(f.Candidate, f.asked)
		}
		if first := a.found[f.Candidate].attempts[0]; !may || a.skip(f.Candidate, a.tries[first].asked) != SkipNone {
			return fmt.Errorf("attempt %d goes to candidate %d", i, f.Candidate)
		}
	}
	return nil
}
