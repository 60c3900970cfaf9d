package sched

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// TestPlan: what a race would start if every attempt stayed silent.
func TestPlan(t *testing.T) {
	three := resolved(NoQuestion, 0, 0, "192.0.2.1", "192.0.3.1", "192.0.0.1")
	tests := []struct {
		name    string
		change  func(*Config)
		answers []Event
		want    string
	}{
		{
			"staggered", func(*Config) {},
			[]Event{three},
			"0 at 0s (first), 1 at 250ms (attempt_delay), 2 at 500ms (attempt_delay)",
		},
		{
			"sequential, and nothing bounds an attempt", func(c *Config) { c.Strategy = Sequential },
			[]Event{three},
			"0 at 0s (first)",
		},
		{
			"sequential", func(c *Config) { c.Strategy, c.AttemptTimeout = Sequential, time.Second },
			[]Event{three},
			"0 at 0s (first), 1 at 1s (failure), 2 at 2s (failure)",
		},
		{
			"all at once", func(c *Config) { c.Strategy = AllAtOnce },
			[]Event{three},
			"0 at 0s (all_at_once), 1 at 0s (all_at_once), 2 at 0s (all_at_once)",
		},
		{
			"a timeout bounds it", func(c *Config) { c.Timeout = 500 * ms },
			[]Event{three},
			"0 at 0s (first), 1 at 250ms (attempt_delay)",
		},
		{
			"an attempt timeout hurries it", func(c *Config) { c.AttemptTimeout = 100 * ms },
			[]Event{three},
			"0 at 0s (first), 1 at 100ms (failure), 2 at 200ms (failure)",
		},
		{
			"no attempt ends, so no slot becomes free", func(c *Config) { c.MaxInFlight = 2 },
			[]Event{three},
			"0 at 0s (first), 1 at 250ms (attempt_delay)",
		},
		{
			"a slot becomes free at the attempt timeout", func(c *Config) { c.MaxInFlight, c.AttemptTimeout = 1, 300*ms },
			[]Event{three},
			"0 at 0s (first), 1 at 300ms (slot_free), 2 at 600ms (slot_free)",
		},
		{"only the order is wanted", func(c *Config) { c.Goal = Order }, []Event{three}, ""},
		{"nothing known", func(*Config) {}, nil, ""},
		{"no answer ever", ask(AAAA, A), nil, ""},
		{
			"AAAA first", ask(AAAA, A),
			[]Event{resolved(0, 30*ms, 0, "2001:db8::1"), resolved(1, 32*ms, 1, "192.0.2.1")},
			"0 at 30ms (first), 1 at 280ms (attempt_delay)",
		},
		{
			"A first", ask(AAAA, A),
			[]Event{resolved(1, 30*ms, 0, "192.0.2.1"), resolved(0, 40*ms, 1, "2001:db8::1")},
			"1 at 40ms (first), 0 at 290ms (attempt_delay)",
		},
		{
			"AAAA never", ask(AAAA, A),
			[]Event{resolved(1, 30*ms, 0, "192.0.2.1")},
			"0 at 80ms (first)",
		},
		{
			"AAAA late", ask(AAAA, A),
			[]Event{resolved(1, 30*ms, 0, "192.0.2.1"), resolved(0, 180*ms, 1, "2001:db8::1")},
			"0 at 80ms (first), 1 at 330ms (attempt_delay)",
		},
		{
			"AAAA when all else has had its turn", ask(AAAA, A),
			[]Event{resolved(1, 30*ms, 0, "192.0.2.1"), resolved(0, time.Second, 1, "2001:db8::1")},
			"0 at 80ms (first), 1 at 1s (new_address)",
		},
		{
			"both answers at the same time", ask(AAAA, A),
			[]Event{resolved(1, 30*ms, 0, "192.0.2.1"), resolved(0, 30*ms, 1, "2001:db8::1")},
			"1 at 30ms (first), 0 at 280ms (attempt_delay)",
		},
		{
			"IPv4 preferred", func(c *Config) { ask(AAAA, A)(c); c.Ranking.PreferredFamily = addrsel.FamilyIPv4 },
			[]Event{resolved(0, 30*ms, 0, "2001:db8::1"), resolved(1, 60*ms, 1, "192.0.2.1")},
			"1 at 60ms (first), 0 at 310ms (attempt_delay)",
		},
		{
			"withdrawn before its turn", ask(A),
			[]Event{resolved(0, 30*ms, 0, "192.0.2.1", "192.0.3.1"), resolved(0, 40*ms, 0, "192.0.2.1")},
			"0 at 30ms (first)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Default()
			tt.change(&cfg)
			if got := planText(Plan(cfg, tt.answers)); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// TestPlanOfAddressesKnownAMomentLater: an engine that was given addresses tells
// the race some microseconds after it began. Nothing was asked, so nothing came
// before them.
func TestPlanOfAddressesKnownAMomentLater(t *testing.T) {
	given := resolved(NoQuestion, 5*time.Microsecond, 0, "192.0.2.1", "192.0.3.1")
	got := planText(Plan(Default(), []Event{given}))
	if want := "0 at 5µs (first), 1 at 250.005ms (attempt_delay)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestPlanIsASilentRace: a race does what was planned, in many random worlds.
func TestPlanIsASilentRace(t *testing.T) {
	planned := 0
	for seed := range uint64(randomWorlds) {
		w := randomWorld(seeded(seed))
		silence(w)
		h := w.run(t, new(Race))
		var answers []Event
		var want []Planned
		for _, entry := range h.log() {
			switch {
			case entry.Event.Kind == Resolved:
				answers = append(answers, entry.Event)
			case entry.Action.Kind == Start:
				want = append(want, Planned{entry.Action.Candidate, entry.At, entry.Action.Trigger})
			}
		}
		if got := Plan(w.cfg, answers); !slices.Equal(got, want) {
			t.Fatalf("seed %d: planned %s\n%s", seed, planText(got), h.text())
		}
		planned += len(want)
	}
	if planned < randomWorlds {
		t.Errorf("%d worlds had only %d starts", randomWorlds, planned)
	}
}

// silence lets nothing happen but answers, and the race ends by its timeout.
func silence(w *world) {
	w.oversleep, w.shuffle, w.stops = 0, false, nil
	w.cfg.Goal = First
	if w.cfg.Timeout == 0 {
		w.cfg.Timeout = 10 * time.Second
	}
	for i := range w.answers {
		if w.answers[i].question != NoQuestion {
			w.answers[i].after += ms // not in the Step that asks
		}
	}
	for endpoint := range w.endpoints {
		w.endpoints[endpoint] = behaviour{}
	}
}

func ask(types ...RecordType) func(*Config) {
	return func(c *Config) { c.Questions = questions(types...) }
}

// resolved is an answer whose candidates are numbered from firstID.
func resolved(question int, at time.Duration, firstID int, addrs ...string) Event {
	e := Event{Kind: Resolved, At: at, Question: question}
	for i, addr := range addrs {
		c := candidateAt(addr)
		c.ID = firstID + i
		e.Candidates = append(e.Candidates, c)
	}
	return e
}

func planText(plan []Planned) string {
	var starts []string
	for _, p := range plan {
		starts = append(starts, fmt.Sprintf("%s (%v)", when(p.Candidate, p.At), p.Trigger))
	}
	return strings.Join(starts, ", ")
}
