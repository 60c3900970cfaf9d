package racer

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// fold reads the candidates off the transcript, in ranked order. round is 0 in a
// race; in a probe every attempt is numbered by it.
func (e *engine) fold(round int) []Candidate {
	attempts := make([]Attempt, len(e.started))
	causes := make([]sched.Cause, len(e.started))
	var ranked []Candidate
	for _, entry := range e.log {
		switch ev, a := entry.Event, entry.Action; {
		case a.Kind == sched.Start:
			attempts[a.Attempt] = Attempt{Number: a.Attempt + 1, Trigger: a.Trigger, Delay: a.Delay, Basis: a.Basis}
			if round > 0 {
				attempts[a.Attempt].Number = round
			}
		case a.Kind == sched.Cancel:
			causes[a.Attempt] = a.Cause
		case a.Kind == sched.Settle:
			c := e.settled(a, len(ranked)+1)
			c.Attempts = e.attemptsAt(a, attempts, causes)
			ranked = append(ranked, c)
		case ev.Kind == sched.Started:
			t := &attempts[ev.Attempt]
			t.Begun, t.Start = true, ev.At
		case ev.Kind == sched.Connected, ev.Kind == sched.Failed, ev.Kind == sched.Cancelled:
			t := &attempts[ev.Attempt]
			t.End, t.Local, t.Failure = ev.At, ev.Local, ev.Failure
			t.Noticed, t.Kernel = ev.Noticed, ev.Kernel
		}
	}
	return ranked
}

// settled makes a candidate of its Settle action.
func (e *engine) settled(a sched.Action, position int) Candidate {
	f := e.known[a.Candidate]
	return Candidate{
		Position: position,
		Endpoint: f.endpoint,
		Origin:   f.kind,
		Name:     f.name,
		Label:    f.label,
		Index:    f.index,
		Outcome:  a.Outcome,
		Skip:     a.Skip,
		Reason:   a.Reason,
		Source:   f.source,
		known:    f.known,
	}
}

// attemptsAt returns the attempts at a candidate with their outcomes, of which its
// Settle action tells each.
func (e *engine) attemptsAt(settle sched.Action, attempts []Attempt, causes []sched.Cause) []Attempt {
	var at []Attempt
	for id, candidate := range e.started {
		if candidate != settle.Candidate {
			continue
		}
		a := attempts[id]
		a.Outcome = settle.Outcomes[len(at)]
		if causes[id] == sched.CauseTimeout && a.Failure == (sched.Failure{}) {
			within := e.plan.cfg.AttemptTimeout
			if len(at) > 0 { // a backup has what is left of the first attempt's time
				within -= (a.Start - at[0].Start).Round(time.Millisecond)
			}
			a.Failure = silence(within)
		}
		at = append(at, a)
	}
	return at
}

// silence is the failure of an attempt that used up its time.
func silence(timeout time.Duration) sched.Failure {
	return sched.Failure{Type: "timed_out", Text: fmt.Sprintf("no answer within %v", timeout), Fault: sched.FaultTarget}
}

// summary reads off the transcript what every result has.
func (e *engine) summary() Run {
	return Run{
		Start:      e.start,
		Duration:   e.took,
		End:        e.end,
		Selection:  e.plan.selection,
		Warnings:   slices.Clone(e.plan.warnings),
		Queries:    e.queries(),
		Transcript: e.transcript(0, 0),
	}
}

// bases are those of the attempts, in the order of starts.
func (e *engine) bases() []sched.Basis {
	var bases []sched.Basis
	for _, entry := range e.log {
		if entry.Action.Kind == sched.Start {
			bases = append(bases, entry.Action.Basis)
		}
	}
	return bases
}

func (e *engine) queries() []Query {
	queries := make([]Query, len(e.plan.cfg.Questions))
	for _, entry := range e.log {
		switch {
		case entry.Action.Kind == sched.Query:
			asked := e.plan.cfg.Questions[entry.Action.Question]
			queries[entry.Action.Question] = Query{Name: asked.Name, Type: asked.Type, Start: entry.At}
		case entry.Event.Kind == sched.Resolved && entry.Event.Question != sched.NoQuestion:
			queries[entry.Event.Question].answer(entry.Event)
		}
	}
	return queries
}

func (q *Query) answer(ev sched.Event) {
	q.Answered, q.Duration = true, ev.At-q.Start
	q.Status, q.Failure = ev.Answer, ev.Failure
	for _, c := range ev.Candidates {
		q.Addrs = append(q.Addrs, c.Endpoint.Addr())
	}
}

// transcript returns the log with endpoints, as the given round that began at
// base.
func (e *engine) transcript(round int, base time.Duration) []Entry {
	entries := make([]Entry, len(e.log))
	for i, entry := range e.log {
		entry.At += base
		entry.Event.At += base // of an action it means nothing
		entries[i] = Entry{Round: round, Endpoint: e.about(entry), Entry: entry}
	}
	return entries
}

// about returns the endpoint an entry is about, or the zero value.
func (e *engine) about(entry sched.Entry) netip.AddrPort {
	switch entry.Action.Kind {
	case sched.Start, sched.Won, sched.Settle:
		return e.known[entry.Action.Candidate].endpoint
	case sched.Proceed, sched.Cancel:
		return e.known[e.started[entry.Action.Attempt]].endpoint
	}
	switch entry.Event.Kind {
	case sched.Started, sched.Connected, sched.Progressed, sched.Failed, sched.Cancelled:
		return e.known[e.started[entry.Event.Attempt]].endpoint
	}
	return netip.AddrPort{}
}
