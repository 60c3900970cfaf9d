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
	started bool
	over    bool // has reported its outcome
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
			e.resolve(&w.answers[i], 0)
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
		h.Candidates = e.introduce(h.answer)
	case Started:
		e.attempts[h.Attempt].started = true
	case Connected, Failed, Cancelled:
		e.attempts[h.Attempt].over = true
	}
	return h.Event
}

// introduce numbers candidates: one that an earlier answer to the same question
// had keeps its id and what is known of it.
func (e *engine) introduce(a *answer) []Candidate {
	found := slices.Clone(a.found)
	seen := map[netip.AddrPort]int{}
	for i, c := range found {
		key := sighting{a.question, c.Endpoint, seen[c.Endpoint]}
		seen[c.Endpoint]++
		id, known := e.ids[key]
		if !known {
			id = len(e.found)
			c.ID = id
			e.ids[key] = id
			e.found = append(e.found, c)
		}
		found[i] = e.found[id]
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

func (e *engine) ask(question int) {
	for i := range e.world.answers {
		if e.world.answers[i].question == question {
			e.resolve(&e.world.answers[i], e.now)
		}
	}
}

func (e *engine) resolve(a *answer, asked time.Duration) {
	event := Event{Kind: Resolved, At: asked + a.after, Question: a.question, Answer: a.status}
	e.schedule(happening{Event: event, answer: a})
}

func (e *engine) start(a Action) {
	if a.Attempt != len(e.attempts) {
		e.fail("attempt %d follows attempt %d", a.Attempt, len(e.attempts)-1)
	}
	b, known := e.world.endpoints[unmapped(e.found[a.Candidate].Endpoint)]
	if !known {
		e.fail("nothing says how %v behaves", e.found[a.Candidate].Endpoint)
	}
	e.attempts = append(e.attempts, &flight{behaviour: b})
	at := e.now + b.late
	if b.unable {
		e.report(a.Attempt, Failed, at)
		return
	}
	e.report(a.Attempt, Started, at)
	if b.outcome != 0 {
		e.report(a.Attempt, b.outcome, at+b.after)
	}
}

var failures = map[bool]Failure{
	false: {Type: "connection_refused", Errno: "ECONNREFUSED", Fault: FaultTarget},
	true:  {Type: "_OTHER", Errno: "EMFILE", Fault: FaultHost},
}

func (e *engine) report(attempt int, kind EventKind, at time.Duration) {
	event := Event{Kind: kind, At: at, Attempt: attempt}
	if kind == Failed {
		event.Failure = failures[e.attempts[attempt].unable]
	}
	e.schedule(happening{Event: event})
}

// cancel calls off what would happen after the Cancel has arrived. An attempt
// whose outcome comes before that has outrun it.
func (e *engine) cancel(attempt int) {
	f := e.attempts[attempt]
	if f.over {
		e.fail("attempt %d is cancelled, but it is over", attempt)
	}
	arrives := e.now + f.confirm
	started, outrun := f.started, false
	e.agenda = slices.DeleteFunc(e.agenda, func(h happening) bool {
		switch {
		case h.Kind == Resolved || h.Kind == Stopped || h.Attempt != attempt:
			return false
		case h.At > arrives:
			return true
		}
		started = started || h.Kind == Started
		outrun = outrun || h.Kind != Started
		return false
	})
	switch {
	case outrun:
	case f.stubborn && started:
		e.report(attempt, Connected, arrives)
	default:
		e.report(attempt, Cancelled, arrives)
	}
}

func unmapped(e netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(e.Addr().Unmap(), e.Port())
}
