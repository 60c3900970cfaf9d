package racer

import (
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/racer/sched"
)

// The address that ranks first is a real black hole, the second one a server that
// accepts and never speaks: the handshake is what counts (H2-23b).
func blackholedFirst(t *testing.T) ([]*netlab.Host, Target) {
	t.Helper()
	return onePort(t, []string{ipv6Loopback(t), "127.0.0.1"}, netlab.Swallow, netlab.Accept)
}

func raceFor(t *testing.T, target Target, o Options) *RaceResult {
	t.Helper()
	r, err := New(Config{}).Race(t.Context(), RaceRequest{Target: target, Options: o})
	must(t, err)
	checkRace(t, r)
	return r
}

// wantWon holds that the first candidate came to that, and that the second won.
func wantWon(t *testing.T, r *RaceResult, target Target, first sched.Outcome) {
	t.Helper()
	if r.End != sched.EndWon || r.Winner.Endpoint.String() != target.Candidates[1].Endpoint {
		t.Fatalf("%s, the winner is %+v", r.End, r.Winner)
	}
	if got := r.Candidates[0].Outcome; got != first {
		t.Errorf("the black hole is %s, want %s", got, first)
	}
}

// H2-22, H2-28: one attempt delay, not less.
func TestStaggeredPastABlackHole(t *testing.T) {
	_, target := blackholedFirst(t)
	r := raceFor(t, target, Options{})
	wantWon(t, r, target, sched.OutcomeCancelled)
	hole, won := r.Candidates[0].Attempts[0], r.Winner.Attempts[0]
	if gap := won.Start - hole.Start; gap < sched.DefaultAttemptDelay || gap > patience {
		t.Errorf("the second attempt started %v after the first", gap)
	}
	if len(r.Masked.Addresses) != 1 {
		t.Errorf("masked are %v", r.Masked.Addresses)
	}
}

func TestSequentialPastABlackHole(t *testing.T) {
	const limit = 500 * time.Millisecond
	_, target := blackholedFirst(t)
	r := raceFor(t, target, Options{Strategy: sched.Sequential, AttemptTimeout: limit})
	wantWon(t, r, target, sched.OutcomeTimedOut)
	hole, won := r.Candidates[0].Attempts[0], r.Winner.Attempts[0]
	if gap := won.Start - hole.Start; gap < limit || gap > patience {
		t.Errorf("the second attempt started %v after the first", gap)
	}
	if hole.Duration() < limit {
		t.Errorf("the black hole was given up after %v", hole.Duration())
	}
}

// All at once waits for nobody. A busy machine may be slow once, not each time.
func TestAllAtOncePastABlackHole(t *testing.T) {
	const soon = 200 * time.Millisecond
	_, target := blackholedFirst(t)
	best := patience
	for i := 0; i < 10 && best >= soon; i++ {
		r := raceFor(t, target, Options{Strategy: sched.AllAtOnce})
		wantWon(t, r, target, sched.OutcomeCancelled)
		best = min(best, r.Duration)
		if len(r.Masked.Families) > 0 && r.Winner.Attempts[0].Start-r.Candidates[0].Attempts[0].Start < sched.MinAttemptDelay {
			t.Errorf("what was merely slower is called broken: %v", r.Masked)
		}
	}
	if best >= soon {
		t.Errorf("the best of ten took %v", best)
	}
}

// RFC 8305 section 5: on success all others are cancelled (H2-24). The connection
// that is handed over is the only one that stays.
func TestDialLeavesOneConnectionOpen(t *testing.T) {
	hosts, target := onePort(t, []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"},
		netlab.Accept, netlab.Accept, netlab.Accept, netlab.Accept)
	before := resources(t)
	for range 20 {
		conn, r, err := New(Config{}).Dial(t.Context(), RaceRequest{Target: target, Options: Options{Strategy: sched.AllAtOnce}})
		must(t, err)
		checkRace(t, r)
		if got, want := conn.RemoteAddr().String(), r.Winner.Endpoint.String(); got != want {
			t.Errorf("the connection is to %s, the winner is %s", got, want)
		}
		eventually(t, "one connection is open", func() bool {
			open := 0
			for _, h := range hosts {
				open += h.Open()
			}
			return open == 1
		})
		must(t, conn.Close())
	}
	checkNothingLeft(t, before, hosts)
}

// A probe measures every address, whatever became of the others (H2-43).
func TestProbeOfRealHosts(t *testing.T) {
	hosts, target := onePort(t, []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}, netlab.Accept, netlab.Refuse, netlab.Swallow)
	before := resources(t)
	r, err := New(Config{}).Probe(t.Context(), ProbeRequest{
		Target: target, Rounds: 3, Interval: MinInterval, Options: ProbeOptions{AttemptTimeout: 100 * ms},
	})
	must(t, err)
	checkProbed(t, r)
	if r.Report.Verdict != Degraded || r.Rounds != 3 {
		t.Errorf("verdict %d after %d rounds", r.Report.Verdict, r.Rounds)
	}
	for i, want := range []Verdict{Reachable, Unreachable, Unreachable} {
		c := r.Report.Candidates[i]
		if c.Endpoint != hosts[i].Addr() || c.Stats.Verdict() != want || c.Stats.Count != 3 {
			t.Errorf("place %d has %s with %+v", i, c.Endpoint, c.Stats)
		}
	}
	if hosts[0].Accepted() != 3 {
		t.Errorf("%d connections were accepted, want 3", hosts[0].Accepted())
	}
	checkNothingLeft(t, before, hosts)
}
