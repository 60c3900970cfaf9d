package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// What each strategy does in one world, worked out by hand. Ranked it is: a, which
// is silent; b, which refuses after 20 ms; c, 60 ms; d, 30 ms. AAAA comes after 5 ms
// with a and c, A after 2 ms with b and d: nothing starts before 5 ms.
func TestStrategies(t *testing.T) {
	w := plain(
		v6(1, Backend{State: Silent}), v4(1, Backend{RTT: 20 * ms, State: Refusing}),
		v6(2, up(60*ms)), v4(2, up(30*ms)),
	)
	w.AAAA.Delay, w.A.Delay = 5*ms, 2*ms
	for i := range w.Backends { // 40 and 10 ms: a timeout of 80 ms
		w.Backends[i].Known.RTT, w.Backends[i].Known.Deviation = 40*ms, 10*ms
	}
	for _, c := range []struct {
		strategy sched.Strategy
		want     string
		result   Result // Time counts from 0, Backend in the order above
	}{
		{
			// a for 5 s, then b, which fails, then c. The sixth SYN to a would leave at the
			// very moment it is given up, and a kernel's timers are late and never early.
			sched.Sequential, "5ms a, 5.005s b, 5.025s c, 5.085s won c",
			Result{Time: 5085 * ms, Backend: 2, SYNs: 5 + 1 + 1, Established: 1},
		},
		{
			// IPv6: a until it times out. IPv4 beside it from 305 on: b, then d. Nothing else
			// is due within a second of a's start, so that it gets a backup.
			sched.FamilyFallback, "5ms a, 305ms b, 315ms a, 325ms d, 355ms won d",
			Result{Time: 355 * ms, Backend: 3, SYNs: 4, Established: 1},
		},
		{
			// b fails at 275, when a is older than 250 ms: c at once.
			sched.Staggered, "5ms a, 255ms b, 275ms c, 335ms won c",
			Result{Time: 335 * ms, Backend: 2, SYNs: 3, Established: 1},
		},
		{
			// All others at 255, and 10 ms later a backup for a, due since 85.
			sched.FirstThenAll, "5ms a, 255ms b, 255ms c, 255ms d, 265ms a, 285ms won d",
			Result{Time: 285 * ms, Backend: 3, SYNs: 5, Established: 1, HalfOpen: 1},
		},
		{
			// The first attempt waits for AAAA, as all others do.
			sched.AllAtOnce, "5ms a, 5ms b, 5ms c, 5ms d, 35ms won d",
			Result{Time: 35 * ms, Backend: 3, SYNs: 4, Established: 1, HalfOpen: 1},
		},
		{
			// 80 ms after each start: b at 85, which fails at 105, then c, and d when c
			// has had its 80 ms at 185: c is connected by then.
			sched.Adaptive, "5ms a, 85ms b, 105ms c, 165ms won c",
			Result{Time: 165 * ms, Backend: 2, SYNs: 3, Established: 1},
		},
	} {
		t.Run(c.strategy.String(), func(t *testing.T) {
			cfg := Defaults(c.strategy)
			if got := starts(Race(w, cfg)); got != c.want {
				t.Errorf("it went\n%s, want\n%s", got, c.want)
			}
			c.result.Connected = true
			if got := Run(w, Racing("", cfg)); got != c.result {
				t.Errorf("result is %+v, want %+v", got, c.result)
			}
		})
	}
}

// starts is what a transcript says of starts and the win; candidates are the
// letters a, b, c, d of their addresses in turns between IPv6 and IPv4.
func starts(log []sched.Entry) string {
	letters := make(map[int]string)
	var said []string
	for _, e := range log {
		for _, c := range e.Event.Candidates {
			addr := c.Endpoint.Addr()
			place := slices.Index([]string{"2001:db8:80:1::1", "198.51.100.1", "2001:db8:80:2::1", "198.51.100.2"}, addr.String())
			letters[c.ID] = string(rune('a' + place))
		}
		switch e.Action.Kind {
		case sched.Start:
			said = append(said, fmt.Sprintf("%v %s", e.At, letters[e.Action.Candidate]))
		case sched.Won:
			said = append(said, fmt.Sprintf("%v won %s", e.At, letters[e.Action.Candidate]))
		}
	}
	return strings.Join(said, ", ")
}

// One lost SYN costs a second, or the 250 ms until the backup.
func TestBackup(t *testing.T) {
	w := plain(v4(1, Backend{RTT: 20 * ms, LoseSYN: []int{1}}))
	cfg := Defaults(sched.Staggered)
	want := Result{Connected: true, Time: 270 * ms, SYNs: 2, Established: 1}
	if got := Run(w, Racing("", cfg)); got != want {
		t.Errorf("with a backup: %+v, want %+v", got, want)
	}
	cfg.MaxBackups = 0
	want.Time = 1020 * ms
	if got := Run(w, Racing("", cfg)); got != want {
		t.Errorf("without: %+v, want %+v", got, want)
	}
}

// In its grace a loser may connect, in vain; the caller has the winner all the while.
func TestGrace(t *testing.T) {
	w := plain(v6(1, up(30*ms)), v4(1, up(60*ms)), v4(2, up(200*ms)))
	cfg := Defaults(sched.AllAtOnce)
	for _, c := range []struct {
		grace time.Duration
		want  Result
		end   time.Duration
	}{
		{0, Result{Established: 1, HalfOpen: 2}, 30 * ms},
		{29 * ms, Result{Established: 1, HalfOpen: 2}, 59 * ms},
		{31 * ms, Result{Established: 2, HalfOpen: 1}, 61 * ms},
		{time.Second, Result{Established: 3}, 200 * ms},
	} {
		cfg.Grace = c.grace
		want := c.want
		want.Connected, want.Time, want.SYNs = true, 30*ms, 3
		if got := Run(w, Racing("", cfg)); got != want {
			t.Errorf("grace of %v: %+v, want %+v", c.grace, got, want)
		}
		log := Race(w, cfg)
		if last := log[len(log)-1]; last.Action.Kind != sched.Finish || last.At != c.end {
			t.Errorf("grace of %v: the last line is %v, want finish at %v", c.grace, last, c.end)
		}
	}
}

// A host with a route for IPv4 alone does not wait for AAAA.
func TestOnlyRouted(t *testing.T) {
	w := plain(v4(1, up(20*ms)))
	w.AAAA.Delay = 40 * ms
	for clients, want := range map[int]time.Duration{2: 60 * ms, 1: 20 * ms} {
		w.Client = clientNetworks[:clients]
		if r := Run(w, Racing("", Defaults(sched.Staggered))); r.Time != want {
			t.Errorf("with routes for %d families: connected after %v, want %v", clients, r.Time, want)
		}
	}
}

// An attempt that is given up is closed: it does not connect later.
func TestCancelCloses(t *testing.T) {
	w := plain(v4(1, up(1200*ms)), v4(2, up(600*ms)))
	cfg := Defaults(sched.Sequential)
	cfg.AttemptTimeout = 700 * ms
	want := Result{Connected: true, Time: 1300 * ms, Backend: 1, SYNs: 2, Established: 1, HalfOpen: 1}
	if got := Run(w, Racing("", cfg)); got != want {
		t.Errorf("result is %+v, want %+v", got, want)
	}
}

// Failures are told in the engine's words, and a missing route is this host's.
func TestFailuresInWords(t *testing.T) {
	w := plain(v4(1, Backend{State: Unreachable, Errno: syscall.ENETUNREACH}), v6(1, up(20*ms)))
	w.Client = clientNetworks[:1]
	got := make(map[string]sched.Fault)
	for _, e := range Race(w, Defaults(sched.AllAtOnce)) {
		if e.Event.Kind == sched.Failed {
			got[e.Event.Failure.Text] = e.Event.Failure.Fault
		}
	}
	want := map[string]sched.Fault{
		"no route to this network; `traceroute` shows where the way ends":               sched.FaultPath,
		"this host has no route to this network; add a route, or ask from another host": sched.FaultHost,
	}
	if !maps.Equal(got, want) {
		t.Errorf("failures are %v, want %v", got, want)
	}
}

// All that happens at one instant goes into one Step: of two connections of one
// instant one wins, and the other is known to be late when the race ends.
func TestOneStepForOneInstant(t *testing.T) {
	w := plain(v6(1, up(50*ms)), v4(1, up(50*ms)), v4(2, Backend{RTT: 50 * ms, State: Refusing}))
	got := make([]string, 0, 20)
	for _, e := range Race(w, Defaults(sched.AllAtOnce)) {
		if e.At == 50*ms {
			got = append(got, strings.TrimPrefix(e.String(), "50ms "))
		}
	}
	want := []string{
		"connected attempt 0", "connected attempt 1", "failed attempt 2 (connection_refused)",
		"won attempt 0 candidate 0",
		"settle candidate 0 won", "settle candidate 1 connected_late", "settle candidate 2 failed",
		"finish (won)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("at 50 ms:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if r := Run(w, Racing("", Defaults(sched.AllAtOnce))); r.InVain() != 1 || r.Backend != 0 {
		t.Errorf("result is %+v", r)
	}
}

// The reasons for which a race has no winner.
func TestNobodyWins(t *testing.T) {
	for _, c := range []struct {
		about  string
		world  World
		change func(w *World)
		end    sched.EndReason
		at     time.Duration
	}{
		{"no such name", plain(), nil, sched.EndNameNotFound, 0},
		{"all refuse", plain(v4(1, Backend{RTT: 20 * ms, State: Refusing})), nil, sched.EndExhausted, 20 * ms},
		{"no route", plain(v6(1, up(20*ms))), func(w *World) { w.Client = clientNetworks[:1] }, sched.EndExhausted, 0},
		{"no DNS", plain(), func(w *World) { w.A.Dropped, w.AAAA.Dropped = true, true }, sched.EndResolutionFailed, ResolverTimeout},
		{"all silent", plain(v4(1, Backend{State: Silent})), nil, sched.EndExhausted, 5 * time.Second},
	} {
		t.Run(c.about, func(t *testing.T) {
			if c.change != nil {
				c.change(&c.world)
			}
			log := Race(c.world, Defaults(sched.Staggered))
			if last := log[len(log)-1]; last.Action.Kind != sched.Finish || last.Action.End != c.end || last.At != c.at {
				t.Errorf("the last line is %v, want finish (%v) at %v", last, c.end, c.at)
			}
			if r := Run(c.world, Racing("", Defaults(sched.Staggered))); r.Connected || r.Time != c.at || r.Backend != nobody {
				t.Errorf("result is %+v", r)
			}
		})
	}
}

// A silent world is what Plan sees, so the simulator must start what Plan plans.
func TestRaceFollowsThePlan(t *testing.T) {
	planned := 0
	for number := range 300 {
		w := Generate(Mixed, 1, number)
		if len(w.Client) == 1 {
			continue // without a route an attempt fails at once, which no plan knows
		}
		w.Patience = time.Hour
		for i := range w.Backends {
			w.Backends[i].State = Silent
		}
		for _, strategy := range []sched.Strategy{
			sched.Sequential, sched.FamilyFallback, sched.Staggered, sched.FirstThenAll, sched.AllAtOnce, sched.Adaptive,
		} {
			cfg := completed(Defaults(strategy))
			var answers []sched.Event
			var got []sched.Planned
			for _, e := range Race(w, cfg) {
				if e.Event.Kind == sched.Resolved {
					answers = append(answers, e.Event)
				}
				if a := e.Action; a.Kind == sched.Start {
					got = append(got, sched.Planned{
						Candidate: a.Candidate, At: e.At, Trigger: a.Trigger, Delay: a.Delay, Basis: a.Basis,
					})
				}
			}
			planned += len(got)
			if want := sched.Plan(cfg, answers); !slices.Equal(got, want) {
				t.Fatalf("world %d, %v: it started\n%v, planned are\n%v", number, strategy, got, want)
			}
		}
	}
	if planned < 3000 {
		t.Errorf("only %d starts were compared", planned)
	}
}

// Nothing but A and AAAA has an answer.
func TestQuestionsWithoutAnswer(t *testing.T) {
	for about, cfg := range map[string]sched.Config{
		"HTTPS":       {Questions: []sched.Question{{Name: Site, Type: sched.HTTPS}}},
		"last resort": {LastResort: []sched.Question{{Name: Site, Type: sched.AAAA}}},
	} {
		t.Run(about, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			Racing("", cfg)
		})
	}
}
