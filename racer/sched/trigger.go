package sched

import "github.com/connrace/connrace/racer/addrsel"

// trigger names the thing the start had to wait for last.
func (r *Race) trigger(t turn) Trigger {
	known := r.candidates[t.candidate].known
	switch {
	case t.backup:
		return TriggerBackup
	case r.cfg.Strategy == AllAtOnce && len(r.attempts) > 0 && r.wasFull:
		return TriggerSlotFree
	case r.cfg.Strategy == AllAtOnce && len(r.attempts) > 0 && known > r.opened:
		return TriggerNewAddress
	case r.cfg.Strategy == AllAtOnce:
		return TriggerAllAtOnce
	case len(r.attempts) == 0:
		return TriggerFirst
	case r.cfg.Strategy == FirstThenAll:
		return r.afterFirst(t.candidate)
	case r.cfg.Strategy == FamilyFallback:
		return r.inLane(t.candidate)
	}
	pace, _ := r.pace()
	switch {
	case known > max(pace, r.lastOutcome):
		return TriggerNewAddress
	case r.cfg.Strategy == Sequential || r.hurried():
		return TriggerFailure
	case r.wasFull:
		return TriggerSlotFree
	default:
		return TriggerAttemptDelay
	}
}

// hurried says that the youngest attempt, backups aside, has not had its whole delay:
// it starts the next one because it failed. That is not always the latest that was asked
// for, since one that was deferred may start after it.
func (r *Race) hurried() bool { return r.now < r.granted(&r.attempts[r.youngest]) }

// afterFirst is the trigger of an attempt after the first, when all others start at
// once.
func (r *Race) afterFirst(id int) Trigger {
	chance, _ := r.headStart()
	switch {
	case r.wasFull:
		return TriggerSlotFree
	case r.candidates[id].known > chance:
		return TriggerNewAddress
	case r.attempts[0].holdsTurn():
		return TriggerAttemptDelay
	default:
		return TriggerFailure
	}
}

// inLane is the trigger of an attempt after the first, when each family goes
// through its addresses on its own.
func (r *Race) inLane(id int) Trigger {
	f := r.candidates[id].family()
	lane, _ := r.lane(f)
	switch {
	case r.candidates[id].known > max(lane, r.lastOutcome):
		return TriggerNewAddress
	case f != r.firstFamily() && !r.tried(f) && !r.firstIsExhausted():
		return TriggerAttemptDelay
	case r.wasFull:
		return TriggerSlotFree
	default:
		return TriggerFailure
	}
}

// tried says that an attempt at the family has been asked for.
func (r *Race) tried(f addrsel.Family) bool {
	for i := range r.attempts {
		if r.candidates[r.attempts[i].candidate].family() == f {
			return true
		}
	}
	return false
}
