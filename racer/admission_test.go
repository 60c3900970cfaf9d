package racer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/internal/admit"
	"github.com/connrace/connrace/internal/connect"
	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

// everyHost puts the same host at each of the target's endpoints.
func (n *network) everyHost(target Target, h host) Target {
	for _, c := range target.Candidates {
		n.host(c.Endpoint, h)
	}
	return target
}

// waits are the deferrals of all attempts, "-" for none, in the order of candidates.
func waits(r *RaceResult) string {
	var parts []string
	for i := range r.Candidates {
		for _, a := range r.Candidates[i].Attempts {
			if d := a.Deferral; d != nil {
				parts = append(parts, fmt.Sprintf("%v+%v %s", d.Start, d.Duration, d.Reason))
			} else {
				parts = append(parts, "-")
			}
		}
	}
	return strings.Join(parts, ", ")
}

// ofRaces are the descriptors of a race beside its attempts', and of one that might want
// to begin.
const ofRaces = 2 * admit.OfARace

// Each limit holds an attempt back that it has no room for, and only that one; the
// result says from when on, for how long and for what.
func TestEachLimitDefers(t *testing.T) {
	for name, c := range map[string]struct {
		limits  Limits
		sockets int
		count   int // of candidates, each refused after 20 ms
		waits   string
	}{
		"none":            {Limits{}, 0, 3, "-, -, -"},
		"in flight":       {Limits{InFlight: 1}, 0, 3, "-, 0s+20ms in_flight, 0s+40ms in_flight"},
		"two in flight":   {Limits{InFlight: 2}, 0, 3, "-, -, 0s+20ms in_flight"},
		"descriptors":     {Limits{}, ofRaces + 2, 3, "-, -, 0s+20ms descriptors"},
		"caller":          {Limits{CallerInFlight: 1}, 0, 2, "-, 0s+20ms caller_in_flight"},
		"destination":     {Limits{DestinationInFlight: 1}, 0, 2, "-, -"},
		"prefix":          {Limits{PrefixInFlight: 1}, 0, 2, "-, 0s+20ms prefix_in_flight"},
		"rate":            {Limits{PerSecond: 10}, 0, 9, "-, -, -, -, -, -, -, -, 0s+100ms rate"},
		"caller's rate":   {Limits{CallerPerSecond: 5}, 0, 9, "-, -, -, -, -, -, -, -, 0s+200ms caller_rate"},
		"prefix's rate":   {Limits{PrefixPerSecond: 20}, 0, 9, "-, -, -, -, -, -, -, -, 0s+50ms prefix_rate"},
		"the longer wait": {Limits{PerSecond: 10, CallerInFlight: 8}, 0, 9, "-, -, -, -, -, -, -, -, 0s+100ms rate"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.limits, n.sockets = c.limits, c.sockets
				target := n.everyHost(literals(c.count), refuses(20*ms))
				r := raceIn(t, n, RaceRequest{Target: target, Options: Options{Strategy: sched.AllAtOnce}})
				if got := waits(r); got != c.waits || r.End != sched.EndExhausted {
					t.Errorf("%s after waits %s, want %s", r.End, got, c.waits)
				}
			})
		})
	}
}

// occupied lets another caller's race hold places for so long, from now on.
func occupied(t *testing.T, n *network, r *Racer, places int, long time.Duration) *sync.WaitGroup {
	t.Helper()
	var target Target
	for i := range places {
		target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: fmt.Sprintf("198.51.100.%d:443", 1+i)})
	}
	var done sync.WaitGroup
	n.everyHost(target, silent)
	done.Go(func() {
		result, err := r.Race(t.Context(), RaceRequest{
			Target: target, Caller: "occupier",
			Options: Options{Strategy: sched.AllAtOnce, AttemptTimeout: long, MaxBackups: new(0)},
		})
		must(t, err)
		checkRace(t, result)
	})
	synctest.Wait()
	return &done
}

// Attempts that get their places all at once start 10 ms apart all the same (H2-31),
// and those of strategies without that floor at once. While they wait the next ones
// are asked for as if they were silent.
func TestFloorIsKeptAfterDeferrals(t *testing.T) {
	for _, c := range []struct {
		strategy sched.Strategy
		waits    string
	}{
		{sched.Staggered, "0s+600ms in_flight, 250ms+360ms in_flight, 500ms+120ms in_flight"},
		{sched.AllAtOnce, "0s+600ms in_flight, 0s+600ms in_flight, 0s+600ms in_flight"},
		{sched.FirstThenAll, "0s+600ms in_flight, 250ms+350ms in_flight, 250ms+350ms in_flight"},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.limits = Limits{InFlight: 3}
			r := n.racer()
			done := occupied(t, n, r, 3, 600*ms)
			target := n.everyHost(literals(3), connects(100*ms))
			result, err := r.Race(t.Context(), RaceRequest{Target: target, Options: Options{Strategy: c.strategy, MaxBackups: new(0)}})
			must(t, err)
			checkRace(t, result)
			if got := waits(result); got != c.waits {
				t.Errorf("%s: waits are %s, want %s", c.strategy, got, c.waits)
			}
			if result.End != sched.EndWon || result.Duration != 700*ms {
				t.Errorf("%s: %s after %v", c.strategy, result.End, result.Duration)
			}
			done.Wait()
			checkRoomEmpty(t, r)
		})
	}
}

// Callers take turns, whoever has more attempts and came first; races of one caller
// do as well; a race's own go in their order.
func TestPlacesGoRoundFairly(t *testing.T) {
	for name, c := range map[string]struct {
		callers [2]string
		want    string
	}{
		"two callers": {[2]string{"a", "b"}, "1 5 2 6 3 4"},
		"one caller":  {[2]string{"a", "a"}, "1 5 2 6 3 4"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.limits = Limits{InFlight: 1}
				all := n.everyHost(literals(6), refuses(20*ms)).Candidates
				r := n.racer()
				done := occupied(t, n, r, 1, 100*ms)
				var races sync.WaitGroup
				for i, specs := range [][]CandidateSpec{all[:4], all[4:]} {
					races.Go(func() {
						_, err := r.Race(t.Context(), RaceRequest{
							Target: Target{Candidates: specs}, Caller: c.callers[i], Options: Options{Strategy: sched.AllAtOnce},
						})
						must(t, err)
					})
					synctest.Wait()
				}
				races.Wait()
				done.Wait()
				var order []string
				for i, s := range n.starts[1:] { // the occupier's is first
					order = append(order, fmt.Sprint(s.to.Addr().As4()[3]))
					if i > 0 && s.at.Sub(n.starts[i].at) != 20*ms {
						t.Errorf("start %d came %v after the one before", i, s.at.Sub(n.starts[i].at))
					}
				}
				if got := strings.Join(order, " "); got != c.want {
					t.Errorf("the order is %s, want %s", got, c.want)
				}
				checkRoomEmpty(t, r)
			})
		})
	}
}

// A caller's limit is for all that he calls, and for nobody else.
func TestCallersHaveLimitsOfTheirOwn(t *testing.T) {
	for name, call := range map[string]func(context.Context, *Racer, string) error{
		"Race": func(ctx context.Context, r *Racer, caller string) error {
			_, err := r.Race(ctx, RaceRequest{Target: Target{Name: second}, Caller: caller})
			return err
		},
		"shared": func(ctx context.Context, r *Racer, caller string) error {
			_, err := r.Race(ctx, RaceRequest{Target: Target{Name: second}, Caller: caller, Share: true})
			return err
		},
		"Dial": func(ctx context.Context, r *Racer, caller string) error {
			conn, _, err := r.Dial(ctx, RaceRequest{Target: Target{Name: second}, Caller: caller})
			return cmp.Or(err, conn.Close())
		},
		"Probe": func(ctx context.Context, r *Racer, caller string) error {
			_, err := r.Probe(ctx, ProbeRequest{Target: Target{Name: second}, Caller: caller})
			return err
		},
	} {
		for caller, at := range map[string]time.Duration{"a": 100 * ms, "b": 0, "": 0} {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.limits = Limits{CallerInFlight: 1}
				n.host(first, connects(100*ms))
				n.host(second, connects(10*ms))
				r := n.racer()
				var busy sync.WaitGroup
				busy.Go(func() {
					_, err := r.Race(t.Context(), RaceRequest{Target: literals(1), Caller: "a"})
					must(t, err)
				})
				synctest.Wait()
				must(t, call(t.Context(), r, caller))
				if got := n.starts[1].at.Sub(n.starts[0].at); got != at {
					t.Errorf("%s: with a busy, the attempt of %q starts at %v, want %v", name, caller, got, at)
				}
				busy.Wait()
				checkRoomEmpty(t, r)
			})
		}
	}
}

// Races that come together dial one host at a pace, and not in a burst; without the
// limit they do.
func TestRacesToOneHostArePaced(t *testing.T) {
	for perSecond, gap := range map[int]time.Duration{20: 50 * ms, 0: 0} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.limits = Limits{DestinationPerSecond: perSecond}
			n.host(first, connects(20*ms))
			r := n.racer()
			var races sync.WaitGroup
			for i := range 6 {
				races.Go(func() {
					result, err := r.Race(t.Context(), RaceRequest{Target: literals(1), Caller: fmt.Sprint(i % 3)})
					must(t, err)
					checkRace(t, result)
					a := result.Winner.Won()
					if (a.Deferral != nil) != (a.Start > 0) || a.Deferral != nil && a.Deferral.Reason != sched.DeferDestinationRate {
						t.Errorf("the attempt at %v waited %+v", a.Start, a.Deferral)
					}
				})
			}
			races.Wait()
			for i := range n.starts {
				if at := n.starts[i].at.Sub(n.starts[0].at); at != time.Duration(i)*gap {
					t.Errorf("with %d a second start %d is at %v", perSecond, i, at)
				}
			}
			checkRoomEmpty(t, r)
		})
	}
}

// An attempt holds its place until its stages are over, and not until TCP is up.
func TestPlaceIsHeldThroughStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p := newNetwork(t), newPeers(t)
		n.limits = Limits{InFlight: 1}
		n.host(first, talking(5*ms, says(45*ms, "no TLS at all")))
		n.host(second, talking(5*ms, secure(15*ms, p.good, mute)))
		r := raceIn(t, n, RaceRequest{Target: literals(2), Options: Options{Criterion: p.wants(), Strategy: sched.AllAtOnce}})
		if got, want := waits(r), "-, 0s+50ms in_flight"; got != want {
			t.Errorf("waits are %s, want %s", got, want)
		}
		wantOutcomes(t, r, sched.OutcomeFailed, sched.OutcomeWon)
	})
}

// A race that is over while an attempt of it waits: that one was not started, its wait
// lasted until then, and its place in the line is gone.
func TestRaceEndsWhileAnAttemptWaits(t *testing.T) {
	for name, c := range map[string]struct {
		ctx     func(context.Context) (context.Context, context.CancelFunc)
		timeout time.Duration
		end     sched.EndReason
	}{
		"timeout": {context.WithCancel, 300 * ms, sched.EndTimedOut},
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 300*ms)
		}, 0, sched.EndDeadlineNear},
		"the caller leaves": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(300*ms, func() { cancel(errCause) })
			return ctx, func() { cancel(nil) }
		}, 0, sched.EndCallerLeft},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.limits = Limits{InFlight: 1}
				r := n.racer()
				done := occupied(t, n, r, 1, time.Second)
				ctx, cancel := c.ctx(t.Context())
				defer cancel()
				result, err := r.Race(ctx, RaceRequest{Target: literals(2), Options: Options{Timeout: c.timeout}})
				if s := r.room.Snapshot(); s.InFlight != 1 || s.Waiting != 0 {
					t.Errorf("in the room are %+v", s)
				}
				if c.end == sched.EndCallerLeft {
					if !errors.Is(err, errCause) {
						t.Errorf("the error is %v", err)
					}
				} else {
					must(t, err)
					checkRace(t, result)
					wantOutcomes(t, result, sched.OutcomeNotStarted, sched.OutcomeNotStarted)
					if got, want := waits(result), "0s+300ms in_flight, 250ms+50ms in_flight"; got != want || result.End != c.end {
						t.Errorf("%s after waits %s, want %s", result.End, got, want)
					}
					if result.Cost != (Cost{}) {
						t.Errorf("cost is %+v", result.Cost)
					}
				}
				done.Wait()
				if len(n.dialed) != 1 {
					t.Errorf("dialed are %v", n.dialed)
				}
				checkRoomEmpty(t, r)
			})
		})
	}
}

// One that waits when another wins was not tried, so that its family is not called
// better than it is.
func TestWinnerEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.limits = Limits{InFlight: 2}
		n.host("[2001:db8::1]:443", silent)
		n.host(first, connects(20*ms))
		n.host("[2001:db8::2]:443", silent)
		var target Target
		for _, e := range []string{"[2001:db8::1]:443", first, "[2001:db8::2]:443"} {
			target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: e})
		}
		r := raceIn(t, n, RaceRequest{Target: target, Options: Options{
			Strategy: sched.FirstThenAll, AttemptDelay: new(100 * ms), MaxBackups: new(0), Grace: 50 * ms,
		}})
		wantOutcomes(t, r, sched.OutcomeCancelled, sched.OutcomeWon, sched.OutcomeNotStarted)
		if got, want := waits(r), "-, -, 100ms+20ms in_flight"; got != want {
			t.Errorf("waits are %s, want %s", got, want)
		}
		if len(r.Masked.Addresses) != 1 || len(r.Masked.Families) != 1 {
			t.Errorf("masked are %+v", r.Masked)
		}
	})
}

// When as many wait as may, a further call is refused, whatever it is, and told when
// to come again. Then there is room.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.limits = Limits{InFlight: 1, Waiting: 1}
		r := n.racer()
		done := occupied(t, n, r, 3, 400*ms) // one flies, two wait
		n.host(first, connects(20*ms))
		for name, call := range map[string]func() error{
			"Race":   func() error { _, err := r.Race(t.Context(), RaceRequest{Target: literals(1)}); return err },
			"shared": func() error { _, err := r.Race(t.Context(), RaceRequest{Target: literals(1), Share: true}); return err },
			"Dial":   func() error { _, _, err := r.Dial(t.Context(), RaceRequest{Target: literals(1)}); return err },
			"Probe":  func() error { _, err := r.Probe(t.Context(), ProbeRequest{Target: literals(1)}); return err },
			"Watch": func() error {
				return r.Watch(t.Context(), ProbeRequest{Target: literals(1)}, func(int64, *ProbeResult) error { return errCause })
			},
		} {
			err := call()
			over, ok := errors.AsType[*OverloadedError](err)
			if !ok || over.Budget != sched.DeferInFlight || over.RetryAfter < admit.MinRetryAfter || over.RetryAfter > admit.MaxRetryAfter {
				t.Errorf("%s returns %v", name, err)
			}
		}
		if _, err := r.ResolveAndRank(t.Context(), RankRequest{Target: literals(1)}); err != nil {
			t.Errorf("ranking connects to nothing, and returns %v", err)
		}
		n.mu.Lock()
		if len(n.dialed) != 1 || len(r.shares.byWhat) > 0 {
			t.Errorf("dialed are %v, shared are %v", n.dialed, r.shares.byWhat)
		}
		n.mu.Unlock()
		done.Wait()
		_, err := r.Race(t.Context(), RaceRequest{Target: literals(1)})
		must(t, err)
		checkRoomEmpty(t, r)
	})
}

// The rounds of a probe are one stay, and number their attempts from 0 each: waits
// count from the first round's start like everything else.
func TestProbeWaitsInEachRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.limits = Limits{InFlight: 1}
		n.everyHost(literals(3), connects(20*ms))
		racer := n.racer()
		r, err := racer.Probe(t.Context(), ProbeRequest{Target: literals(3), Rounds: 3, Interval: 100 * ms})
		must(t, err)
		checkProbed(t, r)
		for i := range 3 {
			var c *Probed
			for j := range r.Report.Candidates {
				if r.Report.Candidates[j].Position == i+1 {
					c = &r.Report.Candidates[j]
				}
			}
			for round, a := range c.Attempts {
				base := time.Duration(round) * 100 * ms
				switch {
				case i == 0 && a.Deferral != nil, i > 0 && a.Deferral == nil:
					t.Errorf("place %d, round %d: the wait is %+v", i+1, round+1, a.Deferral)
				case i > 0 && *a.Deferral != Deferral{base, time.Duration(i) * 20 * ms, sched.DeferInFlight}:
					t.Errorf("place %d, round %d: the wait is %+v", i+1, round+1, *a.Deferral)
				}
			}
		}
		if n.peak != 1 || r.Report.Verdict != Reachable {
			t.Errorf("%d at once; %s", n.peak, r.Report.Explain())
		}
		checkRoomEmpty(t, racer)
	})
}

// bursting panics when the attempt of that number is to start.
type bursting struct {
	connect.Attempts

	at int
}

func (b bursting) Start(id int, to policy.Allowed) {
	if id == b.at {
		panic(errCause)
	}
	b.Attempts.Start(id, to)
}

// breaks lets the racer's attempts panic from then on; -1: not.
func (n *network) breaks(r *Racer, at int) {
	r.attempts = func(race connect.Race) connect.Attempts {
		return bursting{connect.Portable(race, n.dial), at}
	}
}

// A panic of the race itself is the caller's to catch. It leaves no place taken, no
// attempt and no connection behind.
func TestPanicGivesPlacesBack(t *testing.T) {
	for name, call := range map[string]func(context.Context, *Racer) error{
		"Race": func(ctx context.Context, r *Racer) error {
			_, err := r.Race(ctx, RaceRequest{Target: literals(3), Options: Options{Strategy: sched.AllAtOnce}})
			return err
		},
		"shared": func(ctx context.Context, r *Racer) error {
			_, err := r.Race(ctx, RaceRequest{Target: literals(3), Options: Options{Strategy: sched.AllAtOnce}, Share: true})
			return err
		},
		"Dial": func(ctx context.Context, r *Racer) error {
			_, _, err := r.Dial(ctx, RaceRequest{Target: literals(3), Options: Options{Strategy: sched.AllAtOnce}})
			return err
		},
		"Probe": func(ctx context.Context, r *Racer) error {
			_, err := r.Probe(ctx, ProbeRequest{Target: literals(3)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.limits = Limits{InFlight: 10}
				n.everyHost(literals(3), host{silent: true, stubborn: true})
				r := n.racer()
				n.breaks(r, 2)
				func() {
					defer func() {
						if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), errCause.Error()) {
							t.Errorf("the panic is %v", v)
						}
					}()
					t.Errorf("it returns %v", call(t.Context(), r))
				}()
				n.checkClosed(t, nil)
				checkRoomEmpty(t, r)
				if len(r.shares.byWhat) > 0 {
					t.Errorf("shared are %v", r.shares.byWhat)
				}
			})
		})
	}
}

// grant is when a caller's attempt got its place.
type grant struct {
	at     time.Time
	to     netip.AddrPort
	caller string
}

// grantsOf are those of a race.
func grantsOf(r *RaceResult, caller string) (grants []grant) {
	waited := make(map[int]bool)
	for _, e := range r.Transcript {
		if ev := e.Event; ev.Kind == sched.Admitted || ev.Kind == sched.Started && !waited[ev.Attempt] {
			waited[ev.Attempt] = true
			grants = append(grants, grant{r.Start.Add(e.At), e.Endpoint, caller})
		}
	}
	return grants
}

// wantPace holds that of those grants no more came than a rate and its burst allow.
func wantPace(t *testing.T, what string, grants []grant, perSecond, burst int) {
	t.Helper()
	if perSecond == 0 {
		return
	}
	slices.SortFunc(grants, func(a, b grant) int { return a.at.Compare(b.at) })
	interval := time.Second / time.Duration(perSecond)
	for i := range grants {
		for j := i + burst; j < len(grants); j++ {
			if took := grants[j].at.Sub(grants[i].at); took < time.Duration(j-i-burst+1)*interval {
				t.Errorf("%s: %d were granted in %v", what, j-i+1, took)
				return
			}
		}
	}
}

// randomLimits are few of each, or none.
func randomLimits(rng *rand.Rand) Limits {
	some := func(most int) int {
		if rng.IntN(2) == 0 {
			return 0
		}
		return 1 + rng.IntN(most)
	}
	return Limits{
		InFlight: some(6), PerSecond: some(100), CallerInFlight: some(4), CallerPerSecond: some(60),
		DestinationInFlight: some(3), DestinationPerSecond: some(40), PrefixInFlight: some(5), PrefixPerSecond: some(60),
		Waiting: some(30),
	}
}

// Random races of three callers, many at a time, under random limits and ended at
// random moments: no limit is exceeded, neither as the network sees it nor by the
// transcripts, every result is whole, and the room is empty at the end.
func TestRandomRacesUnderRandomLimits(t *testing.T) {
	seen := make(map[string]int)
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 11))
			n := newNetwork(t)
			n.limits, n.sockets = randomLimits(rng), rng.IntN(2)*(ofRaces+1+rng.IntN(20))
			target := literals(6)
			target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: "198.51.100.1:443"}, CandidateSpec{Endpoint: "[2001:db8::1]:443"})
			for _, c := range target.Candidates {
				after := time.Duration(1+rng.IntN(100)) * ms
				n.host(c.Endpoint, []host{silent, refuses(after), connects(after), unable(24)}[rng.IntN(4)])
			}
			r := n.racer()
			crowdOf(t, n, r, target, rng, seen)
			wantLimitsKept(t, n)
			n.checkClosed(t, nil)
			checkRoomEmpty(t, r)
			if t.Failed() {
				t.Fatalf("seed %d: %+v, %d sockets", seed, n.limits, n.sockets)
			}
		})
	}
	for _, what := range []string{"overloaded", "won", "exhausted", "timed_out", "deadline_near", "left", "waited and started", "waited in vain"} {
		if seen[what] == 0 {
			t.Errorf("nothing was %s: %v", what, seen)
		}
	}
	for why := sched.DeferDescriptors; why <= sched.DeferPrefixRate; why++ {
		if seen[why.String()] == 0 {
			t.Errorf("nothing waited for %s: %v", why, seen)
		}
	}
}

// crowdOf are 16 races, one every few milliseconds, whose grants keep the rates.
func crowdOf(t *testing.T, n *network, r *Racer, target Target, rng *rand.Rand, seen map[string]int) {
	t.Helper()
	var (
		races  sync.WaitGroup
		mu     sync.Mutex
		grants []grant
	)
	for i := range 16 {
		specs := slices.Clone(target.Candidates)
		rng.Shuffle(len(specs), func(i, j int) { specs[i], specs[j] = specs[j], specs[i] })
		req := randomRequestIn(Target{Candidates: specs[:1+rng.IntN(len(specs))]}, rng)
		req.Caller, req.Options.Timeout = fmt.Sprint("caller ", i%3), time.Duration(500+rng.IntN(2000))*ms
		ctx, stop := endsAtRandom(t.Context(), rng)
		races.Go(func() {
			defer stop()
			result, err := r.Race(ctx, req)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				checkRace(t, result)
				grants = append(grants, grantsOf(result, req.Caller)...)
			}
			note(t, result, err, seen)
		})
		time.Sleep(time.Duration(rng.IntN(20)) * ms)
	}
	races.Wait()
	wantPace(t, "all", grants, n.limits.PerSecond, max(8, n.limits.PerSecond/10))
	by := make(map[string][]grant)
	for _, g := range grants {
		to, network := placesOf(g.to)[0].String(), placesOf(g.to)[1].String()
		by["caller "+g.caller] = append(by["caller "+g.caller], g)
		by["to "+to] = append(by["to "+to], g)
		by["net "+network] = append(by["net "+network], g)
	}
	for what, some := range by {
		switch what[:3] {
		case "cal":
			wantPace(t, what, some, n.limits.CallerPerSecond, max(8, n.limits.CallerPerSecond/10))
		case "to ":
			wantPace(t, what, some, n.limits.DestinationPerSecond, max(1, n.limits.DestinationPerSecond/100))
		case "net":
			wantPace(t, what, some, n.limits.PrefixPerSecond, max(8, n.limits.PrefixPerSecond/10))
		}
	}
}

// note counts what became of a race.
func note(t *testing.T, r *RaceResult, err error, seen map[string]int) {
	t.Helper()
	switch _, overloaded := errors.AsType[*OverloadedError](err); {
	case overloaded:
		seen["overloaded"]++
		return
	case errors.Is(err, errCause):
		seen["left"]++
		return
	case err != nil:
		t.Error(err)
		return
	}
	seen[r.End.String()]++
	for i := range r.Candidates {
		for _, a := range r.Candidates[i].Attempts {
			switch d := a.Deferral; {
			case d == nil:
				continue
			case a.Begun:
				seen["waited and started"]++
			default:
				seen["waited in vain"]++
			}
			seen[a.Deferral.Reason.String()]++
		}
	}
}

// wantLimitsKept holds the most that were in flight against the limits.
func wantLimitsKept(t *testing.T, n *network) {
	t.Helper()
	within := func(what string, got int, limits ...int) {
		for _, limit := range limits {
			if limit > 0 && got > limit {
				t.Errorf("%d in flight %s, allowed are %d", got, what, limit)
			}
		}
	}
	within("in all", n.peak, n.limits.InFlight, n.sockets-admit.OfARace, 3*cmp.Or(n.limits.CallerInFlight, 1000))
	for p, got := range n.most {
		limit := n.limits.PrefixInFlight
		if p.IsSingleIP() {
			limit = n.limits.DestinationInFlight
		}
		within("to "+p.String(), got, limit)
	}
}
