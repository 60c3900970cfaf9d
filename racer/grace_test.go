package racer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// graceful is a race all at once of a fast host, one that is 40 ms slower, and a
// silent one, with a second of grace.
func graceful(n *network) RaceRequest {
	n.host("192.0.2.1:443", connects(60*ms))
	n.host("192.0.2.2:443", connects(20*ms))
	n.host("192.0.2.3:443", silent)
	return RaceRequest{
		Target:  literals(3),
		Options: Options{Strategy: sched.AllAtOnce, MaxBackups: new(0), Grace: time.Second},
	}
}

// Dial hands over the winner's connection, when the grace is over. A loser that
// connects in it is closed that moment, and not when all is over.
func TestDialWithGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		req := graceful(n)
		began := time.Now()
		time.AfterFunc(61*ms, func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			if len(n.conns) != 2 || n.conns[0].closed.Load() != 0 || n.conns[1].closed.Load() != 1 {
				t.Errorf("a millisecond after the loser has connected there are %d connections", len(n.conns))
			}
		})
		conn, r, err := n.racer().Dial(t.Context(), req)
		must(t, err)
		checkRace(t, r)
		if took := time.Since(began); r.End != sched.EndWon || took != 1020*ms || r.Duration != took {
			t.Errorf("%s after %v, the result says %v", r.End, took, r.Duration)
		}
		if got, want := conn.LocalAddr().String(), r.Winner.Won().Local.String(); got != want {
			t.Errorf("the connection is from %s, the winner's from %s", got, want)
		}
		wantOutcomes(t, r, sched.OutcomeConnectedLate, sched.OutcomeWon, sched.OutcomeCancelled)
		wantIfFirst(t, r, new(40*ms), new(0*ms), nil)
		if r.Cost != (Cost{Attempts: 3, Connected: 2, Dropped: 1}) {
			t.Errorf("cost is %+v", r.Cost)
		}
		n.checkClosed(t, conn)
	})
}

func wantOutcomes(t *testing.T, r *RaceResult, want ...sched.Outcome) {
	t.Helper()
	for i, o := range want {
		if c := &r.Candidates[i]; c.Outcome != o {
			t.Errorf("%s is %s, want %s", c.Endpoint, c.Outcome, o)
		}
	}
}

func wantIfFirst(t *testing.T, r *RaceResult, want ...*time.Duration) {
	t.Helper()
	for i, d := range want {
		got := r.Candidates[i].IfFirst
		if (got == nil) != (d == nil) || d != nil && *got != *d {
			t.Errorf("%s: the difference is %v, want %v", r.Candidates[i].Endpoint, got, d)
		}
	}
}

// The caller's deadline ends the grace at that moment, and so does a caller who
// leaves: the race is won, and who has won is known.
func TestGraceIsCutShort(t *testing.T) {
	for name, cut := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 40*ms)
		},
		"cancelled": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(40*ms, func() { cancel(errCause) })
			return ctx, func() { cancel(nil) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				req := graceful(n)
				ctx, cancel := cut(t.Context())
				defer cancel()
				began := time.Now()
				conn, r, err := n.racer().Dial(ctx, req)
				must(t, err)
				checkRace(t, r)
				if took := time.Since(began); r.End != sched.EndWon || took != 40*ms || r.Duration != took {
					t.Errorf("%s after %v, the result says %v", r.End, took, r.Duration)
				}
				if conn == nil || conn.LocalAddr().String() != r.Winner.Won().Local.String() {
					t.Errorf("the connection is %v", conn)
				}
				wantOutcomes(t, r, sched.OutcomeCancelled, sched.OutcomeWon, sched.OutcomeCancelled)
				n.checkClosed(t, conn)
			})
		})
	}
}

// A caller who is gone before anybody has won gets no grace.
func TestNoGraceWithoutWinner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		req := graceful(n)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(10*ms, func() { cancel(errCause) })
		began := time.Now()
		conn, r, err := n.racer().Dial(ctx, req)
		if took := time.Since(began); conn != nil || r != nil || err != errCause || took != 10*ms { //nolint:errorlint // it is to be the cause itself
			t.Errorf("%v, %v and %v after %v", conn, r, err, took)
		}
	})
}

// A loser that connects as it is given up at the end of the grace is closed too.
func TestLoserConnectsAsTheGraceEnds(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.host("192.0.2.1:443", host{after: 70 * ms, stubborn: true})
			n.host("192.0.2.2:443", connects(20*ms))
			conn, r, err := n.racer().Dial(t.Context(), RaceRequest{
				Target: literals(2), Options: Options{Strategy: sched.AllAtOnce, Grace: 50 * ms},
			})
			must(t, err)
			checkRace(t, r)
			wantOutcomes(t, r, sched.OutcomeConnectedLate, sched.OutcomeWon)
			wantIfFirst(t, r, new(50*ms), new(0*ms))
			n.checkClosed(t, conn)
		})
	}
}

// What a candidate would have come to, had it been the first: its own fastest
// handshake, from the first start or from when it was known, against the win.
func TestIfFirst(t *testing.T) {
	attempt := func(start, took time.Duration, o sched.Outcome) Attempt {
		return Attempt{Begun: true, Start: start, End: start + took, Outcome: o}
	}
	const won, late, cancelled, failed = sched.OutcomeWon, sched.OutcomeConnectedLate, sched.OutcomeCancelled, sched.OutcomeFailed
	cs := []Candidate{
		{known: 5 * ms, Attempts: []Attempt{{Outcome: failed, End: 9 * ms}}},                                  // never left this host
		{known: 10 * ms, Attempts: []Attempt{attempt(10*ms, 500*ms, cancelled)}},                              // the first start
		{known: 10 * ms, Outcome: won, Attempts: []Attempt{attempt(260*ms, 20*ms, won)}},                      // the win, at 280
		{known: 10 * ms, Attempts: []Attempt{attempt(240*ms, 250*ms, late)}},                                  // slower
		{known: 100 * ms, Attempts: []Attempt{attempt(270*ms, 30*ms, late)}},                                  // known later
		{known: 10 * ms, Attempts: []Attempt{attempt(30*ms, 300*ms, late), attempt(250*ms, 100*ms, late)}},    // by its backup
		{known: 10 * ms, Attempts: []Attempt{attempt(30*ms, 90*ms, late), attempt(250*ms, 100*ms, late)}},     // by its first
		{known: 10 * ms, Attempts: []Attempt{attempt(30*ms, 5*ms, failed), attempt(250*ms, 100*ms, late)}},    // refused first
		{known: 10 * ms, Attempts: []Attempt{attempt(30*ms, 40*ms, cancelled), attempt(60*ms, 5*ms, failed)}}, // neither
		{known: 10 * ms}, // had no turn
	}
	compareWithWinner(cs, &cs[2])
	want := []*time.Duration{
		nil, nil, new(10*ms + 20*ms - 280*ms), new(10*ms + 250*ms - 280*ms), new(100*ms + 30*ms - 280*ms),
		new(10*ms + 100*ms - 280*ms), new(10*ms + 90*ms - 280*ms), new(10*ms + 100*ms - 280*ms), nil, nil,
	}
	wantIfFirst(t, &RaceResult{Candidates: cs}, want...)

	alone := []Candidate{{Attempts: []Attempt{attempt(0, 20*ms, late)}}}
	compareWithWinner(alone, nil)
	wantIfFirst(t, &RaceResult{Candidates: alone}, nil)
}
