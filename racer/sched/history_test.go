package sched

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// history is a race from its first Step to its last.
type history struct {
	cfg   Config
	steps []step
}

// step is one Step and the Next behind it.
type step struct {
	now     time.Duration
	events  []Event
	actions []Action
	next    time.Duration
	waits   bool // next counts
}

// log returns the transcript.
func (h *history) log() []Entry {
	var log []Entry
	for _, s := range h.steps {
		log = Record(log, s.now, s.events, s.actions)
	}
	return log
}

// lines returns the transcript, one entry a line.
func (h *history) lines() string {
	var b strings.Builder
	for _, entry := range h.log() {
		fmt.Fprintln(&b, entry)
	}
	return b.String()
}

// text returns the parameters and the transcript for a failure message.
func (h *history) text() string { return fmt.Sprintf("%+v\n%s", h.cfg, h.lines()) }

// account is a history retold by attempts and candidates. It shares no code
// with the race.
type account struct {
	*history
	last  int // step
	tries []try
	found []finding // by candidate id
	won   []Action
	end   EndReason
}

// never is a step that does not come.
const never = math.MaxInt

// try is an attempt. It says in which steps the race asked for it and learned
// of it, and when that was.
type try struct {
	Action
	asked, begun, ended, givenUp int // steps, or never
	start                        time.Duration
	outcome                      Event
	cause                        Cause
}

// inFlight says that it was in flight after a step's events.
func (f *try) inFlight(step int) bool { return f.asked <= step && step < f.ended }

// live says that it was, and has not been given up in that step either.
func (f *try) live(step int) bool { return f.inFlight(step) && step < f.givenUp }

// finding is a candidate.
type finding struct {
	Candidate
	question int
	told     []int // steps in which the race learned of it, withdrawals between
	listed   bool  // by the latest answer to its question
	attempt  int   // or none
	settles  []Action
}

func accountOf(h *history) *account {
	a := &account{history: h, last: len(h.steps) - 1}
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
	case Connected, Failed, Cancelled:
		f := &a.tries[e.Attempt]
		f.ended, f.outcome = n, e
	}
}

func (a *account) resolved(n int, e Event) {
	for _, c := range e.Candidates {
		if c.ID == len(a.found) {
			a.found = append(a.found, finding{Candidate: c, question: e.Question, attempt: none})
		}
	}
	for id := range a.found {
		c := &a.found[id]
		if c.question != e.Question {
			continue
		}
		was := c.listed
		c.listed = slices.ContainsFunc(e.Candidates, func(c Candidate) bool { return c.ID == id }) ||
			was && takesNothing(e)
		if c.listed && !was {
			c.told = append(c.told, n)
		}
	}
}

func (a *account) action(n int, action Action) {
	switch action.Kind {
	case Start:
		a.found[action.Candidate].attempt = action.Attempt
		a.tries = append(a.tries, try{Action: action, asked: n, begun: never, ended: never, givenUp: never})
	case Cancel:
		f := &a.tries[action.Attempt]
		f.givenUp, f.cause = n, action.Cause
	case Won:
		a.won = append(a.won, action)
	case Settle:
		c := &a.found[action.Candidate]
		c.settles = append(c.settles, action)
	case Finish:
		a.end = action.End
	}
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

// placed returns where the latest answer by then to its question has a
// candidate; ok is false when it has not.
func (a *account) placed(id, step int) (place int, ok bool) {
	for _, e := range a.events(step) {
		if e.Kind != Resolved || e.Question != a.found[id].question {
			continue
		}
		i := slices.IndexFunc(e.Candidates, func(c Candidate) bool { return c.ID == id })
		switch {
		case i >= 0:
			place, ok = i, true
		case !takesNothing(e):
			ok = false
		}
	}
	return place, ok
}

// takesNothing says that an answer withdraws nothing it does not have: given
// addresses stay, and an error says nothing of those before it.
func takesNothing(e Event) bool { return e.Question == NoQuestion || e.Answer == Broken }

func (a *account) listed(id, step int) bool {
	_, ok := a.placed(id, step)
	return ok
}

// answered says that a question had an answer by then.
func (a *account) answered(question, step int) bool {
	for _, e := range a.events(step) {
		if e.Kind == Resolved && e.Question == question {
			return true
		}
	}
	return false
}

// tooMany says that a candidate comes behind MaxPerAnswer others in the latest
// answer that has it.
func (a *account) tooMany(id, step int) bool {
	place, _ := a.placed(id, step)
	return a.bounded(a.found[id].question) && place >= a.cfg.MaxPerAnswer
}

func (a *account) bounded(question int) bool { return a.cfg.MaxPerAnswer > 0 && question != NoQuestion }

// mayTry says that nothing but a duplicate stood against trying a candidate, or
// that it had been tried.
func (a *account) mayTry(id, step int) bool {
	c := &a.found[id]
	if c.attempt != none && a.tries[c.attempt].asked < step {
		return true
	}
	return c.Skip == SkipNone && !a.tooMany(id, step) && a.listed(id, step)
}

// ranked is an endpoint in ranked order, and why it stands before the next.
type ranked struct {
	endpoint netip.AddrPort
	reason   addrsel.Reason
}

// ranking sorts each endpoint that may be tried, what has been tried included.
func (a *account) ranking(step int) []ranked {
	var found []Candidate
	seen := map[netip.AddrPort]bool{}
	for id := range a.found {
		if c := &a.found[id]; a.mayTry(id, step) && !seen[unmapped(c.Endpoint)] {
			seen[unmapped(c.Endpoint)] = true
			found = append(found, c.Candidate)
		}
	}
	slices.SortStableFunc(found, func(x, y Candidate) int { return x.Place - y.Place })
	var dests []addrsel.Destination
	for _, c := range found {
		dests = append(dests, addrsel.Destination{Addr: c.Endpoint.Addr(), Source: c.Source, SourceBits: c.SourceBits})
	}
	var ranker addrsel.Ranker
	var order []ranked
	for _, p := range ranker.Rank(dests, a.cfg.Ranking) {
		order = append(order, ranked{unmapped(found[p.Index].Endpoint), p.Reason})
	}
	return order
}

// dialed says that an attempt at an endpoint had been asked for before one.
func (a *account) dialed(endpoint netip.AddrPort, before int) bool {
	for _, f := range a.tries[:before] {
		if unmapped(a.found[f.Candidate].Endpoint) == endpoint {
			return true
		}
	}
	return false
}
