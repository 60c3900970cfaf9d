package sched

import (
	"fmt"
	"time"
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

// nextIsDue compares Next with what the history says: no sooner, which would be
// spinning, and no later, which would delay a start or a timeout.
func nextIsDue(a *account) error {
	over := a.overAt()
	for n, s := range a.steps {
		var want due
		if n < over {
			want = a.due(n)
		}
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
	var d due
	if a.cfg.Timeout > 0 {
		d.or(a.cfg.Timeout)
	}
	for i := range a.tries {
		if f := &a.tries[i]; a.cfg.AttemptTimeout > 0 && f.live(step) && f.begun <= step {
			d.or(f.start + a.cfg.AttemptTimeout)
		}
	}
	full := a.cfg.MaxInFlight > 0 && a.inFlight(step) >= a.cfg.MaxInFlight
	if a.cfg.Goal == Order || full || !a.somethingWaits(step) {
		return d
	}
	if start := a.startDue(step); start.known {
		d.or(start.at)
	}
	return d
}

// startDue returns when the next attempt starts, if nothing happens. What may
// start at once has been started.
func (a *account) startDue(step int) due {
	if len(a.tries) == 0 || a.tries[0].asked > step {
		return due{a.addressSince(step) + a.cfg.ResolutionDelay, true}
	}
	if a.cfg.Strategy == FirstThenAll {
		first := &a.tries[0]
		return due{first.start + a.cfg.AttemptDelay, first.begun <= step} // an end has started all others
	}
	var at time.Duration
	for i := range a.tries {
		f := &a.tries[i]
		switch live := f.live(step); {
		case f.asked > step:
		case live && (f.begun > step || a.cfg.Strategy == Sequential):
			return due{}
		case live:
			at = max(at, f.start+a.cfg.AttemptDelay, f.start+10*ms)
		default:
			at = max(at, f.tried()+10*ms)
		}
	}
	return due{at, true}
}

// tried returns when an attempt that is over started, or failed to.
func (f *try) tried() time.Duration {
	if f.begun == never {
		return f.outcome.At
	}
	return f.start
}

// addressSince returns when the race learned of the first address by then.
func (a *account) addressSince(step int) time.Duration {
	for n := range step + 1 {
		if a.bringsAddress(n) {
			return a.steps[n].now
		}
	}
	return 0
}
