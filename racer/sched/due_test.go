package sched

import (
	"fmt"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// due is the earliest of some moments.
type due struct {
	at    time.Duration
	known bool
}

func (d *due) or(at time.Duration) {
	if !d.known || at < d.at {
		d.at, d.known = at, true
	}
}

// orAt takes in another one.
func (d *due) orAt(other due) {
	if other.known {
		d.or(other.at)
	}
}

// nextIsDue compares Next with what the history says: no sooner, which would be
// spinning, and no later, which would delay a start or a timeout.
func nextIsDue(a *account) error {
	for n, s := range a.steps {
		want := a.due(n)
		if got := (due{s.next, s.waits}); got != want {
			return fmt.Errorf("at %v it is %v, want %v", s.now, got, want)
		}
		if want.known && want.at <= s.now {
			return fmt.Errorf("at %v it is %v", s.now, want)
		}
	}
	return nil
}

// due returns when the race must be called after a step, if nothing happens.
func (a *account) due(step int) due {
	switch expiry := a.expiryDue(step); {
	case step < a.overAt():
		if a.cfg.Timeout > 0 {
			expiry.or(a.cfg.Timeout)
		}
		if step < a.resortAt() {
			expiry.orAt(a.resortDue(step, step+1))
		}
		expiry.orAt(a.startDue(step))
		expiry.orAt(a.admissionDue(step))
		return expiry
	case a.inGrace(step) && a.someLive(step):
		expiry.or(a.graceEnds())
		return expiry
	}
	return due{}
}

func (a *account) someLive(step int) bool {
	for i := range a.tries {
		if a.tries[i].live(step) {
			return true
		}
	}
	return false
}

// expiryDue returns when an attempt will have had its time. A backup has that of the
// first attempt, also while it is deferred.
func (a *account) expiryDue(step int) (d due) {
	for i := range a.tries {
		if f := &a.tries[i]; a.cfg.AttemptTimeout > 0 && (f.runs(step) || f.waits(step) && f.Trigger == TriggerBackup) {
			d.or(a.expiry(f))
		}
	}
	return d
}

func (a *account) expiry(f *try) time.Duration {
	first := &a.tries[a.found[f.Candidate].attempts[0]]
	return first.tried(a.last) + a.cfg.AttemptTimeout
}

// startDue returns when the next attempt starts, if nothing happens. What may
// start at once has been started.
func (a *account) startDue(step int) (d due) {
	if a.cfg.Goal == Order || a.full(step) {
		return due{}
	}
	asked := a.askedBefore(step + 1)
	d = a.candidateDue(step, asked)
	d.orAt(a.backupDue(step, asked, d))
	return d
}

// candidateDue returns when a candidate may start after a number of attempts that has
// not been tried, as known in a step.
func (a *account) candidateDue(step, asked int) (d due) {
	waiting := a.waiting(step, asked, addrsel.FamilyAny)
	if asked == 0 && len(waiting) > 0 {
		return due{a.resolutionDelayEnds(step), true}
	}
	for _, r := range waiting {
		d.orAt(a.paceDue(step, asked, addrsel.FamilyOf(r.endpoint.Addr())))
	}
	return d
}

// paceDue returns when a candidate of a family may start after a number of attempts,
// as known in a step.
func (a *account) paceDue(step, asked int, f addrsel.Family) due {
	switch a.cfg.Strategy {
	case AllAtOnce:
		return due{0, true}
	case FirstThenAll:
		return a.headStartDue(step)
	case FamilyFallback:
		return a.laneDue(step, asked, f)
	case Sequential:
		if a.someLive(step) {
			return due{}
		}
	}
	return a.patienceDue(step, asked, none)
}

// headStartDue returns when the first attempt has had its chance.
func (a *account) headStartDue(step int) due {
	switch first := &a.tries[0]; {
	case !first.live(step):
		return due{a.steps[min(first.ended, first.givenUp)].now, true}
	case !first.counts(step):
		return due{}
	default:
		return due{a.until(first, step), true}
	}
}

// patienceDue returns when every live attempt will have had its delay, and the floor
// has passed. A backup holds back further backups only, and does not wait for the
// attempt it is a backup of.
func (a *account) patienceDue(step, asked, backupOf int) due {
	at, ok := a.floor(step, asked)
	for i := range a.tries[:asked] {
		if f := &a.tries[i]; f.live(step) && i != backupOf && (backupOf != none || f.Trigger != TriggerBackup) {
			at = max(at, a.until(f, step))
		}
	}
	return due{at, ok}
}

// floor returns when 10 ms have passed since the latest start, or deferral. That is
// not known as long as an attempt has yet to start.
func (a *account) floor(step, asked int) (at time.Duration, ok bool) {
	for i := range a.tries[:asked] {
		f := &a.tries[i]
		if f.isPending(step) {
			return 0, false
		}
		at = max(at, f.tried(step)+10*ms)
	}
	return at, true
}

// laneDue returns when a family may go on that races another one.
func (a *account) laneDue(step, asked int, f addrsel.Family) due {
	at, ok := a.floor(step, asked)
	if !ok || a.runs(step, asked, f) {
		return due{}
	}
	if f != a.firstFamily() && !a.firstIsOver(step, asked) {
		at = max(at, a.until(&a.tries[0], step))
	}
	return due{at, true}
}

// backupDue returns when the next backup starts, given when the next candidate does. It
// goes to an attempt whose SYN would be sent again before that, and takes no candidate's place.
func (a *account) backupDue(step, asked int, candidate due) (d due) {
	made := 0
	for _, f := range a.tries[:asked] {
		if f.Trigger == TriggerBackup {
			made++
		}
	}
	if made >= a.cfg.MaxBackups || a.cfg.Strategy == Sequential {
		return due{}
	}
	for i := range a.tries[:asked] {
		f := &a.tries[i]
		if !f.runs(step) || f.progressed(step) || a.twice(f.Candidate, step) || !a.hasDoor(f.Candidate, step) {
			continue
		}
		patience := a.patienceDue(step, asked, i)
		if !patience.known {
			return due{}
		}
		at := max(patience.at, f.start+a.backupDelay(f.Candidate, step))
		if again := f.start + time.Second; max(at, a.steps[step].now) < again && (!candidate.known || candidate.at >= again && !a.lastPlace(step)) {
			d.or(at)
		}
	}
	return d
}

// twice says that a candidate had its backup by then.
func (a *account) twice(id, step int) bool {
	tried := a.found[id].attempts
	return len(tried) > 1 && a.tries[tried[1]].asked <= step
}

// lastPlace says that after a step no more than one attempt could join those in flight.
func (a *account) lastPlace(step int) bool {
	return a.cfg.MaxInFlight > 0 && a.inFlight(step)+1 >= a.cfg.MaxInFlight
}
