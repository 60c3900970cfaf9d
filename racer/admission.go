package racer

import (
	"sync/atomic"
	"time"

	"github.com/connrace/connrace/internal/admit"
	"github.com/connrace/connrace/racer/sched"
)

// Limits are what all calls of a Racer share. The zero value: nothing but the
// descriptors of this process.
type Limits = admit.Limits

// OverloadedError says that too many attempts wait for the limits for a further call to
// be taken in, and when to try again.
type OverloadedError = admit.OverloadedError

// Deferral is the wait of an attempt for one of the Limits.
type Deferral struct {
	Start    time.Duration     // since Run.Start: when the attempt was to start
	Duration time.Duration     // until it started or was given up
	Reason   sched.DeferReason // what it waited for first
}

// visit is the stay of a call among all others that share the limits. The rounds of a
// probe are one visit.
type visit struct {
	place *admit.Race
	round atomic.Pointer[engine] // that is under way
}

// enter fails with an *OverloadedError.
func (r *Racer) enter(caller string) (*visit, error) {
	v := new(visit)
	place, err := r.room.Enter(caller, func(id int) { v.round.Load().admit(id) })
	v.place = place
	return v, err
}

func (v *visit) leave() { v.place.Leave() }

// begin starts an attempt, or has it wait for its place.
func (e *engine) begin(a *sched.Action) {
	e.started = append(e.started, a.Candidate)
	why, granted := e.visit.place.Ask(a.Attempt, e.known[a.Candidate].endpoint)
	if granted {
		e.launch(a.Attempt)
		return
	}
	e.putOff(a.Attempt, why)
}

// putOff notes that an attempt has to wait for its place.
func (e *engine) putOff(id int, why sched.DeferReason) {
	if e.deferred == nil {
		e.deferred = make(map[int]bool)
	}
	e.deferred[id] = true
	e.tell(sched.Event{Kind: sched.Deferred, At: e.now(), Attempt: id, Defer: why})
}

// proceed lets an attempt go on: with its start, if it had to wait for that.
func (e *engine) proceed(id int) {
	if !e.deferred[id] {
		e.observe(id)
		e.attempts.Proceed(id)
		return
	}
	delete(e.deferred, id)
	e.launch(id)
}

func (e *engine) cancel(id int) {
	if !e.deferred[id] {
		e.attempts.Cancel(id)
		return
	}
	delete(e.deferred, id)
	e.tell(sched.Event{Kind: sched.Cancelled, At: e.now(), Attempt: id})
}

// tell posts what the goroutine of the race has found out itself, and which it need not
// be woken for.
func (e *engine) tell(ev sched.Event) {
	e.inbox.post(news{event: ev})
	e.told = true
}

// admit notes that an attempt has got its place. It may be called from any goroutine.
func (e *engine) admit(id int) {
	e.inbox.admit(id)
	e.attempts.Wake()
}

// admissions are those of attempts that still want their place.
func (e *engine) admissions(events []sched.Event) []sched.Event {
	for _, id := range e.inbox.admissions() {
		if e.deferred[id] {
			events = append(events, sched.Event{Kind: sched.Admitted, At: e.now(), Attempt: id})
		}
	}
	return events
}
