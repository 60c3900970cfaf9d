package sched

import (
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// ending says whether the race is over, and why. A connection in hand beats a
// deadline that has just passed.
func (r *Race) ending() EndReason {
	if r.serviceFailed() {
		return EndServiceFailed
	}
	if r.cfg.Goal == First {
		if r.winner = r.earliest(); r.winner != none {
			return EndWon
		}
	}
	switch {
	case r.stopped != EndNone:
		return r.stopped
	case r.cfg.Timeout > 0 && r.now >= r.cfg.Timeout:
		return EndTimedOut
	case r.open > 0 || r.resortWaits():
		return EndNone
	case len(r.order) == 0:
		return r.nothingToTry()
	case r.cfg.Goal == Order:
		return EndCompleted
	case len(r.flying) > 0 || r.next(addrsel.FamilyAny) != none:
		return EndNone
	case r.cfg.Goal == Every:
		return EndCompleted
	default:
		return EndExhausted
	}
}

// earliest returns the attempt that connected first, by the time it connected
// and not by the order of the events; of two at the same moment the one that
// was asked for first, and so ranks first.
func (r *Race) earliest() int {
	best := none
	for id := range r.attempts {
		a := &r.attempts[id]
		if a.state != connected || a.cause != CauseNone {
			continue
		}
		if best == none || a.connected < r.attempts[best].connected {
			best = id
		}
	}
	return best
}

// nothingToTry says why there is no candidate to start.
func (r *Race) nothingToTry() EndReason {
	for i := range r.candidates {
		if !r.candidates[i].withdrawn {
			return EndAllSkipped
		}
	}
	var asked [SVCB + 1]bool // by RecordType
	for i := range r.questions {
		if r.questions[i].answer == Broken {
			return EndResolutionFailed
		}
		asked[r.questions[i].Type] = true
	}
	// Nothing of one type alone may be a name without addresses of that family.
	if asked[A] && asked[AAAA] {
		return EndNameNotFound
	}
	return EndNoAddresses
}

// inGrace says that the race is won and losers may still finish.
func (r *Race) inGrace() bool {
	if r.end != EndWon || r.cfg.Grace <= 0 || r.stopped != EndNone || r.now >= r.graceEnd() {
		return false
	}
	for _, id := range r.flying {
		if r.attempts[id].cause == CauseNone {
			return true
		}
	}
	return false
}

// graceEnd is when the losers must be done.
func (r *Race) graceEnd() time.Duration {
	at := r.won + r.cfg.Grace
	if r.cfg.Timeout > 0 {
		at = min(at, r.cfg.Timeout)
	}
	return at
}
