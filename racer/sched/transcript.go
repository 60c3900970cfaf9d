package sched

import (
	"fmt"
	"strings"
	"time"
)

// Entry is one line of a race's transcript: an event or an action, and when.
type Entry struct {
	// At is when it happened, since the race began. Entries stand in the order in
	// which the race learned of them, so an event's At can lie a little before
	// the entry above it.
	At     time.Duration
	Event  Event  // Kind is 0 when this is an action
	Action Action // Kind is 0 when this is an event
}

// Record appends what went into one Step and what came out of it.
func Record(log []Entry, now time.Duration, events []Event, actions []Action) []Entry {
	for _, e := range events {
		log = append(log, Entry{At: e.At, Event: e})
	}
	for _, a := range actions {
		log = append(log, Entry{At: now, Action: a})
	}
	return log
}

// String returns the entry as a line of words, such as
// "250ms start attempt 1 candidate 1 (attempt_delay, delay 250ms)".
func (e Entry) String() string {
	what := e.Event.String()
	if e.Action.Kind != 0 {
		what = e.Action.String()
	}
	return e.At.String() + " " + what
}

// String returns the event as words, without its time.
func (e Event) String() string {
	switch e.Kind {
	case Resolved:
		return e.resolvedString()
	case Stopped:
		return fmt.Sprintf("stopped (%s)", e.End)
	case Deferred:
		return fmt.Sprintf("deferred attempt %d (%s)", e.Attempt, e.Defer)
	case Failed:
		return fmt.Sprintf("failed attempt %d (%s)", e.Attempt, e.Failure.Type)
	default:
		return fmt.Sprintf("%s attempt %d", e.Kind, e.Attempt)
	}
}

func (e Event) resolvedString() string {
	var b strings.Builder
	if e.Question == NoQuestion {
		b.WriteString("given")
	} else {
		fmt.Fprintf(&b, "resolved question %d", e.Question)
	}
	if e.Answer != Positive {
		fmt.Fprintf(&b, " (%s)", e.Answer)
	}
	for _, c := range e.Candidates {
		fmt.Fprintf(&b, " %d=%s", c.ID, c.Endpoint)
	}
	for _, q := range e.Follow {
		fmt.Fprintf(&b, " follow %s %s", q.Type, q.Name)
	}
	return b.String()
}

// String returns the action as words, without its time.
func (a Action) String() string {
	switch a.Kind {
	case Query:
		return fmt.Sprintf("query question %d", a.Question)
	case Start:
		return fmt.Sprintf("start attempt %d candidate %d (%s%s)", a.Attempt, a.Candidate, a.Trigger, a.delayString())
	case Proceed:
		return fmt.Sprintf("proceed attempt %d", a.Attempt)
	case Cancel:
		return fmt.Sprintf("cancel attempt %d (%s)", a.Attempt, a.Cause)
	case Won:
		return fmt.Sprintf("won attempt %d candidate %d", a.Attempt, a.Candidate)
	case Settle:
		if a.Outcome == OutcomeSkipped {
			return fmt.Sprintf("settle candidate %d skipped (%s)", a.Candidate, a.Skip)
		}
		return fmt.Sprintf("settle candidate %d %s", a.Candidate, a.Outcome)
	default:
		return fmt.Sprintf("%s (%s)", a.Kind, a.End)
	}
}

func (a Action) delayString() string {
	switch a.Basis {
	case BasisNone:
		return ""
	case BasisConfigured:
		return fmt.Sprintf(", delay %v", a.Delay)
	default:
		return fmt.Sprintf(", delay %v: %s", a.Delay, a.Basis)
	}
}
