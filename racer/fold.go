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
	t := &e.tries
	t.begin(len(e.started), len(e.known))
	ranked := make([]Candidate, 0, len(e.known))
	all := make([]Attempt, 0, len(e.started)) // of all candidates, one after the other
	for i := range e.log {
		ev, a := &e.log[i].Event, &e.log[i].Action
		switch {
		case a.Kind == sched.Settle:
			from := len(all)
			all = t.at(a, &e.plan.cfg, all)
			ranked = append(ranked, e.settled(a, len(ranked)+1))
			ranked[len(ranked)-1].Attempts = all[from:len(all):len(all)]
		case a.Kind != 0:
			t.asked(a, round)
		default:
			t.happened(ev)
		}
	}
	return ranked
}

// settled makes a candidate of its Settle action.
func (e *engine) settled(a *sched.Action, position int) Candidate {
	f := &e.known[a.Candidate]
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

// tries are the attempts of a race while its transcript is read.
type tries struct {
	attempts []Attempt
	causes   []sched.Cause // why they were given up
	goOn     []bool        // they were told to, when TCP was up
	ids      [][2]int      // by candidate: its attempt and the backup; absent: there was none
}

const absent = -1

// begin makes room.
func (t *tries) begin(attempts, candidates int) {
	t.attempts = slices.Grow(t.attempts[:0], attempts)[:attempts]
	t.causes = slices.Grow(t.causes[:0], attempts)[:attempts]
	clear(t.causes)
	t.goOn = slices.Grow(t.goOn[:0], attempts)[:attempts]
	clear(t.goOn)
	t.ids = slices.Grow(t.ids[:0], candidates)[:candidates]
	for i := range t.ids {
		t.ids[i] = [2]int{absent, absent}
	}
}

// asked takes in what was to be done.
func (t *tries) asked(a *sched.Action, round int) {
	switch a.Kind {
	case sched.Start:
		t.attempts[a.Attempt] = Attempt{Number: a.Attempt + 1, Trigger: a.Trigger, Delay: a.Delay, Basis: a.Basis}
		if round > 0 {
			t.attempts[a.Attempt].Number = round
		}
		if ids := &t.ids[a.Candidate]; ids[0] == absent {
			ids[0] = a.Attempt
		} else {
			ids[1] = a.Attempt
		}
	case sched.Proceed:
		t.goOn[a.Attempt] = t.attempts[a.Attempt].Begun // else it may start
	case sched.Cancel:
		t.causes[a.Attempt] = a.Cause
	}
}

// happened takes in what came of it.
func (t *tries) happened(ev *sched.Event) {
	switch ev.Kind {
	case sched.Started:
		a := &t.attempts[ev.Attempt]
		a.Begun, a.Start = true, ev.At
		a.waited(ev.At)
	case sched.Deferred:
		t.attempts[ev.Attempt].Deferral = &Deferral{Start: ev.At, Reason: ev.Defer}
	case sched.Progressed:
		a := &t.attempts[ev.Attempt]
		a.Up, a.Noticed, a.Kernel, a.Local = ev.At, ev.Noticed, ev.Kernel, ev.Local
	case sched.Connected, sched.Failed, sched.Cancelled:
		t.attempts[ev.Attempt].end(ev)
	}
}

// at appends the attempts at a candidate with their outcomes, of which its Settle
// action tells each.
func (t *tries) at(settle *sched.Action, cfg *sched.Config, all []Attempt) []Attempt {
	var first *Attempt
	for n, id := range t.ids[settle.Candidate] {
		if id == absent {
			break
		}
		a := &t.attempts[id]
		a.Outcome = settle.Outcomes[n]
		if t.causes[id] == sched.CauseTimeout && a.Begun && a.Failure == (sched.Failure{}) {
			within := cfg.AttemptTimeout
			if first != nil { // a backup has what is left of the first attempt's time
				within -= (a.Start - first.Start).Round(time.Millisecond)
			}
			a.Failure = silence(within, a, cfg.Service.Holds() && !t.goOn[id])
		}
		first = a
		all = append(all, *a)
	}
	return all
}

// waited ends the attempt's wait, if it had one.
func (a *Attempt) waited(until time.Duration) {
	if a.Deferral != nil {
		a.Deferral.Duration = until - a.Deferral.Start
	}
}

// end takes in an attempt's outcome. What is known of its handshake already stays.
func (a *Attempt) end(ev *sched.Event) {
	a.End, a.Failure, a.Stages = ev.At, ev.Failure, ev.Stages
	if !a.Begun {
		a.waited(ev.At)
	}
	if a.Up > 0 {
		return
	}
	a.Local, a.Noticed, a.Kernel = ev.Local, ev.Noticed, ev.Kernel
}

// moreTime is what can be done in any case about an attempt that used up its time.
const moreTime = "allow an attempt more time"

// silence is the failure of an attempt that used up its time, in the latest of its
// phases. held: it was not to go on before there was service information.
//
// Nobody but this process begins a stage. If it has not begun one in time, then that was
// late: unless no host could have been in time, as each stage takes a round trip at least
// and no more was left than that.
func silence(within time.Duration, a *Attempt, held bool) sched.Failure {
	phases, end := a.Phases(), a.Start+within
	f := sched.Failure{Type: "timed_out", Fault: sched.FaultTarget}
	switch n := len(phases); {
	case n > 1 && phases[1].Start < end:
		f.Text = fmt.Sprintf("TCP is up, but %s did not end within %v of the attempt's start; %s, or %s", phases[n-1].Kind.Text(), within, whyLate(phases[n-1].Kind), moreTime)
	case a.Up == 0:
		f.Text = fmt.Sprintf("no answer within %v; see whether the host is up and whether a firewall drops packets, or %s", within, moreTime)
	case held:
		f.Fault = sched.FaultUnknown
		f.Text = fmt.Sprintf("TCP is up, but the service information that must come first did not come within %v of the attempt's start; see whether the name server answers, or %s", within, moreTime)
	case end-a.Up <= a.Kernel.RTT:
		f.Text = fmt.Sprintf("TCP was up only after %v, which left too little of %v for what comes after it; %s", (a.Up - a.Start).Round(100*time.Microsecond), within, moreTime)
	default:
		f.Fault = sched.FaultHost
		f.Text = fmt.Sprintf("TCP was up in time, but this host was too busy to go on within %v of the attempt's start; see what keeps its processors busy, or %s", within, moreTime)
	}
	return f
}

// whyLate says where to look when a peer did not end a stage in time.
func whyLate(stage sched.PhaseKind) string {
	if stage == sched.PhaseFirstByte {
		return "see whether the peer speaks first at all"
	}
	return "see what keeps the peer busy"
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

// transcript returns the log with endpoints, as the given round that began at base; nil
// if nobody wants it.
func (e *engine) transcript(round int, base time.Duration) []Entry {
	if e.plan.untold {
		return nil
	}
	entries := make([]Entry, len(e.log))
	for i, entry := range e.log {
		entries[i] = Entry{Round: round, Endpoint: e.about(entry), Entry: entryLater(entry, base)}
	}
	return entries
}

// entryLater returns the entry with all offsets moved by base. An action's event is
// none, and means nothing.
func entryLater(entry sched.Entry, base time.Duration) sched.Entry {
	entry.At += base
	entry.Event.At += base
	if entry.Event.Noticed > 0 {
		entry.Event.Noticed += base
	}
	entry.Event.Stages = stagesLater(entry.Event.Stages, base)
	return entry
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
	case sched.Started, sched.Connected, sched.Progressed, sched.Failed, sched.Cancelled, sched.Deferred, sched.Admitted:
		return e.known[e.started[entry.Event.Attempt]].endpoint
	}
	return netip.AddrPort{}
}
