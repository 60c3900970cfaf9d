package sched

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestIllegalHistoriesPanic: only an engine feeds the race, and these are its
// mistakes. Each history goes on after two candidates were given, of which 0 has
// been started; 1 has been asked for by the end of "250 ms".
func TestIllegalHistoriesPanic(t *testing.T) {
	at := func(k EventKind, attempt int) Event { return Event{Kind: k, Attempt: attempt} }
	full := func(attempt int) Event { return Event{Kind: Deferred, Attempt: attempt, Defer: DeferRate} }
	list := func(question int, ids ...int) Event {
		e := Event{Kind: Resolved, Question: question}
		for _, id := range ids {
			c := candidateAt(fmt.Sprintf("192.0.2.%d", id+100))
			c.ID = id
			e.Candidates = append(e.Candidates, c)
		}
		return e
	}
	tests := []struct {
		name, want string
		events     []Event
	}{
		{"started, never asked for", "unknown attempt 2", []Event{at(Started, 2)}},
		{"failed, never asked for", "unknown attempt 2", []Event{at(Failed, 2)}},
		{"negative attempt", "unknown attempt -1", []Event{at(Started, -1)}},
		{"started twice", "attempt 0 started twice", []Event{at(Started, 0)}},
		{"started after it failed", "attempt 0 started twice", []Event{at(Failed, 0), at(Started, 0)}},
		{"failed twice", "second outcome of attempt 0", []Event{at(Failed, 0), at(Failed, 0)}},
		{"failed and connected", "second outcome of attempt 0", []Event{at(Failed, 0), at(Connected, 0)}},
		{"failed and cancelled", "second outcome of attempt 0", []Event{at(Failed, 0), at(Cancelled, 0)}},
		{"failed to start, twice", "second outcome of attempt 1", []Event{at(Failed, 1), at(Failed, 1)}},
		{"connected before it started", "attempt 1 connected before it started", []Event{at(Connected, 1)}},
		{"cancelled while it runs", "attempt 0 was cancelled by nobody", []Event{at(Cancelled, 0)}},
		{"cancelled before it started", "attempt 1 was cancelled by nobody", []Event{at(Cancelled, 1)}},
		{"progressed, never asked for", "unknown attempt 2", []Event{at(Progressed, 2)}},
		{"progressed before it started", "attempt 1 can't have progressed", []Event{at(Progressed, 1)}},
		{"progressed twice, and was not told to proceed", "attempt 0 can't have progressed", []Event{at(Progressed, 0), at(Progressed, 0)}},
		{"progressed after it failed", "attempt 0 can't have progressed", []Event{at(Failed, 0), at(Progressed, 0)}},
		{"progressed after it connected", "attempt 0 can't have progressed", []Event{at(Connected, 0), at(Progressed, 0)}},
		{"connected before it was told to proceed", "attempt 0 connected while it waited to proceed", []Event{at(Progressed, 0), at(Connected, 0)}},
		{"started after it progressed", "attempt 0 started twice", []Event{at(Progressed, 0), at(Started, 0)}},
		{"deferred, never asked for", "unknown attempt 2", []Event{full(2)}},
		{"deferred after it started", "attempt 0 can't be deferred", []Event{full(0)}},
		{"deferred twice", "attempt 1 can't be deferred", []Event{full(1), full(1)}},
		{"deferred after it was admitted", "attempt 1 can't be deferred", []Event{full(1), at(Admitted, 1), full(1)}},
		{"deferred after it failed", "attempt 1 can't be deferred", []Event{at(Failed, 1), full(1)}},
		{"deferred for no reason", "attempt 1 was deferred for no reason", []Event{at(Deferred, 1)}},
		{"admitted, never asked for", "unknown attempt 2", []Event{at(Admitted, 2)}},
		{"admitted, never deferred", "attempt 1 was admitted, but it is not deferred", []Event{at(Admitted, 1)}},
		{"admitted while it runs", "attempt 0 was admitted, but it is not deferred", []Event{at(Admitted, 0)}},
		{"admitted twice", "attempt 1 was admitted, but it is not deferred", []Event{full(1), at(Admitted, 1), at(Admitted, 1)}},
		{"started while it is deferred", "attempt 1 started before it was told to proceed", []Event{full(1), at(Started, 1)}},
		{"started before it was told to", "attempt 1 started before it was told to proceed", []Event{full(1), at(Admitted, 1), at(Started, 1)}},
		{"progressed while it is deferred", "attempt 1 can't have progressed", []Event{full(1), at(Progressed, 1)}},
		{"progressed before it was told to start", "attempt 1 can't have progressed", []Event{full(1), at(Admitted, 1), at(Progressed, 1)}},
		{"connected while it is deferred", "attempt 1 connected before it started", []Event{full(1), at(Connected, 1)}},
		{"connected before it was told to start", "attempt 1 connected before it started", []Event{full(1), at(Admitted, 1), at(Connected, 1)}},
		{"failed while it is deferred", "attempt 1 failed before it was told to proceed", []Event{full(1), at(Failed, 1)}},
		{"failed before it was told to start", "attempt 1 failed before it was told to proceed", []Event{full(1), at(Admitted, 1), at(Failed, 1)}},
		{"cancelled while it is deferred", "attempt 1 was cancelled by nobody", []Event{full(1), at(Cancelled, 1)}},
		{"cancelled when it is admitted", "attempt 1 was cancelled by nobody", []Event{full(1), at(Admitted, 1), at(Cancelled, 1)}},
		{"stopped by a win", "nobody can stop a race as \"won\"", []Event{{Kind: Stopped, End: EndWon}}},
		{"stopped for no reason", "nobody can stop a race as \"\"", []Event{{Kind: Stopped}}},
		{"answer without a question", "unknown question 1", []Event{list(1)}},
		{"answer to what has not been asked yet", "question 1 has not been asked", []Event{
			{Kind: Resolved, Question: 0, Follow: []Question{{"alt.example", AAAA}}}, list(1),
		}},
		{"negative question", "unknown question -2", []Event{list(-2)}},
		{"gap in the candidates", "candidate 3 is not the next one", []Event{list(0, 3)}},
		{"negative candidate", "candidate -1 is not the next one", []Event{list(0, -1)}},
		{"candidate of another question", "candidate 0 is not the next one", []Event{list(0, 0)}},
		{"no kind", "unknown event 0", []Event{{}}},
		{"unknown kind", "unknown event 99", []Event{{Kind: 99}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			race := raceWithTwoAttempts()
			mustPanic(t, tt.want, func() { race.Step(251*ms, tt.events, nil) })
		})
	}
}

// raceWithTwoAttempts has a question without an answer, candidates 0 and 1, and
// an attempt at each: 0 is running, 1 has been asked for at 250 ms.
func raceWithTwoAttempts() *Race {
	cfg := Default()
	cfg.Questions = questions(AAAA)
	cfg.ResolutionDelay = 0
	var race Race
	race.Reset(cfg)
	given := Event{Kind: Resolved, Question: NoQuestion, Candidates: []Candidate{candidateAt("192.0.2.1"), candidateAt("192.0.2.2")}}
	given.Candidates[1].ID = 1
	race.Step(0, []Event{given}, nil)
	race.Step(0, []Event{{Kind: Started}}, nil)
	race.Step(250*ms, nil, nil)
	return &race
}

// TestHeldTwicePanics: an attempt whose handshake is held can't make more progress,
// and one that proceeds can.
func TestHeldTwicePanics(t *testing.T) {
	cfg := Default()
	cfg.Questions = questions(HTTPS)
	cfg.ResolutionDelay = 0
	cfg.Service = Service{Protected: true, Usable: true, Relied: true}
	var race Race
	race.Reset(cfg)
	given := Event{Kind: Resolved, Question: NoQuestion, Candidates: []Candidate{candidateAt("192.0.2.1")}}
	progressed := []Event{{Kind: Progressed}}
	race.Step(0, []Event{given}, nil)
	race.Step(0, []Event{{Kind: Started}}, nil)
	race.Step(10*ms, progressed, nil)
	race.Step(20*ms, []Event{{Kind: Resolved, Answer: NotFound}}, nil)
	race.Step(30*ms, progressed, nil) // it was told to proceed, and is again
	race.Step(40*ms, progressed, nil)
	mustPanic(t, "attempt 0 can't have progressed", func() { race.Step(50*ms, []Event{progressed[0], progressed[0]}, nil) })
}

// TestProceedingPanics: what was deferred, admitted and told to start is not deferred
// again, connects only when it has started, and may fail before that.
func TestProceedingPanics(t *testing.T) {
	told := func() *Race {
		race := raceWithTwoAttempts()
		actions := race.Step(251*ms, []Event{{Kind: Deferred, Attempt: 1, Defer: DeferRate}, {Kind: Admitted, Attempt: 1}}, nil)
		if want := (Action{Kind: Proceed, Attempt: 1}); len(actions) != 1 || actions[0] != want {
			t.Fatalf("%v, want %v", actions, want)
		}
		return race
	}
	for want, kind := range map[string]EventKind{
		"attempt 1 can't be deferred":                    Deferred,
		"attempt 1 was admitted, but it is not deferred": Admitted,
		"attempt 1 can't have progressed":                Progressed,
		"attempt 1 connected before it started":          Connected,
		"attempt 1 was cancelled by nobody":              Cancelled,
	} {
		mustPanic(t, want, func() { told().Step(252*ms, []Event{{Kind: kind, Attempt: 1, Defer: DeferRate}}, nil) })
	}
	told().Step(252*ms, []Event{{Kind: Started, Attempt: 1}, {Kind: Connected, Attempt: 1}}, nil)
	told().Step(252*ms, []Event{{Kind: Failed, Attempt: 1}}, nil)
}

// TestQuestionPanics: only what a Query had can be asked for.
func TestQuestionPanics(t *testing.T) {
	race := raceWithTwoAttempts()
	if got, want := race.Question(0), (Question{Name: exampleName, Type: AAAA}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	for _, id := range []int{-1, 1} {
		mustPanic(t, fmt.Sprintf("unknown question %d", id), func() { race.Question(id) })
	}
}

func TestStepAfterFinishPanics(t *testing.T) {
	var race Race
	race.Reset(Default())
	actions := race.Step(0, nil, nil)
	if want := (Action{Kind: Finish, End: EndNoAddresses}); len(actions) != 1 || actions[0] != want {
		t.Fatalf("%v, want %v", actions, want)
	}
	if at, ok := race.Next(); ok {
		t.Errorf("after Finish it wants to be called at %v", at)
	}
	mustPanic(t, "Step after Finish", func() { race.Step(time.Second, nil, nil) })
}

func mustPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "sched: ") || !strings.Contains(got, want) {
			t.Errorf("panics with %q, want %q", got, want)
		}
	}()
	f()
}
