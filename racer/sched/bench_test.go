package sched

import (
	"testing"
	"time"
)

// raceOfTwo is the usual race, with all its memory kept: AAAA and A are asked
// and answered, the first address wins.
type raceOfTwo struct {
	race    Race
	cfg     Config
	aaaa, a [1]Event
	started [1]Event
	won     [1]Event
	actions []Action
}

func newRaceOfTwo() *raceOfTwo {
	r := &raceOfTwo{cfg: Default()}
	r.cfg.Questions = questions(AAAA, A)
	r.cfg.AttemptTimeout, r.cfg.Timeout = 5*time.Second, 10*time.Second
	r.aaaa[0] = resolved(0, 20*ms, 0, "2001:db8::1")
	r.a[0] = resolved(1, 21*ms, 1, "192.0.2.1")
	r.started[0] = Event{Kind: Started, At: 20 * ms}
	r.won[0] = Event{Kind: Connected, At: 40 * ms}
	return r
}

// run runs it and returns its last action.
func (r *raceOfTwo) run() Action {
	r.race.Reset(r.cfg)
	r.step(0, nil)
	r.step(20*ms, r.aaaa[:])
	r.step(20*ms, r.started[:])
	r.step(21*ms, r.a[:])
	r.step(40*ms, r.won[:])
	return r.actions[len(r.actions)-1]
}

// step steps and asks for Next, as an engine does.
func (r *raceOfTwo) step(now time.Duration, events []Event) {
	r.actions = r.race.Step(now, events, r.actions[:0])
	r.race.Next()
}

func TestRaceOfTwoAllocatesNothingAgain(t *testing.T) {
	r := newRaceOfTwo()
	if got, want := r.run(), (Action{Kind: Finish, End: EndWon}); got != want {
		t.Fatalf("%v, want %v", got, want)
	}
	if got := testing.AllocsPerRun(100, func() { r.run() }); got != 0 {
		t.Errorf("%v allocations per race, want 0", got)
	}
}

func BenchmarkRaceOfTwo(b *testing.B) {
	r := newRaceOfTwo()
	b.ReportAllocs()
	for b.Loop() {
		r.run()
	}
}

// BenchmarkStep is a wake-up with nothing to do while eight attempts run and
// eight addresses wait.
func BenchmarkStep(b *testing.B) {
	cfg := Default()
	cfg.Strategy, cfg.MaxInFlight = AllAtOnce, 8
	cfg.AttemptTimeout, cfg.Timeout = 5*time.Second, 10*time.Second
	var race Race
	race.Reset(cfg)
	given := Event{Kind: Resolved, Question: NoQuestion, Candidates: thousandCandidates()[:16]}
	var started []Event
	for _, a := range race.Step(0, []Event{given}, nil) {
		started = append(started, Event{Kind: Started, Attempt: a.Attempt})
	}
	actions := race.Step(0, started, nil)
	b.ReportAllocs()
	for b.Loop() {
		actions = race.Step(ms, nil, actions[:0])
		race.Next()
	}
}

// BenchmarkThousandRefused is ten seconds of virtual time: each of a thousand
// addresses refuses as soon as it is tried.
func BenchmarkThousandRefused(b *testing.B) {
	var race Race
	cfg := Default()
	given := Event{Kind: Resolved, Question: NoQuestion, Candidates: thousandCandidates()}
	var events []Event
	var actions []Action
	b.ReportAllocs()
	for b.Loop() {
		race.Reset(cfg)
		events = append(events[:0], given)
		for now, waits := time.Duration(0), true; waits; {
			actions = race.Step(now, events, actions[:0])
			events = events[:0]
			for _, a := range actions {
				if a.Kind == Start {
					events = append(events,
						Event{Kind: Started, At: now, Attempt: a.Attempt},
						Event{Kind: Failed, At: now, Attempt: a.Attempt})
				}
			}
			if len(events) == 0 {
				now, waits = race.Next()
			}
		}
	}
}
