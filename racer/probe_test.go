package racer

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// checkProbed holds what is true of every result of a probe.
func checkProbed(t *testing.T, r *ProbeResult) {
	t.Helper()
	checkRounds(t, r, 1)
}

// checkRounds holds it of a probe whose first round has that number.
func checkRounds(t *testing.T, r *ProbeResult, first int) {
	t.Helper()
	for i := range r.Report.Candidates {
		c := &r.Report.Candidates[i]
		for j := range c.Attempts {
			checkAttempt(t, &r.Run, &c.Attempts[j])
			if n := c.Attempts[j].Number; n < first || n >= first+r.Rounds || j > 0 && n <= c.Attempts[j-1].Number {
				t.Errorf("%s: attempt %d of %d rounds comes after %+v", c.Endpoint, n, r.Rounds, c.Attempts[:j])
			}
		}
	}
	finished := 0
	for i, e := range r.Transcript {
		if e.Action.Kind == sched.Finish {
			finished++
			if e.Round != first+finished-1 {
				t.Errorf("round %d finishes as number %d from %d", e.Round, finished, first)
			}
		}
		if i > 0 && e.Round < r.Transcript[i-1].Round || e.Round < first {
			t.Errorf("entry %d is of round %d", i, e.Round)
		}
	}
	if finished != r.Rounds {
		t.Errorf("%d rounds of %d finish in the transcript", finished, r.Rounds)
	}
}

func probe(ctx context.Context, t *testing.T, n *network, req ProbeRequest) *ProbeResult {
	t.Helper()
	result, err := n.racer().Probe(ctx, req)
	must(t, err)
	checkProbed(t, result)
	n.checkClosed(t, nil)
	return result
}

// startsOf returns the offset and the round of every start at an address.
func startsOf(r *ProbeResult, endpoint string) (at []time.Duration, rounds []int) {
	for i := range r.Report.Candidates {
		if c := &r.Report.Candidates[i]; c.Endpoint.String() == endpoint {
			for _, a := range c.Attempts {
				at, rounds = append(at, a.Start), append(rounds, a.Number)
			}
		}
	}
	return at, rounds
}

// The interval is from start to start, exactly; a round that takes longer than
// it delays the next and no further.
func TestProbeKeepsTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", connects(10*ms), connects(700*ms), connects(10*ms), connects(10*ms))
		r := probe(t.Context(), t, n, ProbeRequest{Target: literals(1), Rounds: 4, Interval: 300 * ms})
		at, rounds := startsOf(r, "192.0.2.1:443")
		if want := []time.Duration{0, 300 * ms, 1000 * ms, 1300 * ms}; !slices.Equal(at, want) {
			t.Errorf("rounds start at %v, want %v", at, want)
		}
		if !slices.Equal(rounds, []int{1, 2, 3, 4}) || r.Rounds != 4 || r.End != sched.EndCompleted {
			t.Errorf("%s after rounds %v of %d", r.End, rounds, r.Rounds)
		}
	})
}

// The name is resolved once, and what it resolved to then is probed to the end.
func TestProbeResolvesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.resolves("one.example", sched.AAAA, 2*ms, "2001:db8::1")
		n.resolves("one.example", sched.A, 5*ms, "192.0.2.1")
		n.host("[2001:db8::1]:443", connects(1*ms))
		n.host("192.0.2.1:443", connects(1*ms))
		time.AfterFunc(500*ms, func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			clear(n.names)
		})
		r := probe(t.Context(), t, n, ProbeRequest{Target: Target{Name: "one.example:443"}, Rounds: 3})
		if len(n.asked) != 2 || len(r.Queries) != 2 || len(n.dialed) != 6 {
			t.Errorf("%d questions, %d in the result, %d dials; want 2, 2 and 6", len(n.asked), len(r.Queries), len(n.dialed))
		}
	})
}

// All offsets count from the start of the first round: those of a transcript's
// events too.
func TestProbeCountsFromTheFirstRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", connects(20*ms))
		r := probe(t.Context(), t, n, ProbeRequest{Target: literals(1), Rounds: 3})
		checkRun(t, &r.Run)
		for i, a := range r.Report.Candidates[0].Attempts {
			if want := time.Duration(i) * time.Second; a.Start != want || a.End != want+20*ms {
				t.Errorf("attempt %d is from %v to %v", a.Number, a.Start, a.End)
			}
		}
	})
}

func TestProbeRespectsMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for limit, want := range map[int]int{1: 1, 2: 2, 5: 5, 0: 6} {
			n := newNetwork(t)
			for _, c := range literals(6).Candidates {
				n.host(c.Endpoint, connects(20*ms))
			}
			r := probe(t.Context(), t, n, ProbeRequest{Target: literals(6), Rounds: 2, Options: ProbeOptions{MaxInFlight: limit}})
			if n.peak != want || r.Report.Verdict != Reachable {
				t.Errorf("with max_in_flight %d there were %d at once", limit, n.peak)
			}
		}
	})
}

// The default is lower than that of a race: nobody waits for a probe's first
// answer.
func TestProbeDefaultMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		var target Target
		for i := range 40 {
			endpoint := source4.String() + ":" + string(rune('1'+i/10)) + string(rune('0'+i%10))
			n.host(endpoint, connects(20*ms))
			target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: endpoint})
		}
		probe(t.Context(), t, n, ProbeRequest{Target: target})
		if n.peak != DefaultProbeMaxInFlight {
			t.Errorf("%d attempts were in flight, want %d", n.peak, DefaultProbeMaxInFlight)
		}
	})
}

// A deadline in the middle of a round: what was measured stays, what it cut short
// counts nowhere.
func TestProbeDeadlineInARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", connects(20*ms))
		n.host("192.0.2.2:443", connects(600*ms))
		ctx, cancel := context.WithTimeout(t.Context(), 1500*ms)
		defer cancel()
		r := probe(ctx, t, n, ProbeRequest{Target: literals(2), Rounds: 5})
		if r.End != sched.EndDeadlineNear || r.Rounds != 2 || r.Duration != 1500*ms {
			t.Errorf("%s after %d rounds and %v", r.End, r.Rounds, r.Duration)
		}
		slow := r.Report.Candidates[1]
		if slow.Stats.Count != 1 || len(slow.Attempts) != 2 || slow.Attempts[1].Outcome != sched.OutcomeRunning {
			t.Errorf("what was cut short is %+v", slow)
		}
		if r.Report.Verdict != Reachable {
			t.Errorf("the verdict is %d", r.Report.Verdict)
		}
	})
}

// A deadline between two rounds: the probe lasts until then.
func TestProbeDeadlineBetweenRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", connects(20*ms))
		ctx, cancel := context.WithTimeout(t.Context(), 1500*ms)
		defer cancel()
		began := time.Now()
		r := probe(ctx, t, n, ProbeRequest{Target: literals(1), Rounds: 5})
		if r.End != sched.EndDeadlineNear || r.Rounds != 2 || r.Report.Verdict != Reachable {
			t.Errorf("%s after %d rounds with verdict %d", r.End, r.Rounds, r.Report.Verdict)
		}
		if took := time.Since(began); took != 1500*ms || r.Duration != took {
			t.Errorf("it took %v, the result says %v", took, r.Duration)
		}
	})
}

// A caller who leaves between two rounds gets the cause, at once.
func TestProbeCancelledBetweenRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", connects(20*ms))
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(500*ms, func() { cancel(errCause) })
		began := time.Now()
		result, err := n.racer().Probe(ctx, ProbeRequest{Target: literals(1), Rounds: 5})
		if result != nil || err != errCause || time.Since(began) != 500*ms { //nolint:errorlint // it is to be the cause itself
			t.Errorf("%v, %v after %v", result, err, time.Since(began))
		}
	})
}

// An attempt that connects in the instant its time is up has run to its end, so
// it counts: the probe can't say that it knows nothing.
func TestProbeCountsWhatConnectsAsItTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", host{silent: true, stubborn: true})
		r := probe(t.Context(), t, n, ProbeRequest{Target: literals(1), Options: ProbeOptions{AttemptTimeout: 100 * ms}})
		if s := r.Report.Candidates[0].Stats; s.Count != 1 || r.Report.Verdict == Inconclusive {
			t.Errorf("verdict %d with %+v", r.Report.Verdict, s)
		}
	})
}

// A round that was cut short by its timeout is not made good by a later one.
func TestProbeSaysThatARoundTimedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", connects(20*ms), silent, connects(20*ms))
		r := probe(t.Context(), t, n, ProbeRequest{
			Target: literals(1), Rounds: 3, Options: ProbeOptions{Timeout: 300 * ms},
		})
		if r.End != sched.EndTimedOut || r.Rounds != 3 || r.Report.Verdict != Reachable {
			t.Errorf("%s after %d rounds with verdict %d", r.End, r.Rounds, r.Report.Verdict)
		}
	})
}

// Between two rounds a caller who has left is noticed, also when the next round is
// due already.
func TestWaitNoticesWhoHasLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if !wait(ctx, 0) || !wait(ctx, -time.Second) {
		t.Error("nobody has left, and it does not go on")
	}
	cancel()
	for range 100 {
		if wait(ctx, 0) || wait(ctx, -time.Second) {
			t.Fatal("it goes on for nobody")
		}
	}
}

func TestProbeDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", connects(20*ms))
		r := probe(t.Context(), t, n, ProbeRequest{Target: literals(1)})
		want := ProbeOptions{AttemptTimeout: DefaultAttemptTimeout, Timeout: DefaultTimeout, MaxInFlight: DefaultProbeMaxInFlight}
		if r.Options != want || r.Rounds != DefaultRounds || r.Interval != 0 {
			t.Errorf("in effect are %+v, %d rounds, interval %v", r.Options, r.Rounds, r.Interval)
		}
	})
}

// In the transcript of a later round every offset counts from the probe's start; what
// did not happen stays at 0.
func TestEntryLater(t *testing.T) {
	entry := sched.Entry{At: 3 * ms, Event: sched.Event{
		Kind: sched.Connected, At: 2 * ms, Noticed: 3 * ms,
		Stages: &sched.Stages{Phases: []sched.Phase{{Kind: sched.PhaseTLS, Start: ms, Duration: 2 * ms}}},
	}}
	got := entryLater(entry, 100*ms)
	if p := got.Event.Stages.Phases[0]; got.At != 103*ms || got.Event.At != 102*ms || got.Event.Noticed != 103*ms || p.Start != 101*ms || p.Duration != 2*ms {
		t.Errorf("it is %+v with %+v", got, p)
	}
	if entry.Event.Stages.Phases[0].Start != ms {
		t.Error("the entry itself has moved")
	}
	if got := entryLater(sched.Entry{}, 100*ms); got.Event.Noticed != 0 || got.Event.Stages != nil {
		t.Errorf("without them it is %+v", got)
	}
}
