package racer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

var errCause = errors.New("the cause")

// busy is a target with a question nobody answers, an attempt that stays silent
// and one that never gets its turn.
func busy(n *network) Target {
	n.names[sched.Question{Name: "slow.example", Type: sched.AAAA}] = reply{never: true}
	n.resolves("slow.example", sched.A, 5*ms, "192.0.2.1", "192.0.2.2")
	n.host("192.0.2.1:443", silent)
	n.host("192.0.2.2:443", silent)
	return Target{Name: "slow.example:443"}
}

// every calls each method of a Racer.
func every(ctx context.Context, r *Racer, target Target) map[string]error {
	errs := make(map[string]error)
	_, errs["Race"] = r.Race(ctx, RaceRequest{Target: target})
	_, _, errs["Dial"] = r.Dial(ctx, RaceRequest{Target: target})
	_, errs["ResolveAndRank"] = r.ResolveAndRank(ctx, RankRequest{Target: target})
	_, errs["Probe"] = r.Probe(ctx, ProbeRequest{Target: target})
	errs["Watch"] = r.Watch(ctx, ProbeRequest{Target: target}, func(int64, *ProbeResult) error { return nil })
	return errs
}

// A caller who has left gets the cause of that, at once. That nothing stays
// behind is what a bubble checks: it does not end before its goroutines do.
func TestCancelReturnsTheCause(t *testing.T) {
	for name, call := range map[string]func(context.Context, *Racer, Target) error{
		"Race": func(ctx context.Context, r *Racer, target Target) error {
			_, err := r.Race(ctx, RaceRequest{Target: target})
			return err
		},
		"Dial": func(ctx context.Context, r *Racer, target Target) error {
			conn, _, err := r.Dial(ctx, RaceRequest{Target: target})
			if conn != nil {
				t.Error("Dial hands over a connection to a caller who has left")
			}
			return err
		},
		"ResolveAndRank": func(ctx context.Context, r *Racer, target Target) error {
			_, err := r.ResolveAndRank(ctx, RankRequest{Target: target})
			return err
		},
		"Probe": func(ctx context.Context, r *Racer, target Target) error {
			_, err := r.Probe(ctx, ProbeRequest{Target: target})
			return err
		},
		"Watch": func(ctx context.Context, r *Racer, target Target) error {
			return r.Watch(ctx, ProbeRequest{Target: target}, func(int64, *ProbeResult) error {
				t.Error("a round that was cut short by its caller is reported to him")
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(100*ms, func() { cancel(errCause) })
				began := time.Now()
				if err := call(ctx, n.racer(), busy(n)); err != errCause { //nolint:errorlint // it is to be the cause itself
					t.Errorf("error is %v, want the cause", err)
				}
				if took := time.Since(began); took != 100*ms {
					t.Errorf("it took %v, want 100ms", took)
				}
			})
		})
	}
}

func TestCancelledBeforeItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errCause)
		for name, err := range every(ctx, n.racer(), busy(n)) {
			if !errors.Is(err, errCause) {
				t.Errorf("%s returns %v, want the cause", name, err)
			}
		}
		if len(n.dialed) > 0 {
			t.Errorf("it connected to %v", n.dialed)
		}
	})
}

// A deadline that has passed is still one: there is a result.
func TestDeadlinePassedBeforeItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		ctx, cancel := context.WithDeadlineCause(t.Context(), time.Now(), errCause)
		defer cancel()
		target := Target{Candidates: []CandidateSpec{{Endpoint: "192.0.2.1:443"}, {Endpoint: "slow.example:443"}}}
		busy(n)
		result, err := n.racer().Race(ctx, RaceRequest{Target: target})
		must(t, err)
		checkRace(t, result)
		if result.End != sched.EndDeadlineNear || len(result.Candidates) != 1 || result.Duration != 0 {
			t.Errorf("%s after %v with %d candidates", result.End, result.Duration, len(result.Candidates))
		}
		if len(n.dialed) > 0 {
			t.Errorf("it connected to %v", n.dialed)
		}
	})
}

// What DNS has not answered by the deadline is pending, and not the name
// server's failure. It is the same each time.
func TestDeadlineLeavesQuestionsPending(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			ctx, cancel := context.WithTimeout(t.Context(), 40*ms)
			defer cancel()
			result, err := n.racer().Race(ctx, RaceRequest{Target: busy(n)})
			must(t, err)
			checkRace(t, result)
			if result.End != sched.EndDeadlineNear || result.Duration != 40*ms {
				t.Errorf("%s after %v", result.End, result.Duration)
			}
			if q := result.Queries[0]; q.Answered {
				t.Errorf("the question that was open at the deadline is %s with %+v", q.Status, q.Failure)
			}
		})
	}
}

// A connection in hand beats a deadline of the same moment, and a caller who
// leaves in that moment gets it or nothing, but leaves none behind.
func TestConnectionAndEndInTheSameInstant(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.host("192.0.2.1:443", connects(100*ms))
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(100*ms, func() { cancel(errCause) })
			conn, result, err := n.racer().Dial(ctx, RaceRequest{Target: Target{Name: "192.0.2.1:443"}})
			switch {
			case err == nil:
				checkRace(t, result)
			case !errors.Is(err, errCause) || conn != nil:
				t.Errorf("Dial returns %v and %v", conn, err)
			}
			n.checkClosed(t, conn)
		})
	}
}

// A race that is over does not wait for a question (H2-26).
func TestWinnerDoesNotWaitForDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		target := busy(n)
		n.host("192.0.2.1:443", connects(20*ms))
		result, err := n.racer().Race(t.Context(), RaceRequest{Target: target})
		must(t, err)
		checkRace(t, result)
		if result.End != sched.EndWon || result.Duration != 75*ms || result.Queries[0].Answered {
			t.Errorf("%s after %v, AAAA answered: %t; want won after 75ms and it pending",
				result.End, result.Duration, result.Queries[0].Answered)
		}
	})
}

// early has a deadline, and nothing is done at it.
type early struct {
	context.Context
	at time.Time
}

func (e early) Deadline() (time.Time, bool) { return e.at, true }

// A context says when its work should end. A call keeps to that itself, also where the
// context is done later, or never.
func TestDeadlineOfAContextThatGoesOn(t *testing.T) {
	target := Target{Candidates: []CandidateSpec{{Endpoint: "192.0.2.1:443"}, {Endpoint: "slow.example:443"}}}
	race := func(req RaceRequest) func(context.Context, *Racer) (sched.EndReason, error) {
		return func(ctx context.Context, r *Racer) (sched.EndReason, error) {
			result, err := r.Race(ctx, req)
			return result.End, err
		}
	}
	probe := func(rounds int) func(context.Context, *Racer) (sched.EndReason, error) {
		return func(ctx context.Context, r *Racer) (sched.EndReason, error) {
			result, err := r.Probe(ctx, ProbeRequest{Target: literals(1), Rounds: rounds, Options: ProbeOptions{AttemptTimeout: 700 * ms}})
			return result.End, err
		}
	}
	for name, call := range map[string]func(context.Context, *Racer) (sched.EndReason, error){
		"Race":                  race(RaceRequest{Target: target}),
		"a shared Race":         race(RaceRequest{Target: target, Share: true}),
		"Probe, in a round":     probe(2),
		"Probe, between rounds": probe(3),
		"ResolveAndRank": func(ctx context.Context, r *Racer) (sched.EndReason, error) {
			result, err := r.ResolveAndRank(ctx, RankRequest{Target: target})
			return result.End, err
		},
		"Watch": func(ctx context.Context, r *Racer) (end sched.EndReason, err error) {
			err = r.Watch(ctx, ProbeRequest{Target: literals(1)}, func(_ int64, result *ProbeResult) error {
				end = result.End
				return nil
			})
			if errors.Is(err, context.DeadlineExceeded) {
				err = nil
			}
			return end, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				busy(n)
				n.host("192.0.2.1:443", silent)
				began, limit := time.Now(), 1500*ms
				if name == "Probe, between rounds" {
					limit = 1900 * ms
				}
				end, err := call(early{t.Context(), began.Add(limit)}, n.racer())
				must(t, err)
				if took := time.Since(began); end != sched.EndDeadlineNear || took != limit {
					t.Errorf("%s after %v", end, took)
				}
			})
		})
	}
}
