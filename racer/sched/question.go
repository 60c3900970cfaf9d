package sched

import (
	"fmt"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

func (r *Race) question(id int) *question {
	if id < 0 || id >= len(r.questions) {
		panic(fmt.Sprintf("sched: unknown question %d", id))
	}
	return &r.questions[id]
}

// add adds a question, unless the race has it.
func (r *Race) add(q Question) {
	for i := range r.questions {
		if r.questions[i].Question == q {
			return
		}
	}
	r.questions = append(r.questions, question{Question: q})
	r.open++
}

// ask asks what has not been asked.
func (r *Race) ask(out []Action) []Action {
	for id := range r.questions {
		if q := &r.questions[id]; !q.asked {
			q.asked = true
			out = append(out, Action{Kind: Query, Question: id})
		}
	}
	return out
}

// resort adds the questions of the last resort when their time has come.
func (r *Race) resort() {
	if at, ok := r.lastResort(); !ok || at > r.now {
		return
	}
	r.resorted = true
	for _, q := range r.cfg.LastResort {
		r.add(q)
	}
}

// lastResort returns when the questions of the last resort are due: RFC 8305
// section 7.2. That is LastResortDelay after the start of the last candidate, or at
// once when there is none. One that is deferred counts from then on.
func (r *Race) lastResort() (at time.Duration, ok bool) {
	if !r.resortWaits() || r.open > 0 || r.next(addrsel.FamilyAny) != none {
		return 0, false
	}
	for i := range r.attempts {
		a := &r.attempts[i]
		if a.state == requested {
			return 0, false
		}
		if !a.backup {
			at = max(at, a.start+LastResortDelay)
		}
	}
	return at, true
}

// resortWaits says that the last resort is left, and that nothing has connected that
// makes it superfluous.
func (r *Race) resortWaits() bool {
	return len(r.cfg.LastResort) > 0 && !r.resorted && r.cfg.Goal != Order && r.earliest() == none
}

// serviceAnswered says that no question for service information is open. An
// AliasMode record brings another one, so it does not count as an answer yet: draft
// v3, section 4.2.1.
func (r *Race) serviceAnswered() bool {
	for i := range r.questions {
		if q := &r.questions[i]; q.Type.Family() == addrsel.FamilyAny && !q.answered {
			return false
		}
	}
	return true
}

// serviceFailed says that protected service information could not be had: draft v3,
// section 6.3, and RFC 9460 section 3.1.
func (r *Race) serviceFailed() bool {
	if !r.cfg.Service.Protected {
		return false
	}
	for i := range r.questions {
		if q := &r.questions[i]; q.Type.Family() == addrsel.FamilyAny && q.answer == Broken {
			return true
		}
	}
	return false
}
