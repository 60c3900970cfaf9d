package sched

import (
	"math"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// account is a history retold by attempts, candidates and questions. It shares no
// code with the race.
type account struct {
	*history
	last         int // step
	tries        []try
	starts       int       // how many were told to start so far
	found        []finding // by candidate id
	questions    []asking  // by id
	firstAddress int       // step that brought the first address that may be tried, or never
	won          []Action
	wonAt        int // step of the first Won, or never
	end          EndReason
	over         *int              // see overAt
	rankings     map[view][]ranked // see rankingOf
}

// never is a step that does not come.
const never = math.MaxInt

// try is an attempt. It says in which steps the race asked for it and learned
// of it, and when that was.
type try struct {
	Action
	asked, begun, ended, givenUp int // steps, or never
	deferred, admitted, let      int // likewise; let is when it was told to start after that
	nth                          int // it was told to start, of all
	start, deferral              time.Duration
	outcome                      Event
	cause                        Cause
	stages                       []stage
	strays                       []int // steps of a Proceed that no stage waited for
}

// stage is a part of a handshake that is done, so that the next one waits.
type stage struct {
	told     int // step
	at       time.Duration
	proceeds []int // steps
}

// inFlight says that it was in flight after a step's events.
func (f *try) inFlight(step int) bool { return f.asked <= step && step < f.ended }

// live says that it was, and has not been given up in that step either.
func (f *try) live(step int) bool { return f.inFlight(step) && step < f.givenUp }

// runs says that it was live, and its SYN had left.
func (f *try) runs(step int) bool { return f.live(step) && f.begun <= step }

// isPutOff says that it had been deferred by a step, and was not told to start before
// another one.
func (f *try) isPutOff(step, before int) bool { return f.deferred <= step && f.let >= before }

// waits says that it was live after a step, and deferred.
func (f *try) waits(step int) bool { return f.live(step) && f.isPutOff(step, step+1) }

// counts says that its time counted by a step: from its start, or meanwhile from its
// deferral.
func (f *try) counts(step int) bool { return f.begun <= step || f.isPutOff(step, step+1) }

// isPending says that it may start at any moment after a step.
func (f *try) isPending(step int) bool { return f.live(step) && !f.counts(step) }

// tried returns from when on its time counts, as known in a step: since it started, or
// failed to, or was deferred.
func (f *try) tried(step int) time.Duration {
	switch {
	case f.begun <= step:
		return f.start
	case f.ended <= step && f.outcome.Kind == Failed || f.deferred > step:
		return f.outcome.At
	}
	return f.deferral
}

// progress returns when its latest stage was done, as known in a step.
func (f *try) progress(step int) (at time.Duration, ok bool) {
	for _, s := range f.stages {
		if s.told <= step {
			at, ok = s.at, true
		}
	}
	return at, ok
}

// finding is a candidate.
type finding struct {
	Candidate     // as it was told first; what a sight has of it may change
	question  int // whose answer has it
	sights    []sight
	attempts  []int // its first one, and its backup
	settles   []Action
}

// sight is what is known of a candidate from a step on.
type sight struct {
	step   int
	listed bool // by the latest answer to its question, and nothing has replaced it
	nth    int  // in the latest answer that has it
	place  int
	group  Group
	expect Expectation
	skip   SkipReason
}

// asking is a question.
type asking struct {
	Question
	resort  bool  // nobody wanted it before the last resort
	known   int   // step in which the race learned that it is to be asked
	asked   []int // steps
	answers []told
}

// told is an answer as to its status.
type told struct {
	step   int
	status Answer
}

func accountOf(h *history) *account {
	a := &account{history: h, last: len(h.steps) - 1, firstAddress: never, wonAt: never, rankings: map[view][]ranked{}}
	for _, q := range h.cfg.Questions {
		a.questions = append(a.questions, asking{Question: q})
	}
	for n, s := range h.steps {
		for _, e := range s.events {
			a.event(n, e)
		}
		for _, action := range s.actions {
			a.action(n, action)
		}
	}
	return a
}

func (a *account) event(n int, e Event) {
	switch e.Kind {
	case Resolved:
		a.resolved(n, e)
	case Started:
		f := &a.tries[e.Attempt]
		f.begun, f.start = n, e.At
	case Deferred:
		f := &a.tries[e.Attempt]
		f.deferred, f.deferral = n, e.At
	case Admitted:
		a.tries[e.Attempt].admitted = n
	case Progressed:
		f := &a.tries[e.Attempt]
		f.stages = append(f.stages, stage{told: n, at: e.At})
	case Connected, Failed, Cancelled:
		f := &a.tries[e.Attempt]
		f.ended, f.outcome = n, e
	}
}

func (a *account) resolved(n int, e Event) {
	if e.Question != NoQuestion {
		q := &a.questions[e.Question]
		q.answers = append(q.answers, told{n, e.Answer})
	}
	for id := range a.found {
		if a.takesAway(e, id) {
			s := a.found[id].now()
			s.step, s.listed = n, false
			a.found[id].sights = append(a.found[id].sights, s)
		}
	}
	for nth, c := range e.Candidates {
		a.sees(n, e.Question, nth, c)
	}
	for _, q := range e.Follow {
		a.learns(n, asking{Question: q})
	}
}

// takesAway says that an answer withdraws a candidate: it is one to the same
// question and has it no longer, or it replaces an address hint.
func (a *account) takesAway(e Event, id int) bool {
	c := &a.found[id]
	switch {
	case e.Question == NoQuestion || e.Answer == Broken || !c.now().listed:
		return false // given addresses stay, and an error says nothing of those before it
	case c.question == e.Question:
		return !slices.ContainsFunc(e.Candidates, func(c Candidate) bool { return c.ID == id })
	}
	return a.replaces(e.Question, &c.Candidate)
}

// replaces says that a question is the one whose answer an address hint stands for.
func (a *account) replaces(question int, c *Candidate) bool {
	want := Question{Name: c.Hint, Type: AAAA}
	if unmapped(c.Endpoint).Addr().Is4() {
		want.Type = A
	}
	return c.Hint != "" && a.questions[question].Question == want
}

// isReplaced says that an address hint comes later than the answer it stands for.
func (a *account) isReplaced(c *Candidate) bool {
	for id, q := range a.questions {
		if n := len(q.answers); n > 0 && q.answers[n-1].status != Broken && a.replaces(id, c) {
			return true
		}
	}
	return false
}

func (a *account) sees(n, question, nth int, c Candidate) {
	if c.ID == len(a.found) {
		a.found = append(a.found, finding{Candidate: c, question: question})
	}
	f := &a.found[c.ID]
	s := sight{n, !a.isReplaced(&f.Candidate), nth, c.Place, c.Group, c.Expect, c.Skip}
	f.sights = append(f.sights, s)
	if s.listed && s.skip == SkipNone && !a.isTooMany(question, nth) {
		a.firstAddress = min(a.firstAddress, n)
	}
}

// now returns what was told last.
func (c *finding) now() sight { return c.sights[len(c.sights)-1] }

// learns adds a question that is not known yet.
func (a *account) learns(n int, q asking) {
	if q.known = n; !a.knows(q.Question) {
		a.questions = append(a.questions, q)
	}
}

func (a *account) knows(q Question) bool {
	return slices.ContainsFunc(a.questions, func(k asking) bool { return k.Question == q })
}

func (a *account) action(n int, action Action) {
	switch action.Kind {
	case Query:
		a.query(n, action.Question)
	case Start:
		c := &a.found[action.Candidate]
		c.attempts = append(c.attempts, action.Attempt)
		a.tries = append(a.tries, try{
			Action: action, asked: n, begun: never, ended: never, givenUp: never,
			deferred: never, admitted: never, let: never, nth: a.starts,
		})
		a.starts++
	case Proceed:
		a.proceed(n, &a.tries[action.Attempt])
	case Cancel:
		f := &a.tries[action.Attempt]
		f.givenUp, f.cause = n, action.Cause
	case Won:
		a.won = append(a.won, action)
		a.wonAt = min(a.wonAt, n)
	case Settle:
		c := &a.found[action.Candidate]
		c.settles = append(c.settles, action)
	case Finish:
		a.end = action.End
	}
}

// query notes that a question is asked. One that nothing was told of must be of the
// last resort.
func (a *account) query(n, id int) {
	if id == len(a.questions) {
		for _, q := range a.cfg.LastResort {
			a.learns(n, asking{Question: q, resort: true})
		}
	}
	a.questions[id].asked = append(a.questions[id].asked, n)
}

func (a *account) proceed(n int, f *try) {
	if f.admitted <= n && f.let == never {
		f.let, f.nth = n, a.starts
		a.starts++
		return
	}
	if len(f.stages) == 0 {
		f.strays = append(f.strays, n)
		return
	}
	s := &f.stages[len(f.stages)-1]
	s.proceeds = append(s.proceeds, n)
}

// inFlight counts the attempts in flight after a step.
func (a *account) inFlight(step int) int {
	n := 0
	for i := range a.tries {
		if a.tries[i].inFlight(step) {
			n++
		}
	}
	return n
}

// full says that no further attempt was allowed after a step.
func (a *account) full(step int) bool {
	return a.cfg.MaxInFlight > 0 && a.inFlight(step) >= a.cfg.MaxInFlight
}

// askedBefore counts the attempts that were asked for before a step.
func (a *account) askedBefore(step int) int {
	n := 0
	for n < len(a.tries) && a.tries[n].asked < step {
		n++
	}
	return n
}

// events yields the events of the steps up to one, that included.
func (a *account) events(to int) func(yield func(int, Event) bool) {
	return func(yield func(int, Event) bool) {
		for n, s := range a.steps[:to+1] {
			for _, e := range s.events {
				if !yield(n, e) {
					return
				}
			}
		}
	}
}

// answered says that a question had an answer by then.
func (a *account) answered(question, step int) bool {
	answers := a.questions[question].answers
	return len(answers) > 0 && answers[0].step <= step
}

// allAnswered says that every question that was known by then, of those that count,
// had an answer.
func (a *account) allAnswered(step int, counts func(asking) bool) bool {
	for id, q := range a.questions {
		if q.known <= step && counts(q) && !a.answered(id, step) {
			return false
		}
	}
	return true
}

func anyQuestion(asking) bool { return true }

func notOfTheResort(q asking) bool { return !q.resort }

// forService says that a question asks for service information.
func forService(q asking) bool { return q.Type == HTTPS || q.Type == SVCB }

// broken says that the latest answer by then to some question was an error.
func (a *account) broken(step int, counts func(asking) bool) bool {
	for _, q := range a.questions {
		last := Positive
		for _, answer := range q.answers {
			if answer.step <= step {
				last = answer.status
			}
		}
		if last == Broken && counts(q) {
			return true
		}
	}
	return false
}

// sight returns what was known of a candidate in a step; ok is false when that was
// nothing yet.
func (a *account) sight(id, step int) (s sight, ok bool) {
	for _, next := range a.found[id].sights {
		if next.step > step {
			break
		}
		s, ok = next, true
	}
	return s, ok
}

func (a *account) listed(id, step int) bool {
	s, ok := a.sight(id, step)
	return ok && s.listed
}

// skip is why a candidate must not be tried.
func (a *account) skip(id, step int) SkipReason {
	s, _ := a.sight(id, step)
	return s.skip
}

// tooMany says that a candidate comes behind MaxPerAnswer others in the latest
// answer that has it.
func (a *account) tooMany(id, step int) bool {
	s, _ := a.sight(id, step)
	return a.isTooMany(a.found[id].question, s.nth)
}

func (a *account) isTooMany(question, nth int) bool {
	return a.cfg.MaxPerAnswer > 0 && question != NoQuestion && nth >= a.cfg.MaxPerAnswer
}

// news returns the steps up to one in which a candidate was told of, or came back.
func (a *account) news(id, to int) (steps []int) {
	was := false
	for _, s := range a.found[id].sights {
		if s.listed && !was && s.step <= to {
			steps = append(steps, s.step)
		}
		was = s.listed
	}
	return steps
}

func (a *account) family(f *try) addrsel.Family {
	return addrsel.FamilyOf(a.found[f.Candidate].Endpoint.Addr())
}
