package sched

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// maxSteps is far above what any world here needs.
const maxSteps = 20_000

// engine runs one race in a world.
type engine struct {
	t     testing.TB
	world *world
	race  *Race
	rng   *rand.Rand
	nosy  bool // step when there is nothing to do

	now      time.Duration
	agenda   []happening // by time
	attempts []*flight
	ids      map[sighting]int
	found    []Candidate // by id
	history  history
}

// happening is an event to come. Those of a flight can be called off.
type happening struct {
	Event
	answer *answer // of Resolved
}

// flight is an attempt as the network sees it.
type flight struct {
	behaviour
	candidate int
	backup    bool // itself
	deferred  bool // it is, or was
	admitted  bool // and waits for Proceed
	started   bool
	stage     int  // how many are done and were allowed to proceed
	waiting   bool // for Proceed
	cancelled bool
	over      bool // has reported its outcome
}

// sighting is a candidate in an answer: the nth of its endpoint.
type sighting struct {
	question int
	endpoint netip.AddrPort
	nth      int
}

// run runs a race to its end.
func (w *world) run(t testing.TB, race *Race) *history { return w.engine(t, race).run() }

func (w *world) engine(t testing.TB, race *Race) *engine {
	race.Reset(w.cfg)
	e := &engine{
		t: t, world: w, race: race,
		rng:     rand.New(rand.NewPCG(w.seed, 0)),
		ids:     map[sighting]int{},
		history: history{cfg: w.cfg},
	}
	for i := range w.answers {
		if w.answers[i].question == NoQuestion {
			e.resolve(&w.answers[i], NoQuestion)
		}
	}
	for _, s := range w.stops {
		e.schedule(happening{Event: Event{Kind: Stopped, At: s.at, End: s.why}})
	}
	return e
}

func (e *engine) run() *history {
	for range maxSteps {
		at, ok := e.wake()
		if !ok {
			e.fail("the race waits for something that will never happen")
		}
		if e.nosy {
			e.pry(at)
		}
		e.now = e.overslept(max(at, e.now))
		if e.step() {
			return &e.history
		}
	}
	e.fail("the race does not end")
	return nil
}

// wake returns when the engine wants to run again.
func (e *engine) wake() (time.Duration, bool) {
	at, ok := e.race.Next()
	if len(e.agenda) > 0 && (!ok || e.agenda[0].At < at) {
		return e.agenda[0].At, true
	}
	return at, ok
}

// fail stops the test and shows what has happened so far.
func (e *engine) fail(format string, args ...any) {
	e.t.Helper()
	e.t.Fatalf("%s: %s\n%s", e.world.name, fmt.Sprintf(format, args...), e.history.text())
}

// overslept returns when it runs indeed.
func (e *engine) overslept(at time.Duration) time.Duration {
	if e.world.oversleep > 0 {
		at += time.Duration(e.rng.Int64N(int64(e.world.oversleep)))
	}
	for _, n := range e.world.naps {
		if at >= n.from && at < n.to {
			at = n.to
		}
	}
	return at
}

// step gives the race all that has happened, does what it says and reports
// whether that was all.
func (e *engine) step() (finished bool) {
	s := step{now: e.now, events: e.happened()}
	s.actions = e.race.Step(e.now, s.events, nil)
	s.next, s.waits = e.race.Next()
	e.history.steps = append(e.history.steps, s)
	for _, a := range s.actions {
		if finished {
			e.fail("%v after finish", a)
		}
		finished = e.obey(a)
	}
	return finished
}

// pry steps where there is nothing to do, before the engine wakes.
func (e *engine) pry(wake time.Duration) {
	next, ok := e.race.Next()
	if again, okAgain := e.race.Next(); again != next || okAgain != ok {
		e.fail("Next returns %v %v, then %v %v", next, ok, again, okAgain)
	}
	if len(e.history.steps) == 0 || wake <= e.now {
		return
	}
	early := e.now + (wake-e.now)/2
	if actions := e.race.Step(early, nil, nil); len(actions) > 0 {
		e.fail("nothing has happened at %v, but %v", early, actions)
	}
	if again, okAgain := e.race.Next(); again != next || okAgain != ok {
		e.fail("Next returned %v %v, after an early Step %v %v", next, ok, again, okAgain)
	}
}

// happened takes what has happened off the agenda.
func (e *engine) happened() []Event {
	n := 0
	for n < len(e.agenda) && e.agenda[n].At <= e.now {
		n++
	}
	batch := slices.Clone(e.agenda[:n])
	e.agenda = slices.Delete(e.agenda, 0, n)
	if e.world.shuffle {
		e.mix(batch)
	}
	var events []Event
	for _, h := range batch {
		events = append(events, e.happen(h))
	}
	return events
}

// mix swaps neighbours whose order nobody has promised.
func (e *engine) mix(batch []happening) {
	for range 3 * len(batch) {
		i := e.rng.IntN(len(batch))
		if i+1 == len(batch) || !independent(batch[i].Event, batch[i+1].Event) {
			continue
		}
		batch[i], batch[i+1] = batch[i+1], batch[i]
	}
}

func independent(a, b Event) bool {
	switch {
	case (a.Kind == Resolved) != (b.Kind == Resolved):
		return true
	case a.Kind == Resolved:
		return a.Question != b.Question
	case a.Kind == Stopped || b.Kind == Stopped:
		return a.Kind != b.Kind
	}
	return a.Attempt != b.Attempt
}

// happen makes a happening the event that the race gets.
func (e *engine) happen(h happening) Event {
	switch h.Kind {
	case Resolved:
		h.Candidates = e.introduce(h.Question, h.answer)
	case Deferred:
		e.attempts[h.Attempt].deferred = true
	case Admitted:
		e.attempts[h.Attempt].admitted = true
	case Started:
		e.attempts[h.Attempt].started = true
	case Progressed:
		e.attempts[h.Attempt].waiting = true
	case Connected, Failed, Cancelled:
		e.attempts[h.Attempt].over = true
	}
	return h.Event
}

// introduce numbers candidates: one that an earlier answer to the same question
// had keeps its id and what is known of it, except for what may change.
func (e *engine) introduce(question int, a *answer) []Candidate {
	found := slices.Clone(a.found)
	seen := map[netip.AddrPort]int{}
	for i, c := range found {
		key := sighting{question, c.Endpoint, seen[c.Endpoint]}
		seen[c.Endpoint]++
		id, known := e.ids[key]
		if !known {
			id = len(e.found)
			c.ID = id
			e.ids[key] = id
			e.found = append(e.found, c)
		}
		first := &e.found[id]
		first.Place, first.Group, first.Expect, first.Skip = c.Place, c.Group, c.Expect, c.Skip
		found[i] = *first
	}
	return found
}

func (e *engine) schedule(h happening) {
	i, _ := slices.BinarySearchFunc(e.agenda, h.At+1, func(h happening, at time.Duration) int { return cmp.Compare(h.At, at) })
	e.agenda = slices.Insert(e.agenda, i, h)
}

// obey carries an action out and reports whether it was Finish. An action that
// makes no sense fails the test.
func (e *engine) obey(a Action) (finished bool) {
	switch a.Kind {
	case Query:
		e.ask(a.Question)
	case Start:
		e.start(a)
	case Proceed:
		e.proceed(a.Attempt)
	case Cancel:
		e.cancel(a.Attempt)
	case Won, Settle:
	case Finish:
		return true
	default:
		e.fail("unknown action %v", a)
	}
	return false
}

func (e *engine) ask(id int) {
	q := e.race.Question(id)
	for i := range e.world.answers {
		if e.world.answers[i].answers(id, q) {
			e.resolve(&e.world.answers[i], id)
		}
	}
}

// resolve lets an answer come to a question that is asked now.
func (e *engine) resolve(a *answer, question int) {
	event := Event{Kind: Resolved, At: e.now + a.after, Question: question, Answer: a.status, Follow: a.follow}
	e.schedule(happening{Event: event, answer: a})
}

func (e *engine) start(a Action) {
	e.mayStart(a)
	b, known := e.world.endpoints[unmapped(e.found[a.Candidate].Endpoint)]
	if !known {
		e.fail("nothing says how %v behaves", e.found[a.Candidate].Endpoint)
	}
	backup := a.Trigger == TriggerBackup
	if backup && b.backup != nil {
		b = *b.backup
	}
	e.attempts = append(e.attempts, &flight{behaviour: b, candidate: a.Candidate, backup: backup})
	if b.full != DeferNone {
		e.putOff(a.Attempt)
		return
	}
	e.begin(a.Attempt)
}

// putOff lets an attempt wait for a place.
func (e *engine) putOff(attempt int) {
	f := e.attempts[attempt]
	at := e.now + f.lateFull
	e.report(attempt, Deferred, at)
	if f.room >= 0 {
		e.report(attempt, Admitted, at+f.room)
	}
}

// begin lets an attempt's SYN leave.
func (e *engine) begin(attempt int) {
	f := e.attempts[attempt]
	at := e.now + f.late
	if f.unable {
		e.report(attempt, Failed, at)
		return
	}
	e.report(attempt, Started, at)
	e.goOn(attempt, at)
}

// mayStart fails the test when a start makes no sense: a candidate has one first
// attempt, and a backup as long as that one runs and nothing has come back for it.
func (e *engine) mayStart(a Action) {
	if a.Attempt != len(e.attempts) {
		e.fail("attempt %d follows attempt %d", a.Attempt, len(e.attempts)-1)
	}
	if a.Candidate < 0 || a.Candidate >= len(e.found) {
		e.fail("nobody has told of candidate %d", a.Candidate)
	}
	backup, first := a.Trigger == TriggerBackup, false
	for _, f := range e.attempts {
		if f.candidate != a.Candidate {
			continue
		}
		first = true
		if !backup || f.backup || f.cancelled || f.over || !f.started || f.waiting || f.stage > 0 {
			e.fail("%v", a)
		}
	}
	if backup && !first {
		e.fail("%v, but there is no first attempt", a)
	}
}

// goOn lets an attempt come to the end of its next stage, or to its outcome.
func (e *engine) goOn(attempt int, from time.Duration) {
	switch f := e.attempts[attempt]; {
	case f.stage < len(f.stages):
		at := from + f.stages[f.stage]
		e.report(attempt, Progressed, at)
		if f.hangup > 0 {
			e.report(attempt, Failed, at+f.hangup)
		}
	case f.outcome != 0:
		e.report(attempt, f.outcome, from+f.after)
	}
}

func (e *engine) proceed(attempt int) {
	if attempt < 0 || attempt >= len(e.attempts) {
		e.fail("there is no attempt %d to proceed", attempt)
	}
	f := e.attempts[attempt]
	if !f.waiting && !f.admitted || f.cancelled || f.over {
		e.fail("attempt %d does not wait to proceed", attempt)
	}
	if f.admitted {
		f.admitted = false
		e.begin(attempt)
		return
	}
	f.waiting = false
	f.stage++
	e.callOff(attempt, e.now) // it no longer hangs up
	e.goOn(attempt, e.now)
}

var failures = map[bool]Failure{
	false: {Type: "connection_refused", Errno: "ECONNREFUSED", Fault: FaultTarget},
	true:  {Type: "_OTHER", Errno: "EMFILE", Fault: FaultHost},
}

func (e *engine) report(attempt int, kind EventKind, at time.Duration) {
	event := Event{Kind: kind, At: at, Attempt: attempt}
	switch kind {
	case Failed:
		event.Failure = failures[e.attempts[attempt].unable]
	case Deferred:
		event.Defer = e.attempts[attempt].full
	}
	e.schedule(happening{Event: event})
}

// callOff takes off the agenda what an attempt would do later than at a time.
func (e *engine) callOff(attempt int, at time.Duration) {
	e.agenda = slices.DeleteFunc(e.agenda, func(h happening) bool {
		return h.Kind != Resolved && h.Kind != Stopped && h.Attempt == attempt && h.At > at
	})
}

// cancel calls off what would happen after the Cancel has arrived. An attempt
// whose outcome comes before that has outrun it.
func (e *engine) cancel(attempt int) {
	f := e.attempts[attempt]
	if f.over || f.cancelled {
		e.fail("attempt %d is cancelled, but it is over or has been cancelled", attempt)
	}
	f.cancelled = true
	arrives := e.now + f.confirm
	e.callOff(attempt, arrives)
	started, outrun := f.started, false
	for _, h := range e.agenda {
		if h.Kind != Resolved && h.Kind != Stopped && h.Attempt == attempt {
			started = started || h.Kind == Started
			outrun = outrun || h.Kind == Connected || h.Kind == Failed
		}
	}
	switch {
	case outrun:
	case f.stubborn && started && f.stage == len(f.stages):
		e.report(attempt, Connected, arrives)
	default:
		e.report(attempt, Cancelled, arrives)
	}
}

func unmapped(e netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(e.Addr().Unmap(), e.Port())
}
