package sched

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// Race is one race. It stores facts (answers, candidates, attempts) and derives
// everything else from them. The zero value must be Reset before use.
type Race struct {
	cfg     Config
	now     time.Duration
	stepped bool

	questions []question
	open      int // questions without an answer

	candidates []candidate
	holders    map[spot]int // who is tried at an endpoint

	ranker addrsel.Ranker
	dests  []addrsel.Destination
	ids    []int   // of what is being sorted
	order  []place // everything that may be tried
	queue  []place // with V2: of it, what has not been tried
	cursor [3]int  // by family: everything before it has been started
	stale  bool    // order no longer fits candidates

	attempts []attempt
	flying   []int // attempts without an outcome, in the order in which they were asked for
	backups  int   // made
	crowded  bool  // an attempt has been deferred
	resorted bool  // the questions of the last resort have been asked

	hasAddress   bool
	firstAddress time.Duration // when the first usable address became known
	opened       time.Duration // when the first attempt was asked for
	lastStart    time.Duration // or failure to start; before the first: as long ago as the floor is
	lastTurn     time.Duration // the last start, failure to start or deferral
	lastOutcome  time.Duration
	youngest     int  // attempt whose delay began last, backups aside
	wasFull      bool // a candidate had to wait for MaxInFlight

	winner  int           // attempt, or none
	won     time.Duration // when the race learned of it
	stopped EndReason
	end     EndReason
	done    bool
}

const none = -1

type question struct {
	Question
	asked    bool
	answered bool
	answer   Answer
}

type candidate struct {
	Candidate
	question  int
	known     time.Duration // when the race learned of it
	attempt   int           // or none
	backup    int           // or none
	duplicate bool
	tooMany   bool
	withdrawn bool
	gone      bool // its answer no longer has it: withdrawn, unless it has begun
}

// spot is what must not be dialled twice.
type spot struct {
	endpoint netip.AddrPort
	protocol uint8
}

// place is a candidate's position in the ranked order.
type place struct {
	candidate int
	reason    addrsel.Reason
}

type attempt struct {
	candidate int
	backup    bool
	state     attemptState
	deferred  bool          // it is, or was
	started   bool          // its SYN has left
	start     time.Duration // or when it turned out that it can't, or can't yet
	delay     time.Duration // how long the next one waits for it
	waiting   bool          // for Proceed
	advanced  bool          // a stage is done
	progress  time.Duration // when the latest one was
	connected time.Duration
	landed    time.Duration // when the race learned of its end, or gave it up
	cause     Cause
}

// attemptState is where an attempt is in its life:
//
//	requested: --Started--> running, --Deferred--> deferred, or failed, cancelled
//	deferred:  --Admitted--> admitted, or cancelled
//	admitted:  --Proceed--> requested, but not Deferred again; or cancelled
//	running:   connected, failed or cancelled
type attemptState uint8

const (
	requested attemptState = iota // asked for or, once admitted, told to proceed; not yet Started
	deferred                      // there is no room for it yet
	admitted                      // there is: it waits for Proceed
	running
	connected
	failed
	cancelled
)

// Reset makes r a new race with the given parameters, keeping its memory. cfg
// and its slices must not change while the race runs.
func (r *Race) Reset(cfg Config) {
	holders := r.holders
	if holders == nil {
		holders = make(map[spot]int)
	}
	clear(holders)
	*r = Race{
		cfg:        cfg,
		questions:  r.questions[:0],
		candidates: r.candidates[:0],
		holders:    holders,
		ranker:     r.ranker,
		dests:      r.dests[:0],
		ids:        r.ids[:0],
		order:      r.order[:0],
		queue:      r.queue[:0],
		attempts:   r.attempts[:0],
		flying:     r.flying[:0],
		lastStart:  -MinAttemptDelay,
		winner:     none,
	}
	for _, q := range cfg.Questions {
		r.questions = append(r.questions, question{Question: q})
	}
	r.open = len(r.questions)
}

// Question returns the question with an id that a Query had.
func (r *Race) Question(id int) Question { return r.question(id).Question }

// Step takes in all that has happened up to now and appends to out what is to
// be done. The first call asks the questions. now never goes back.
func (r *Race) Step(now time.Duration, events []Event, out []Action) []Action {
	if r.done {
		panic("sched: Step after Finish")
	}
	if !r.stepped {
		out = r.ask(out)
	}
	r.now, r.stepped = now, true
	for i := range events {
		r.absorb(&events[i])
	}
	if r.stale {
		r.rank()
	}
	return r.decide(out)
}

// Next returns when Step must be called if nothing happens before; ok is false
// when only an event can move the race. It is derived from the facts at each
// call, so there is no timer that could be stale.
func (r *Race) Next() (at time.Duration, ok bool) {
	if r.done || r.end != EndNone && !r.inGrace() {
		return 0, false
	}
	if !r.stepped {
		return 0, true
	}
	soonest := func(t time.Duration, due bool) {
		if due && (!ok || t < at) {
			at, ok = t, true
		}
	}
	for _, id := range r.flying {
		soonest(r.expiry(id))
	}
	if r.end != EndNone {
		soonest(r.graceEnd(), true)
		return at, ok
	}
	soonest(r.cfg.Timeout, r.cfg.Timeout > 0)
	_, admission, due := r.nextAdmitted()
	soonest(admission, due)
	next, due := r.nextTurn()
	soonest(next.at, due)
	soonest(r.lastResort())
	return at, ok
}

func (r *Race) absorb(e *Event) {
	switch e.Kind {
	case Resolved:
		r.resolved(e)
	case Started:
		r.started(e)
	case Deferred:
		r.deferred(e)
	case Admitted:
		r.admitted(e)
	case Progressed:
		r.progressed(e)
	case Connected:
		r.outcome(e, connected).connected = e.At
	case Failed:
		r.outcome(e, failed)
	case Cancelled:
		if r.outcome(e, cancelled).cause == CauseNone {
			panic(fmt.Sprintf("sched: attempt %d was cancelled by nobody", e.Attempt))
		}
	case Stopped:
		if e.End == EndNone || e.End == EndWon {
			panic(fmt.Sprintf("sched: nobody can stop a race as %q", e.End))
		}
		r.stopped = e.End
	default:
		panic(fmt.Sprintf("sched: unknown event %d", e.Kind))
	}
}

func (r *Race) started(e *Event) {
	a := r.attempt(e.Attempt)
	switch {
	case a.waits():
		panic(fmt.Sprintf("sched: attempt %d started before it was told to proceed", e.Attempt))
	case a.state != requested:
		panic(fmt.Sprintf("sched: attempt %d started twice", e.Attempt))
	}
	a.state, a.started = running, true
	r.begins(e)
	r.lastStart = max(r.lastStart, e.At)
}

// deferred notes that an attempt can't start yet. As to its delay that is as good as
// a start: the next one waits no longer than for an attempt that is silent.
func (r *Race) deferred(e *Event) {
	switch a := r.attempt(e.Attempt); {
	case a.state != requested || a.deferred:
		panic(fmt.Sprintf("sched: attempt %d can't be deferred", e.Attempt))
	case e.Defer == DeferNone:
		panic(fmt.Sprintf("sched: attempt %d was deferred for no reason", e.Attempt))
	default:
		a.state, a.deferred, r.crowded = deferred, true, true
		r.begins(e)
	}
}

// begins notes from when on the delay of an attempt counts.
func (r *Race) begins(e *Event) {
	a := &r.attempts[e.Attempt]
	a.start = e.At
	r.lastTurn = max(r.lastTurn, e.At)
	if !a.backup {
		r.youngest = e.Attempt
	}
}

func (r *Race) admitted(e *Event) {
	a := r.attempt(e.Attempt)
	if a.state != deferred {
		panic(fmt.Sprintf("sched: attempt %d was admitted, but it is not deferred", e.Attempt))
	}
	a.state = admitted
}

func (r *Race) progressed(e *Event) {
	a := r.attempt(e.Attempt)
	if a.state != running || a.waiting {
		panic(fmt.Sprintf("sched: attempt %d can't have progressed", e.Attempt))
	}
	a.advanced, a.progress, a.waiting = true, e.At, true
}

// outcome records the one outcome of an attempt.
func (r *Race) outcome(e *Event, s attemptState) *attempt {
	a := r.attempt(e.Attempt)
	switch {
	case a.state > running:
		panic(fmt.Sprintf("sched: second outcome of attempt %d", e.Attempt))
	case s == connected && a.waiting:
		panic(fmt.Sprintf("sched: attempt %d connected while it waited to proceed", e.Attempt))
	case s == connected && !a.started:
		panic(fmt.Sprintf("sched: attempt %d connected before it started", e.Attempt))
	case s == failed && a.waits():
		panic(fmt.Sprintf("sched: attempt %d failed before it was told to proceed", e.Attempt))
	case a.state == requested:
		// No SYN has left, but the next try of a host in trouble must not
		// follow at once either.
		r.begins(e)
		r.lastStart = max(r.lastStart, e.At)
	}
	a.state = s
	if a.cause == CauseNone {
		a.landed = r.now
	}
	r.lastOutcome = r.now
	r.land(e.Attempt)
	return a
}

// land takes an attempt out of the ones in flight.
func (r *Race) land(id int) {
	for i, f := range r.flying {
		if f == id {
			r.flying = append(r.flying[:i], r.flying[i+1:]...)
			return
		}
	}
}

func (r *Race) attempt(id int) *attempt {
	if id < 0 || id >= len(r.attempts) {
		panic(fmt.Sprintf("sched: unknown attempt %d", id))
	}
	return &r.attempts[id]
}

// decide looks at the facts and says what follows from them.
func (r *Race) decide(out []Action) []Action {
	if r.end == EndNone {
		out = r.expire(out)
		r.resort()
		if r.end = r.ending(); r.end == EndWon {
			r.won = r.now
			out = append(out, Action{Kind: Won, Candidate: r.attempts[r.winner].candidate, Attempt: r.winner})
		}
	}
	if r.end != EndNone && r.inGrace() {
		return r.proceed(r.expire(r.dismiss(out)))
	}
	if r.end != EndNone {
		return r.windUp(out)
	}
	out = r.ask(out)
	out = r.proceed(out)
	out = r.startAdmitted(out)
	out = r.startDue(out)
	r.wasFull = r.full() && r.next(addrsel.FamilyAny) != none
	return out
}

// dismiss gives up what has not started when the race is won, since it never will.
func (r *Race) dismiss(out []Action) []Action {
	for _, id := range r.flying {
		if a := &r.attempts[id]; a.waits() && a.cause == CauseNone {
			out = r.cancel(id, CauseLost, out)
		}
	}
	return out
}

// expire gives up attempts that have used up their time.
func (r *Race) expire(out []Action) []Action {
	for _, id := range r.flying {
		if t, expires := r.expiry(id); expires && t <= r.now {
			out = r.cancel(id, CauseTimeout, out)
			r.lastOutcome = r.now
		}
	}
	return out
}

// expiry returns when an attempt has used up its time, which begins with its start.
// A backup shares the time of its candidate: it would be of no use to start after that.
func (r *Race) expiry(id int) (time.Duration, bool) {
	a := &r.attempts[id]
	bounded := r.cfg.AttemptTimeout > 0
	if a.backup {
		return r.attempts[r.candidates[a.candidate].attempt].start + r.cfg.AttemptTimeout, bounded && a.holdsTurn()
	}
	return a.start + r.cfg.AttemptTimeout, bounded && a.alone()
}

func (r *Race) cancel(id int, c Cause, out []Action) []Action {
	r.attempts[id].cause, r.attempts[id].landed = c, r.now
	return append(out, Action{Kind: Cancel, Attempt: id, Cause: c})
}

// windUp ends the race once every attempt in flight has been given up and has
// reported its outcome: only then is it known what connected too late.
func (r *Race) windUp(out []Action) []Action {
	cause := CauseEnded
	if r.end == EndWon {
		cause = CauseLost
	}
	for _, id := range r.flying {
		if r.attempts[id].cause == CauseNone {
			// RFC 8305 section 5: on success all unfinished attempts are cancelled.
			out = r.cancel(id, cause, out)
		}
	}
	if len(r.flying) > 0 {
		return out
	}
	r.done = true
	out = r.settle(out)
	return append(out, Action{Kind: Finish, End: r.end})
}
