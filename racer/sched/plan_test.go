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
		{
			"a backup of the only address", func(c *Config) { c.MaxBackups = 2 },
			[]Event{resolved(NoQuestion, 0, 0, "192.0.2.1")},
			"0 at 0s (first), 0 at 250ms (backup)",
		},
		{
			"backups after the others, within a second of the first SYN", func(c *Config) { c.MaxBackups = 9 },
			[]Event{three},
			"0 at 0s (first), 1 at 250ms (attempt_delay), 2 at 500ms (attempt_delay), " +
				"0 at 750ms (backup), 1 at 1s (backup), 2 at 1.25s (backup)",
		},
		{
			"no backup in sequence", func(c *Config) { c.Strategy, c.AttemptTimeout, c.MaxBackups = Sequential, time.Second, 2 },
			[]Event{three},
			"0 at 0s (first), 1 at 1s (failure), 2 at 2s (failure)",
		},
		{
			"adaptive, by what is known", func(c *Config) { c.Strategy = Adaptive },
			[]Event{expecting(three, Expectation{RTT: 20 * ms}, Expectation{RTT: 20 * ms, Deviation: 5 * ms}, Expectation{})},
			"0 at 0s (first), 1 at 60ms (attempt_delay), 2 at 100ms (attempt_delay)",
		},
		{
			"adaptive, with backups at their own round-trip time",
			func(c *Config) { c.Strategy, c.MaxBackups = Adaptive, 3 },
			[]Event{expecting(three, Expectation{RTT: 20 * ms}, Expectation{RTT: 200 * ms}, Expectation{RTT: 20 * ms})},
			// 1 holds the others back until 660, and wants 600 ms for itself.
			"0 at 0s (first), 1 at 60ms (attempt_delay), 2 at 660ms (attempt_delay), " +
				"0 at 720ms (backup), 1 at 780ms (backup), 2 at 1.38s (backup)",
		},
		{
			"multiplied", func(c *Config) { c.AttemptDelay, c.Multiplier = 50*ms, 2 },
			[]Event{resolved(NoQuestion, 0, 0, "192.0.2.1", "192.0.3.1", "192.0.0.1", "192.0.4.1", "192.0.5.1")},
			"0 at 0s (first), 1 at 50ms (attempt_delay), 2 at 150ms (attempt_delay), 3 at 350ms (attempt_delay), 4 at 750ms (attempt_delay)",
		},
		{
			"family fallback, and nothing bounds an attempt",
			func(c *Config) { ask(AAAA, A)(c); c.Strategy, c.AttemptDelay = FamilyFallback, DefaultFallbackDelay },
			[]Event{resolved(0, 10*ms, 0, "2001:db8::1", "2001:db8::2"), resolved(1, 10*ms, 2, "192.0.2.1", "192.0.3.1")},
			"0 at 10ms (first), 2 at 310ms (attempt_delay)",
		},
		{
			"family fallback",
			func(c *Config) {
				ask(AAAA, A)(c)
				c.Strategy, c.AttemptDelay, c.AttemptTimeout = FamilyFallback, DefaultFallbackDelay, time.Second
			},
			[]Event{resolved(0, 10*ms, 0, "2001:db8::1", "2001:db8::2"), resolved(1, 10*ms, 2, "192.0.2.1", "192.0.3.1")},
			"0 at 10ms (first), 2 at 310ms (attempt_delay), 1 at 1.01s (failure), 3 at 1.31s (failure)",
		},
		{
			"first then all", func(c *Config) { c.Strategy = FirstThenAll },
			[]Event{three},
			"0 at 0s (first), 1 at 250ms (attempt_delay), 2 at 250ms (attempt_delay)",
		},
		{
			"version 2 sorts among the untried", func(c *Config) { ask(AAAA, A)(c); c.Version = V2 },
			[]Event{resolved(0, 0, 0, "2001:db8::1", "2001:db8::2", "2001:db8::3"), resolved(1, 100*ms, 3, "192.0.2.1")},
			"0 at 0s (first), 1 at 250ms (attempt_delay), 3 at 500ms (attempt_delay), 2 at 750ms (attempt_delay)",
		},
		{
			"a service's name is asked for on the way", ask(HTTPS, AAAA),
			[]Event{
				{Kind: Resolved, At: 10 * ms, Question: 0, Follow: []Question{{"alt.example", AAAA}}},
				resolved(1, 10*ms, 0, "2001:db8::1"), resolved(2, 30*ms, 1, "2001:db8::2"),
			},
			"0 at 10ms (first), 1 at 260ms (attempt_delay)",
		},
		{
			"the last resort", func(c *Config) { ask(AAAA)(c); c.Version, c.LastResort = V2, questions(A) },
			[]Event{resolved(0, 10*ms, 0, "2001:db8::1"), resolved(1, 2030*ms, 1, "64:ff9b::c000:201")},
			"0 at 10ms (first), 1 at 2.03s (new_address)",
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

// TestPlanTellsDelays: each start says how long the next one waits for it, and why.
func TestPlanTellsDelays(t *testing.T) {
	cfg := Default()
	cfg.Strategy, cfg.Multiplier = Adaptive, 2
	given := expecting(resolved(NoQuestion, 0, 0, "192.0.2.1", "192.0.3.1"), Expectation{RTT: 20 * ms}, Expectation{})
	want := []Planned{
		{Candidate: 0, At: 0, Trigger: TriggerFirst, Delay: 60 * ms, Basis: BasisRTO},
		{Candidate: 1, At: 60 * ms, Trigger: TriggerAttemptDelay, Delay: 500 * ms, Basis: BasisNothingKnown},
	}
	if got := Plan(cfg, []Event{given}); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
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
				want = append(want, Planned{entry.Action.Candidate, entry.At, entry.Action.Trigger, entry.Action.Delay, entry.Action.Basis})
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

// expecting says what is known of each candidate of an answer.
func expecting(e Event, known ...Expectation) Event {
	e.Candidates = slices.Clone(e.Candidates)
	for i := range e.Candidates {
		e.Candidates[i].Expect = known[i]
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
