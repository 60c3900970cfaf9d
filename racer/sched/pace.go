package sched

import (
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// turn is a start that the strategy allows at a time.
type turn struct {
	candidate int
	at        time.Duration
	backup    bool
}

// startDue asks for every start whose time has come.
func (r *Race) startDue(out []Action) []Action {
	for {
		next, ok := r.nextTurn()
		if !ok || next.at > r.now {
			return out
		}
		out = r.start(next, out)
	}
}

func (r *Race) start(t turn, out []Action) []Action {
	id := len(r.attempts)
	trigger := r.trigger(t)
	delay, basis := r.delay(t.candidate)
	if id == 0 {
		r.opened = r.now
	}
	if t.backup {
		r.candidates[t.candidate].backup = id
		r.backups++
	} else {
		r.candidates[t.candidate].attempt = id
	}
	r.attempts = append(r.attempts, attempt{candidate: t.candidate, backup: t.backup, delay: delay})
	r.flying = append(r.flying, id)
	return append(out, Action{
		Kind: Start, Candidate: t.candidate, Attempt: id, Trigger: trigger, Delay: delay, Basis: basis,
	})
}

// nextTurn returns the next start and when it is due; ok is false when that hangs
// on something that has yet to happen.
func (r *Race) nextTurn() (t turn, ok bool) {
	if r.cfg.Goal == Order || r.full() {
		return turn{}, false
	}
	t, ok = r.nextCandidate()
	if ok && t.at <= r.now {
		return t, true
	}
	if backup, due := r.nextBackup(t, ok); due {
		return backup, true
	}
	return t, ok
}

// nextCandidate returns the first attempt that is next.
func (r *Race) nextCandidate() (turn, bool) {
	c := r.next(addrsel.FamilyAny)
	switch {
	case c == none:
		return turn{}, false
	case r.cfg.Strategy == FamilyFallback && len(r.attempts) > 0:
		return r.nextOfFamilies()
	}
	at, ok := r.pace()
	return turn{candidate: c, at: max(r.gate(), at)}, ok
}

// gate returns when the first attempt may start, given that there is a candidate
// for it. RFC 8305 section 3: as soon as the preferred family has answered,
// whatever it answered, else when the Resolution Delay has passed since the first
// usable address. An error counts as an answer, and service information must have
// been answered too (draft v3, section 4.2).
func (r *Race) gate() time.Duration {
	if len(r.attempts) > 0 || r.preferredAnswered() && (r.cfg.Version == V2 || r.serviceAnswered()) {
		return 0
	}
	return r.firstAddress + r.cfg.ResolutionDelay
}

// preferredAnswered is true also when the preferred family was not asked for, and
// as soon as one of several names has an address of it, a hint included (draft v3,
// section 4.2.1): RFC 8305 section 3 starts IPv6 at once. Questions that followed
// from an answer hold nothing up.
func (r *Race) preferredAnswered() bool {
	preferred := r.cfg.preferredFamily()
	for _, p := range r.order {
		if r.candidates[p.candidate].family() == preferred {
			return true
		}
	}
	for id, q := range r.cfg.Questions {
		if q.Type.Family() == preferred && !r.questions[id].answered {
			return false
		}
	}
	return true
}

// pace returns when the strategy allows the next start.
//
// A failure starts the next candidate at once, but no sooner than 10 ms after
// the last start (RFC 8305 section 5: MUST NOT) and not while an attempt younger
// than the attempt delay is in flight. With starts at 0 and 250 and a delay of
// 250 ms:
//
//	the second fails at 252, the first runs on:  next at 260
//	the first fails at 300, the second runs on:  next at 500
//	nothing fails:                               next at 500
func (r *Race) pace() (time.Duration, bool) {
	switch {
	case r.cfg.Strategy == AllAtOnce || len(r.attempts) == 0:
		return 0, true
	case r.cfg.Strategy == FirstThenAll:
		return r.headStart()
	case r.cfg.Strategy == Sequential && r.someHoldTurn():
		return 0, false
	}
	return r.patience(nil)
}

// patience returns when every live attempt has been left alone for its delay, and
// the floor has passed. A backup holds back further backups only: it says nothing
// new of its address, so an address that comes late need not wait for it. A backup of
// an attempt does not wait for that one's delay: it has a time of its own.
//
// One that is deferred holds the next one back for its delay all the same, and no
// longer: the race does not stand still. The floor counts from its deferral too, lest
// all that is known be asked for at once where there is no room for any.
func (r *Race) patience(backupOf *attempt) (time.Duration, bool) {
	at := r.lastTurn + MinAttemptDelay
	for _, id := range r.flying {
		a := &r.attempts[id]
		switch {
		case a.state == requested:
			return 0, false
		case !a.holdsTurn() || a == backupOf || a.backup && backupOf == nil:
		default:
			at = max(at, r.until(a))
		}
	}
	return at, true
}

// until returns how long an attempt is left alone. One that is over needs no more
// than it had from the start, and one that is deferred has it from then on.
func (r *Race) until(a *attempt) time.Duration {
	if !a.alone() {
		return a.start + a.delay
	}
	return r.granted(a)
}

// granted returns when an attempt has, or would have had its delay. One that makes
// progress gets it anew, since each further step of a handshake takes a round trip as
// the first did: draft v3, section 6.1. The bound of 2 s is that of the delay.
//
//	delay 250 ms, TCP up at 5:   TLS has until 255
//	delay 250 ms, TCP up at 240: TLS has until 490
func (r *Race) granted(a *attempt) time.Duration {
	at := a.start + a.delay
	if !a.advanced || r.cfg.Version == V2 {
		return at
	}
	return max(at, min(a.progress+a.delay, a.start+MaxAttemptDelay))
}

// headStart returns when the first attempt of a race that starts all others after
// it has had its chance. No floor holds between those others: that is their point.
func (r *Race) headStart() (time.Duration, bool) {
	switch first := &r.attempts[0]; {
	case first.holdsTurn():
		return r.until(first), true
	case first.state == requested:
		return 0, false
	default:
		return first.landed, true
	}
}

// nextOfFamilies returns the next start where each family goes through its
// addresses on its own. What is due in both at once starts in the first.
func (r *Race) nextOfFamilies() (best turn, ok bool) {
	first := r.firstFamily()
	for _, f := range [...]addrsel.Family{first, first.Other()} {
		c := r.next(f)
		if c == none {
			continue
		}
		if at, due := r.lane(f); due && (!ok || at < best.at) {
			best, ok = turn{candidate: c, at: at}, true
		}
	}
	return best, ok
}

// lane returns when a family may start its next attempt: RFC 6555 section 5.
func (r *Race) lane(f addrsel.Family) (time.Duration, bool) {
	at := r.lastTurn + MinAttemptDelay
	for _, id := range r.flying {
		a := &r.attempts[id]
		if a.state == requested || r.runs(a, f) {
			return 0, false
		}
	}
	if f != r.firstFamily() && !r.firstIsExhausted() {
		at = max(at, r.until(&r.attempts[0]))
	}
	return at, true
}

// firstFamily is the family that the race began with.
func (r *Race) firstFamily() addrsel.Family { return r.candidates[r.attempts[0].candidate].family() }

// runs says that an attempt is its family's turn. A backup is none: it holds nobody
// back.
func (r *Race) runs(a *attempt, f addrsel.Family) bool {
	return a.holdsTurn() && !a.backup && r.candidates[a.candidate].family() == f
}

// firstIsExhausted says that nothing of the first family runs, is deferred or waits.
func (r *Race) firstIsExhausted() bool {
	first := r.firstFamily()
	for _, id := range r.flying {
		if r.runs(&r.attempts[id], first) {
			return false
		}
	}
	return r.next(first) == none
}

// someHoldTurn says that there is an attempt that may yet succeed.
func (r *Race) someHoldTurn() bool {
	for _, id := range r.flying {
		if r.attempts[id].holdsTurn() {
			return true
		}
	}
	return false
}

// alone says that the attempt runs, and may yet succeed.
func (a *attempt) alone() bool { return a.state == running && a.cause == CauseNone }

// waits says that the attempt was deferred and has not been told to proceed.
func (a *attempt) waits() bool { return a.state == deferred || a.state == admitted }

// holdsTurn says that the attempt runs or has been deferred, and may yet succeed.
func (a *attempt) holdsTurn() bool { return a.alone() || a.waits() && a.cause == CauseNone }

// full says that MaxInFlight allows no further attempt. One that was given up
// still counts: it holds its socket until it reports.
func (r *Race) full() bool {
	return r.cfg.MaxInFlight > 0 && len(r.flying) >= r.cfg.MaxInFlight
}

// proceed lets attempts go on to their next stage. What service information could
// change about a handshake waits for it where the client relies on it: draft v3,
// sections 6.1 and 6.3.
func (r *Race) proceed(out []Action) []Action {
	if r.cfg.Service.Holds() && !r.serviceAnswered() {
		return out
	}
	for _, id := range r.flying {
		if a := &r.attempts[id]; a.waiting && a.alone() {
			a.waiting = false
			out = append(out, Action{Kind: Proceed, Attempt: id})
		}
	}
	return out
}
