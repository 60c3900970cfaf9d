package sched

import "time"

// startAdmitted lets every attempt that was deferred start for which there is room
// now, and whose time has come.
func (r *Race) startAdmitted(out []Action) []Action {
	for {
		id, at, ok := r.nextAdmitted()
		if !ok || at > r.now {
			return out
		}
		r.attempts[id].state = requested
		out = append(out, Action{Kind: Proceed, Attempt: id})
	}
}

// nextAdmitted returns the attempt that is the next to start after it was deferred,
// and when; ok is false when there is none, or that hangs on something that has yet to
// happen. Its turn had come when it was asked for, so it waits for nothing but the
// floor of 10 ms since the last start (RFC 8305 section 5: MUST NOT), and of several
// the earlier one goes first. Those that start in a burst don't know the floor.
func (r *Race) nextAdmitted() (id int, at time.Duration, ok bool) {
	if !r.crowded {
		return none, 0, false
	}
	id = none
	for _, next := range r.flying {
		a := &r.attempts[next]
		switch {
		case a.state != admitted || a.cause != CauseNone:
		case r.bursts() && !a.backup:
			return next, 0, true
		case id == none:
			id = next
		}
	}
	if id == none || r.someRequested() {
		return none, 0, false
	}
	return id, r.lastStart + MinAttemptDelay, true
}

// bursts says that the strategy starts several attempts at once, backups aside.
func (r *Race) bursts() bool {
	return r.cfg.Strategy == AllAtOnce || r.cfg.Strategy == FirstThenAll
}

// someRequested says that an attempt may start at any moment, so that it is not known
// when the floor has passed.
func (r *Race) someRequested() bool {
	for _, id := range r.flying {
		if r.attempts[id].state == requested {
			return true
		}
	}
	return false
}
