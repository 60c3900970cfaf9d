package sched

// ending says whether the race is over, and why. A connection in hand beats a
// deadline that has just passed.
func (r *Race) ending() EndReason {
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
	case r.open > 0:
		return EndNone
	case len(r.order) == 0:
		return r.nothingToTry()
	case r.cfg.Goal == Order:
		return EndCompleted
	case len(r.flying) > 0 || r.next() != none:
		return EndNone
	case r.cfg.Goal == Every:
		return EndCompleted
	default:
		return EndExhausted
	}
}

// earliest returns the attempt that connected first, by the time it connected
// and not by the order of the events; of two at the same moment the one that
// started first, and so ranks first.
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
	var asked [3]bool // by RecordType
	for id, q := range r.cfg.Questions {
		if r.questions[id].answer == Broken {
			return EndResolutionFailed
		}
		asked[q.Type] = true
	}
	// Nothing of one type alone may be a name without addresses of that family.
	if asked[A] && asked[AAAA] {
		return EndNameNotFound
	}
	return EndNoAddresses
}
