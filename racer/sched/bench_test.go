package sched

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// replay is a race of which all is known: it can be run again and again, with all its
// memory kept.
type replay struct {
	race    Race
	cfg     Config
	steps   []step // now and events count
	actions []Action
}

// run runs it and returns its last action. It asks for Next as an engine does.
func (r *replay) run() Action {
	r.race.Reset(r.cfg)
	for i := range r.steps {
		r.actions = r.race.Step(r.steps[i].now, r.steps[i].events, r.actions[:0])
		r.race.Next()
	}
	return r.actions[len(r.actions)-1]
}

func replayOf(h *history) *replay { return &replay{cfg: h.cfg, steps: h.steps} }

// raceOfTwo is the usual race: AAAA and A are asked and answered, the first address
// wins.
func raceOfTwo(t testing.TB) *replay {
	return replayOf(play(t,
		"attempt-timeout=5s timeout=10s",
		"ask AAAA A",
		"AAAA after 20ms: [2001:db8::1]:443",
		"A after 21ms: 192.0.2.1:443",
		"[2001:db8::1]:443 connects after 20ms",
	))
}

// raceWithBackup has all that a race can have besides: service information, hints of
// which one is withdrawn, a lost SYN, handshakes, a backup, and a grace in which a
// loser connects.
func raceWithBackup(t testing.TB) *replay {
	return replayOf(play(t,
		"attempt-timeout=5s timeout=10s max-backups=2 grace=1s strategy=adaptive service=protected,usable,relied",
		"ask HTTPS AAAA A",
		"HTTPS after 20ms: [2001:db8::1]:443(hint=alt.example,priority=1) [2001:db8::2]:443(hint=alt.example,priority=1) follow AAAA alt.example",
		"AAAA after 20ms: not_found",
		"A after 21ms: 192.0.2.1:443(priority=2,rtt=20ms)",
		"AAAA alt.example after 20ms: [2001:db8::1]:443(priority=1,rtt=20ms)",
		"[2001:db8::1]:443 tcp up after 1s, connects after 20ms; 2nd: tcp up after 20ms, connects after 20ms",
		"192.0.2.1:443 tcp up after 300ms, connects after 300ms",
	))
}

func TestRaceWithBackupHasItAll(t *testing.T) {
	var text strings.Builder
	r := raceWithBackup(t)
	for i := range r.steps {
		for _, a := range r.steps[i].actions {
			fmt.Fprintln(&text, a)
		}
	}
	for _, part := range []string{"query question 3", "(backup, ", "proceed", "won", "withdrawn", "connected_late"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("nothing of %q in\n%s", part, text.String())
		}
	}
}

// TestRacesAllocateNothingAgain: every scenario, run a second time in the memory of
// the first.
func TestRacesAllocateNothingAgain(t *testing.T) {
	eachScenario(t, func(t *testing.T, s *scenario) {
		h := s.world.run(t, new(Race))
		r := replayOf(h)
		want := h.steps[len(h.steps)-1].actions
		if got := r.run(); got != want[len(want)-1] {
			t.Fatalf("%v, want %v", got, want)
		}
		if got := testing.AllocsPerRun(10, func() { r.run() }); got != 0 {
			t.Errorf("%v allocations per race, want 0", got)
		}
	})
}

func BenchmarkRaceOfTwo(b *testing.B) { benchmarkReplay(b, raceOfTwo(b)) }

func BenchmarkRaceWithBackup(b *testing.B) { benchmarkReplay(b, raceWithBackup(b)) }

func benchmarkReplay(b *testing.B, r *replay) {
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
