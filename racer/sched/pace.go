package sched

import (
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// startDue asks for every start whose time has come.
func (r *Race) startDue(out []Action) []Action {
	for {
		at, ok := r.nextStart()
		if !ok || at > r.now {
			return out
		}
		out = r.start(out)
	}
}

func (r *Race) start(out []Action) []Action {
	id, c := len(r.attempts), r.next()
	trigger := r.trigger(c)
	if id == 0 {
		r.opened = r.now
	}
	r.candidates[c].attempt = id
	r.attempts = append(r.attempts, attempt{candidate: c})
	r.flying = append(r.flying, id)
	return append(out, Action{Kind: Start, Candidate: c, Attempt: id, Trigger: trigger})
}

// nextStart returns when the next attempt is due; ok is false when that hangs
// on something that has yet to happen.
func (r *Race) nextStart() (at time.Duration, ok bool) {
	if r.cfg.Goal == Order || r.next() == none || r.full() {
		return 0, false
	}
	pace, ok := r.pace()
	return max(r.gate(), pace), ok
}

// gate returns when the first attempt may start, given that there is a candidate
// for it. RFC 8305 section 3: as soon as
// the preferred family has answered, whatever it answered, else when the
// Resolution Delay has passed since the first usable address. An error counts
// as an answer (draft v3, section 4.2).
func (r *Race) gate() time.Duration {
	if len(r.attempts) > 0 || r.preferredAnswered() {
		return 0
	}
	return r.firstAddress + r.cfg.ResolutionDelay
}

// preferredAnswered is true also when the preferred family was not asked for, and
// as soon as one of several names has an address of it: RFC 8305 section 3 starts
// IPv6 at once.
func (r *Race) preferredAnswered() bool {
	preferred := r.cfg.preferredFamily()
	for _, p := range r.order {
		if addrsel.FamilyOf(r.candidates[p.candidate].Endpoint.Addr()) == preferred {
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
	}
	at := r.lastStart + MinAttemptDelay
	for _, id := range r.flying {
		a := &r.attempts[id]
		switch {
		case a.state == requested:
			return 0, false
		case a.cause != CauseNone: // given up: it holds nobody back
		case r.cfg.Strategy == Sequential:
			return 0, false
		default:
			at = max(at, a.start+r.cfg.AttemptDelay)
		}
	}
	return at, true
}

// headStart returns when the first attempt of a race that starts all others after
// it has had its chance. No floor holds between those others: that is their point.
func (r *Race) headStart() (time.Duration, bool) {
	switch first := &r.attempts[0]; {
	case first.alone():
		return first.start + r.cfg.AttemptDelay, true
	case first.state == requested:
		return 0, false
	default:
		return first.landed, true
	}
}

// alone says that the attempt runs, and may yet succeed.
func (a *attempt) alone() bool { return a.state == running && a.cause == CauseNone }

// full says that MaxInFlight allows no further attempt. One that was given up
// still counts: it holds its socket until it reports.
func (r *Race) full() bool {
	return r.cfg.MaxInFlight > 0 && len(r.flying) >= r.cfg.MaxInFlight
}

// trigger names the thing the candidate had to wait for last.
func (r *Race) trigger(id int) Trigger {
	known := r.candidates[id].known
	switch {
	case r.cfg.Strategy == AllAtOnce && len(r.attempts) > 0 && r.wasFull:
		return TriggerSlotFree
	case r.cfg.Strategy == AllAtOnce && len(r.attempts) > 0 && known > r.opened:
		return TriggerNewAddress
	case r.cfg.Strategy == AllAtOnce:
		return TriggerAllAtOnce
	case len(r.attempts) == 0:
		return TriggerFirst
	case r.cfg.Strategy == FirstThenAll:
		return r.afterFirst(known)
	}
	pace, _ := r.pace()
	switch {
	case known > max(pace, r.lastOutcome):
		return TriggerNewAddress
	case r.cfg.Strategy == Sequential || r.now < r.lastStart+r.cfg.AttemptDelay:
		return TriggerFailure
	case r.wasFull:
		return TriggerSlotFree
	default:
		return TriggerAttemptDelay
	}
}

// afterFirst is the trigger of an attempt after the first, when all others start at
// once.
func (r *Race) afterFirst(known time.Duration) Trigger {
	chance, _ := r.headStart()
	switch {
	case r.wasFull:
		return TriggerSlotFree
	case known > chance:
		return TriggerNewAddress
	case r.attempts[0].alone():
		return TriggerAttemptDelay
	default:
		return TriggerFailure
	}
}
