package racer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// errEnough is what a report returns to end a watch.
var errEnough = errors.New("enough")

func isEnough(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, errEnough) {
		t.Fatalf("the watch ended with %v, want what report returned", err)
	}
}

// A watch resolves anew each round: where the name points is where it connects. The
// number of the round is the same everywhere.
func TestWatchFollowsTheName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.answers("moving.example", sched.AAAA, 1*ms, sched.NotFound)
		n.resolves("moving.example", sched.A, 2*ms, "192.0.2.1")
		n.host("192.0.2.1:443", connects(20*ms))
		n.host("192.0.2.2:443", refuses(1*ms))
		var seen []string
		began := time.Now()
		err := n.racer().Watch(t.Context(), ProbeRequest{Target: Target{Name: "moving.example:443"}}, func(round int64, r *ProbeResult) error {
			checkRounds(t, r, int(round))
			seen = append(seen, fmt.Sprintf("%d at %v: %s %d", round, r.Start.Sub(began), r.Report.Candidates[0].Endpoint, r.Report.Verdict))
			if round == 3 {
				return errEnough
			}
			n.resolves("moving.example", sched.A, 2*ms, "192.0.2.2")
			return nil
		})
		isEnough(t, err)
		if want := []string{
			fmt.Sprintf("1 at 0s: 192.0.2.1:443 %d", Reachable),
			fmt.Sprintf("2 at 1s: 192.0.2.2:443 %d", Unreachable),
			fmt.Sprintf("3 at 2s: 192.0.2.2:443 %d", Unreachable),
		}; !slices.Equal(seen, want) {
			t.Errorf("rounds are %q, want %q", seen, want)
		}
		if len(n.asked) != 6 || time.Since(began) != 2001*ms+2*ms {
			t.Errorf("%d questions, %v; want 6 and 2.003s", len(n.asked), time.Since(began))
		}
	})
}

// A round that takes longer than the interval delays the next, and a name that
// is gone for a while is a result like any other.
func TestWatchGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.answers("one.example", sched.AAAA, 1*ms, sched.NotFound)
		n.answers("one.example", sched.A, 700*ms, sched.Broken)
		n.host("192.0.2.1:443", connects(20*ms))
		var ends []string
		began := time.Now()
		err := n.racer().Watch(t.Context(), ProbeRequest{Target: Target{Name: "one.example:443"}, Interval: 500 * ms},
			func(round int64, r *ProbeResult) error {
				ends = append(ends, fmt.Sprintf("%s from %v", r.End, r.Start.Sub(began)))
				if round == 2 {
					n.resolves("one.example", sched.A, 2*ms, "192.0.2.1")
				}
				if round == 4 {
					return errEnough
				}
				return nil
			})
		isEnough(t, err)
		want := []string{"resolution_failed from 0s", "resolution_failed from 700ms", "completed from 1.4s", "completed from 1.9s"}
		if !slices.Equal(ends, want) {
			t.Errorf("rounds end %q, want %q", ends, want)
		}
	})
}

func TestWatchEndsWithTheErrorOfReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", connects(20*ms))
		err := n.racer().Watch(t.Context(), ProbeRequest{Target: literals(1)}, func(int64, *ProbeResult) error { return errCause })
		if !errors.Is(err, errCause) {
			t.Errorf("error is %v", err)
		}
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", connects(20*ms))
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(2500*ms, func() { cancel(errCause) })
		rounds := int64(0)
		began := time.Now()
		err := n.racer().Watch(ctx, ProbeRequest{Target: literals(1)}, func(round int64, _ *ProbeResult) error {
			rounds = round
			return nil
		})
		if err != errCause || rounds != 3 || time.Since(began) != 2500*ms { //nolint:errorlint // it is to be the cause itself
			t.Errorf("%v after %d rounds and %v", err, rounds, time.Since(began))
		}
	})
}

// A deadline in the middle of a round: its result is reported, then it is over.
func TestWatchReportsTheRoundOfTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", silent)
		ctx, cancel := context.WithTimeout(t.Context(), 500*ms)
		defer cancel()
		var ends []sched.EndReason
		err := n.racer().Watch(ctx, ProbeRequest{Target: literals(1)}, func(_ int64, r *ProbeResult) error {
			ends = append(ends, r.End)
			return nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || !slices.Equal(ends, []sched.EndReason{sched.EndDeadlineNear}) {
			t.Errorf("%v after %v", err, ends)
		}
	})
}

// A round that a deadline ends by the race's own clock is the last one, though the
// context may not be done yet, and though the round was longer than the interval.
func TestWatchEndsWithTheRoundOfTheDeadline(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.host("192.0.2.1:443", silent)
			rounds := 0
			ctx, cancel := context.WithTimeout(t.Context(), 150*ms)
			defer cancel()
			req := ProbeRequest{Target: literals(1), Interval: MinInterval, Options: ProbeOptions{AttemptTimeout: time.Second}}
			err := n.racer().Watch(ctx, req, func(int64, *ProbeResult) error { rounds++; return nil })
			if !errors.Is(err, context.DeadlineExceeded) || rounds != 1 || len(n.dialed) != 1 {
				t.Errorf("%v after %d rounds and %d attempts", err, rounds, len(n.dialed))
			}
		})
	}
}

// A watch has no end, so a number of rounds is refused, and nothing is tried.
func TestWatchRefusesRounds(t *testing.T) {
	for _, rounds := range []int{1, 2, -1} {
		err := newNetwork(t).racer().Watch(t.Context(), ProbeRequest{Target: literals(1), Rounds: rounds}, nil)
		wantProblem(t, fieldErrors(t, err), "rounds", "a watch has no end")
	}
	err := newNetwork(t).racer().Watch(t.Context(), ProbeRequest{Target: literals(1), Interval: -1}, nil)
	wantProblem(t, fieldErrors(t, err), "interval", "is -1ns")
}

// watched is what is watched beside a crowd.
var watched = ProbeRequest{Target: Target{Name: "198.51.100.1:443"}, Caller: "me"}

// crowdable is a room with one place, and another one in line, and what is watched from it.
func crowdable(t *testing.T) (*network, *Racer) {
	t.Helper()
	n := newNetwork(t)
	n.limits = Limits{InFlight: 1, Waiting: 1}
	n.host(watched.Target.Name, connects(20*ms))
	return n, n.racer()
}

// crowd takes the only place in line of a crowdable room, and goes on until its timeout.
func crowd(t *testing.T, n *network, r *Racer, timeout time.Duration) {
	t.Helper()
	req := RaceRequest{Target: n.everyHost(literals(3), silent), Caller: "crowd"}
	req.Options.Strategy, req.Options.Timeout = sched.AllAtOnce, timeout
	result, err := r.Race(t.Context(), req)
	if err != nil || result.End != sched.EndTimedOut {
		t.Errorf("the crowd ended with %v", err)
	}
}

// A watch that runs is not ended by others who crowd in: its round is put off until there
// is room, says so, and those after it keep the interval.
func TestWatchOutlivesACrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r := crowdable(t)
		var others sync.WaitGroup
		defer others.Wait()
		var seen []string
		began := time.Now()
		err := r.Watch(t.Context(), watched, func(round int64, result *ProbeResult) error {
			checkRounds(t, result, int(round))
			seen = append(seen, fmt.Sprintf("%d at %v: %s %q", round, result.Start.Sub(began), result.End, result.Warnings))
			switch round {
			case 2:
				others.Go(func() { crowd(t, n, r, 3500*ms) }) // until 4.52 s
			case 4:
				return errEnough
			}
			return nil
		})
		isEnough(t, err)
		// It comes back after as long as the line has not moved, which is 0.98 s at 2 s, but
		// after an interval at the latest.
		if want := []string{
			`1 at 0s: completed []`,
			`2 at 1s: completed []`,
			`3 at 4.98s: completed [{"interval" "was not kept: this round was put off for 2.98s, because too many attempts waited for in_flight"}]`,
			`4 at 5.98s: completed []`,
		}; !slices.Equal(seen, want) {
			t.Errorf("rounds are\n%s\nwant\n%s", strings.Join(seen, "\n"), strings.Join(want, "\n"))
		}
		others.Wait()
		n.checkClosed(t, nil)
		checkRoomEmpty(t, r)
	})
}

// Whoever leaves while a round is put off does so at once, and so does a daemon that
// stops.
func TestWatchEndsWhileItsRoundIsPutOff(t *testing.T) {
	for name, c := range map[string]struct {
		ends func(context.Context) (context.Context, context.CancelFunc)
		want error
	}{
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 2500*ms)
		}, context.DeadlineExceeded},
		"cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(2500*ms, func() { cancel(errCause) })
			return ctx, func() { cancel(nil) }
		}, errCause},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, r := crowdable(t)
				var others sync.WaitGroup
				ctx, cancel := c.ends(t.Context())
				defer cancel()
				began, rounds := time.Now(), int64(0)
				err := r.Watch(ctx, watched, func(round int64, _ *ProbeResult) error {
					if rounds = round; round == 2 {
						others.Go(func() { crowd(t, n, r, 10*time.Second) })
					}
					return nil
				})
				if err != c.want || rounds != 2 || time.Since(began) != 2500*ms { //nolint:errorlint // it is to be the cause itself
					t.Errorf("%v after %d rounds and %v", err, rounds, time.Since(began))
				}
				others.Wait()
				n.checkClosed(t, nil)
				checkRoomEmpty(t, r)
			})
		})
	}
}

// The first round is a call like any other: whoever is refused knows at once, and can ask
// another daemon.
func TestWatchIsRefusedInItsFirstRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r := crowdable(t)
		var others sync.WaitGroup
		others.Go(func() { crowd(t, n, r, 10*time.Second) })
		time.Sleep(1 * ms)
		began := time.Now()
		err := r.Watch(t.Context(), watched, func(int64, *ProbeResult) error { return errEnough })
		if _, ok := errors.AsType[*OverloadedError](err); !ok || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		others.Wait()
		checkRoomEmpty(t, r)
	})
}
