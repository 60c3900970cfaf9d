package racer

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/connrace/connrace/racer/sched"
)

// literals are candidates 192.0.2.1:443 and so on.
func literals(count int) Target {
	var target Target
	for i := range count {
		endpoint := "192.0.2." + string(rune('1'+i)) + ":443"
		target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: endpoint})
	}
	return target
}

func TestDialHandsOverTheWinnerOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", silent)
		n.host("192.0.2.2:443", connects(20*ms))
		n.host("192.0.2.3:443", host{silent: true, stubborn: true})
		conn, result, err := n.racer().Dial(t.Context(), RaceRequest{
			Target: literals(3), Options: Options{Strategy: sched.AllAtOnce},
		})
		must(t, err)
		checkRace(t, result)
		if got, want := conn.LocalAddr().String(), result.Winner.Won().Local.String(); got != want {
			t.Errorf("the connection is from %s, the winner's from %s", got, want)
		}
		if result.Winner.Endpoint.String() != "192.0.2.2:443" {
			t.Errorf("%s won", result.Winner.Endpoint)
		}
		n.checkClosed(t, conn)
	})
}

// Race has no use for connections, so it keeps none, not even for a moment.
func TestRaceClosesTheWinner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", connects(20*ms))
		result, err := n.racer().Race(t.Context(), RaceRequest{Target: literals(1)})
		must(t, err)
		checkRace(t, result)
		if len(n.conns) != 1 {
			t.Errorf("%d connections were made", len(n.conns))
		}
		n.checkClosed(t, nil)
	})
}

// Two connections in the same instant: one is handed over, the other is closed,
// whatever order they are learned of in.
func TestTwoWinnersInOneInstant(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			for _, c := range literals(5).Candidates {
				n.host(c.Endpoint, host{after: 20 * ms, stubborn: true})
			}
			conn, result, err := n.racer().Dial(t.Context(), RaceRequest{
				Target: literals(5), Options: Options{Strategy: sched.AllAtOnce},
			})
			must(t, err)
			checkRace(t, result)
			if result.Cost != (Cost{Attempts: 5, Connected: 5, Dropped: 4}) {
				t.Errorf("cost is %+v", result.Cost)
			}
			n.checkClosed(t, conn)
		})
	}
}

// A loser that connects in the instant it is given up is closed, and its outcome
// says so. It cost a connection and is not masked.
func TestLoserThatConnectsWhenCancelledIsClosed(t *testing.T) {
	for _, keep := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.host("192.0.2.1:443", host{silent: true, stubborn: true})
			n.host("192.0.2.2:443", connects(20*ms))
			req := RaceRequest{Target: literals(2)}
			e := newEngineIn(t, n, mustPlan(t, req), keep)
			conn := e.run(t.Context())
			if candidates := e.fold(0); candidates[0].Outcome != sched.OutcomeConnectedLate {
				t.Errorf("the loser is %s", candidates[0].Outcome)
			} else if cost := costOf(candidates); cost != (Cost{Attempts: 2, Connected: 2, Dropped: 1}) {
				t.Errorf("cost is %+v", cost)
			} else if m := maskedBy(candidates, winner(candidates)); len(m.Addresses) > 0 {
				t.Errorf("masked are %v", m.Addresses)
			}
			if keep != (conn != nil) {
				t.Errorf("to be kept: %t, got %v", keep, conn)
			}
			n.checkClosed(t, conn)
		})
	}
}

// newEngineIn returns an engine that has entered the network's racer.
func newEngineIn(t *testing.T, n *network, p *plan, keep bool) *engine {
	t.Helper()
	r := n.racer()
	v, err := r.enter("")
	must(t, err)
	t.Cleanup(v.leave)
	return newEngine(r, p, v, keep)
}

func mustPlan(t *testing.T, req RaceRequest) *plan {
	t.Helper()
	p, err := planRace(req.Target, req.Selection, req.Options, "")
	must(t, err)
	return p
}

func TestDialWithoutWinner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", refuses(1*ms))
		conn, result, err := n.racer().Dial(t.Context(), RaceRequest{Target: literals(1)})
		lost, ok := errors.AsType[*NotWonError](err)
		if !ok || conn != nil || result == nil || lost.Result != result {
			t.Fatalf("Dial returns %v, %v and %v", conn, result, err)
		}
		checkRace(t, result)
		if got := result.Candidates[0].Attempts[0].Failure.Errno; got != "ECONNREFUSED" {
			t.Errorf("the reason is %s", got)
		}
		if !strings.Contains(err.Error(), "exhausted") {
			t.Errorf("%q does not say why the race ended", err)
		}
	})
}

func TestDialOfAWrongRequest(t *testing.T) {
	n := newNetwork(t)
	conn, result, err := n.racer().Dial(t.Context(), RaceRequest{})
	if _, ok := errors.AsType[*RequestError](err); !ok || conn != nil || result != nil {
		t.Errorf("Dial returns %v, %v and %v", conn, result, err)
	}
}

func TestCost(t *testing.T) {
	begun := func(o sched.Outcome) Candidate {
		return Candidate{Outcome: o, Attempts: []Attempt{{Begun: true, Outcome: o}}}
	}
	for _, c := range []struct {
		name       string
		candidates []Candidate
		want       Cost
	}{
		{"nothing", nil, Cost{}},
		{"not tried", []Candidate{{Outcome: sched.OutcomeNotStarted}, {Outcome: sched.OutcomeSkipped}}, Cost{}},
		{"a winner", []Candidate{begun(sched.OutcomeWon)}, Cost{Attempts: 1, Connected: 1}},
		{
			"losers",
			[]Candidate{begun(sched.OutcomeCancelled), begun(sched.OutcomeConnectedLate), begun(sched.OutcomeWon), begun(sched.OutcomeFailed)},
			Cost{Attempts: 4, Connected: 2, Dropped: 1},
		},
		{"never left this host", []Candidate{{Attempts: []Attempt{{Outcome: sched.OutcomeFailed}}}}, Cost{}},
		{
			"a winner by its backup",
			[]Candidate{{Attempts: []Attempt{
				{Begun: true, Outcome: sched.OutcomeCancelled}, {Begun: true, Trigger: sched.TriggerBackup, Outcome: sched.OutcomeWon},
			}}},
			Cost{Attempts: 2, Connected: 1, Backups: 1},
		},
		{
			"a winner whose backup came late, and a backup that never left this host",
			[]Candidate{
				{Attempts: []Attempt{
					{Begun: true, Outcome: sched.OutcomeWon}, {Begun: true, Trigger: sched.TriggerBackup, Outcome: sched.OutcomeConnectedLate},
				}},
				{Attempts: []Attempt{
					{Begun: true, Outcome: sched.OutcomeCancelled}, {Trigger: sched.TriggerBackup, Outcome: sched.OutcomeFailed},
				}},
			},
			Cost{Attempts: 3, Connected: 2, Dropped: 1, Backups: 1},
		},
		{"a probe's", []Candidate{begun(sched.OutcomeConnected), begun(sched.OutcomeTimedOut)}, Cost{Attempts: 2, Connected: 1, Dropped: 1}},
	} {
		if got := costOf(c.candidates); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// A winner that was lost on its way to the caller is not told as if nobody had won.
func TestWinnerThatIsNotHandedOver(t *testing.T) {
	won := &RaceResult{Winner: &Candidate{Endpoint: netip.MustParseAddrPort("192.0.2.1:443")}}
	err := won.without()
	if _, lost := errors.AsType[*NotWonError](err); lost || !strings.Contains(err.Error(), "192.0.2.1:443") || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("the error is %v", err)
	}
	lost := new(RaceResult)
	if not, ok := errors.AsType[*NotWonError](lost.without()); !ok || not.Result != lost {
		t.Errorf("without a winner the error is %v", lost.without())
	}
}

// No route and no source: this host's own trouble, in words a person can use.
func TestNoRouteAtAllIsThisHostsTrouble(t *testing.T) {
	e := engine{started: []int{0, 1}, known: []fact{{}, {source: source4}}}
	blamed := func(attempt int, f sched.Failure) sched.Failure {
		ev := sched.Event{Kind: sched.Failed, Attempt: attempt, Failure: f}
		e.blame(&ev)
		return ev.Failure
	}
	unreachable := sched.Failure{Type: "network_unreachable", Errno: "ENETUNREACH", Fault: sched.FaultPath}
	if got := blamed(0, unreachable); got.Fault != sched.FaultHost || got.Type != unreachable.Type || !strings.Contains(got.Text, "no route") {
		t.Errorf("without a source it is %+v", got)
	}
	if got := blamed(1, unreachable); got != unreachable {
		t.Errorf("with a source it is %+v", got)
	}
	for _, forbidden := range []sched.Failure{
		{Type: "host_unreachable", Errno: "EHOSTUNREACH", Fault: sched.FaultPath},
		{Type: "access_denied", Errno: "EACCES"},
		{Type: "invalid_argument", Errno: "EINVAL", Fault: sched.FaultHost, Text: "the operating system refuses this address"}, // a blackhole
	} {
		if got := blamed(0, forbidden); got.Fault != sched.FaultHost || got.Type != forbidden.Type || !strings.Contains(got.Text, "ip route get") {
			t.Errorf("without a source it is %+v", got)
		}
		if got := blamed(1, forbidden); got != forbidden {
			t.Errorf("with a source it is %+v", got)
		}
		forbidden.ICMP.From = source4
		if got := blamed(0, forbidden); got != forbidden {
			t.Errorf("what somebody has said became %+v", got)
		}
	}
	refused := sched.Failure{Errno: "ECONNREFUSED", Fault: sched.FaultTarget, Text: syscall.ECONNREFUSED.Error()}
	if got := blamed(0, refused); got != refused {
		t.Errorf("a refusal became %+v", got)
	}
}
