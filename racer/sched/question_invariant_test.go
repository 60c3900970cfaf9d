package sched

import (
	"fmt"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// questionsAreAskedOnce: H3-06 as to the order, H3-14 and H3-16 as to what follows
// from an answer, H2-40 as to the last resort.
func questionsAreAskedOnce(a *account) error {
	resort := a.resortAt()
	for id, q := range a.questions {
		at := q.known
		if q.resort && at != resort {
			return fmt.Errorf("question %d is asked in step %d, but nobody wants it", id, at)
		}
		var want []int
		if at == 0 || at < a.overAt() {
			want = []int{at}
		}
		if !slices.Equal(q.asked, want) {
			return fmt.Errorf("question %d is asked in steps %v, want %v", id, q.asked, want)
		}
	}
	for _, q := range a.cfg.LastResort {
		if !a.knows(q) && resort < a.overAt() {
			return fmt.Errorf("%v is not asked", q)
		}
	}
	return a.questionsAreInOrder()
}

func (a *account) questionsAreInOrder() error {
	next := 0
	for n, s := range a.steps {
		for _, action := range s.actions {
			switch {
			case action.Kind != Query:
			case action.Question != next:
				return fmt.Errorf("question %d is asked in step %d, want %d", action.Question, n, next)
			default:
				next++
			}
		}
	}
	return nil
}

// resortAt returns the step in which the time of the last resort comes: RFC 8305
// section 7.2.
func (a *account) resortAt() int {
	for n, s := range a.steps {
		if due := a.resortDue(n, n); due.known && due.at <= s.now {
			return n
		}
	}
	return never
}

// resortDue returns when that was due, as known in a step, given what was told to
// start before another one: that step, or the next.
func (a *account) resortDue(step, before int) due {
	attempts := a.askedBefore(before)
	wanted := len(a.cfg.LastResort) > 0 && a.cfg.Goal != Order
	if !wanted || a.connected(step) || !a.allAnswered(step, notOfTheResort) || len(a.waiting(step, attempts, addrsel.FamilyAny)) > 0 {
		return due{}
	}
	at := time.Duration(0)
	for i := range a.tries[:attempts] {
		f := &a.tries[i]
		if f.begun > step && f.ended > step && !f.isPutOff(step, before) {
			return due{}
		}
		if f.Trigger != TriggerBackup {
			at = max(at, f.tried(step)+2*time.Second)
		}
	}
	return due{at, true}
}

// connected says that an attempt had connected that was not given up.
func (a *account) connected(step int) bool {
	for i := range a.tries {
		if f := &a.tries[i]; f.ended <= step && f.outcome.Kind == Connected && f.givenUp == never {
			return true
		}
	}
	return false
}
