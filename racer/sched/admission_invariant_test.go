package sched

import (
	"fmt"
	"slices"
	"time"
)

// theAdmittedStart: H2-31 and H3-42 as to the floor, and design.
func theAdmittedStart(a *account) error {
	for n, s := range a.steps {
		var got []int
		for i := range a.tries {
			if a.tries[i].let == n {
				got = append(got, i)
			}
		}
		var want []int
		if n < a.overAt() {
			want = a.mayBegin(n)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("at %v attempts %v may start, want %v", s.now, got, want)
		}
	}
	return nil
}

// mayBegin returns which attempts may start in a step that were deferred before.
func (a *account) mayBegin(step int) (may []int) {
	floored := none
	for i := range a.tries {
		switch f := &a.tries[i]; {
		case f.admitted > step || f.let < step || !f.live(step):
		case a.knowsNoFloor(f):
			may = append(may, i)
		case floored == none:
			floored = i
		}
	}
	if floored != none && len(may) == 0 && a.floorIsOver(step) {
		may = append(may, floored)
	}
	return may
}

func (a *account) knowsNoFloor(f *try) bool { return a.bursts() && f.Trigger != TriggerBackup }

// floorIsOver says that in a step nothing that had been told to start before had yet
// to start, and nothing had started or failed to within 10 ms.
func (a *account) floorIsOver(step int) bool {
	for i := range a.tries {
		f := &a.tries[i]
		told := f.asked < step && (f.deferred > step || f.let < step)
		switch since, began := f.left(step); {
		case told && f.live(step) && !began:
			return false
		case began && a.steps[step].now < since+10*ms:
			return false
		}
	}
	return true
}

// left returns when an attempt had started or failed to, as known in a step.
func (f *try) left(step int) (at time.Duration, ok bool) {
	if f.begun <= step {
		return f.start, true
	}
	return f.outcome.At, f.ended <= step && f.outcome.Kind == Failed
}

// admissionDue returns when the next of what is admitted after a step may start.
func (a *account) admissionDue(step int) (d due) {
	waits := slices.ContainsFunc(a.tries, func(f try) bool { return f.waits(step) && f.admitted <= step })
	if !waits {
		return due{}
	}
	d.or(0)
	for i := range a.tries {
		f := &a.tries[i]
		if f.asked <= step && f.isPending(step) {
			return due{}
		}
		if at, ok := f.left(step); ok {
			d.at = max(d.at, at+10*ms)
		}
	}
	return d
}

// admissionMeetings are what must meet in a world where attempts are deferred.
var admissionMeetings = []string{
	"what was deferred wins", "what was deferred fails to start", "what was deferred connects late", "what was deferred times out",
	"a deferred attempt has lost", "a deferred attempt is left when the race ends", "a backup's time is over while it is deferred",
	"a backup starts that was deferred", "a backup in a burst starts that was deferred", "an attempt is deferred in the grace",
	"a deferral crosses its cancel", "an admission crosses its cancel",
	"what is admitted waits for the floor", "what is admitted waits for one that was asked for", "one of two that are admitted goes first",
	"an attempt passes one that is deferred", "an attempt does not wait for a deferred backup", "a family passes one that is deferred",
	"all others pass a first one that is deferred", "an address comes while another is deferred", "a deferred attempt keeps its place",
	"what was deferred holds the next one back anew", "a last resort does not wait for what is deferred", "a stage is done of what was deferred",
}

// admissionMeetingsOf are those in which an attempt takes part.
func (a *account) admissionMeetingsOf(f *try) map[string]bool {
	backup := f.Trigger == TriggerBackup
	outcome := a.outcome(f.Attempt)
	put, began := f.deferred != never, f.begun != never
	if !put {
		return map[string]bool{
			"an attempt passes one that is deferred":         a.passes(f, a.cfg.Strategy, false),
			"a family passes one that is deferred":           a.passes(f, FamilyFallback, false),
			"all others pass a first one that is deferred":   a.passes(f, FirstThenAll, false) && a.tries[0].waits(f.asked),
			"an attempt does not wait for a deferred backup": a.passes(f, a.cfg.Strategy, true) && !backup && !a.bursts(),
			"an address comes while another is deferred":     a.passes(f, a.cfg.Strategy, false) && f.Trigger == TriggerNewAddress,
		}
	}
	floored := !a.knowsNoFloor(f) && f.admitted < f.let && f.let != never
	return map[string]bool{
		"what was deferred wins":                            outcome == OutcomeWon,
		"what was deferred fails to start":                  !began && outcome == OutcomeFailed,
		"what was deferred connects late":                   outcome == OutcomeConnectedLate,
		"what was deferred times out":                       outcome == OutcomeTimedOut,
		"a deferred attempt has lost":                       !began && f.cause == CauseLost,
		"a deferred attempt is left when the race ends":     !began && f.cause == CauseEnded,
		"a backup's time is over while it is deferred":      !began && f.cause == CauseTimeout,
		"a backup starts that was deferred":                 backup && began,
		"a backup in a burst starts that was deferred":      backup && began && a.bursts(),
		"an attempt is deferred in the grace":               f.deferred > a.wonAt && f.givenUp == f.deferred,
		"a deferral crosses its cancel":                     f.deferred > f.givenUp,
		"an admission crosses its cancel":                   f.admitted != never && f.admitted > f.givenUp,
		"what is admitted waits for the floor":              floored,
		"what is admitted waits for one that was asked for": floored && a.someonePends(f),
		"one of two that are admitted goes first":           a.goesFirst(f),
		"a deferred attempt keeps its place":                a.cfg.MaxInFlight > 0 && a.full(f.deferred) && a.somethingWaits(f.deferred),
		"what was deferred holds the next one back anew":    a.holdsBackAnew(f),
		"a last resort does not wait for what is deferred":  a.resortAt() != never && a.resortAt() < a.overAt() && f.isPutOff(a.resortAt(), a.resortAt()),
		"a stage is done of what was deferred":              len(f.stages) > 0,
	}
}

// passes says that an attempt starts while one that was asked for before is deferred.
func (a *account) passes(f *try, strategy Strategy, backup bool) bool {
	return a.cfg.Strategy == strategy && slices.ContainsFunc(a.tries[:f.Attempt], func(other try) bool {
		return other.waits(f.asked) && backup == (other.Trigger == TriggerBackup)
	})
}

func (a *account) someonePends(f *try) bool {
	return slices.ContainsFunc(a.tries, func(other try) bool { return other.asked <= f.admitted && other.isPending(f.admitted) })
}

// goesFirst says that another one would have started instead of an attempt.
func (a *account) goesFirst(f *try) bool {
	return f.let != never && !a.knowsNoFloor(f) && slices.ContainsFunc(a.tries, func(other try) bool {
		return other.waits(f.let) && other.admitted <= f.let && !a.knowsNoFloor(&other)
	})
}

// holdsBackAnew says that an attempt starts when one that was deferred has had its
// delay since its start, which is longer than it was since the deferral.
func (a *account) holdsBackAnew(f *try) bool {
	return f.Delay > 0 && slices.ContainsFunc(a.tries[f.Attempt+1:], func(other try) bool {
		now := a.steps[other.asked].now
		return f.begun <= other.asked && now == f.start+f.Delay && now > f.deferral+f.Delay && other.Trigger == TriggerAttemptDelay
	})
}
