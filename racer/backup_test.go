package racer

import (
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// A candidate with two attempts has both, each with its own number, times, local end,
// failure and outcome, whatever came between them.
func TestFoldOfABackup(t *testing.T) {
	one, two := netip.MustParseAddrPort("192.0.2.1:443"), netip.MustParseAddrPort("192.0.2.2:443")
	local := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(source4, port) }
	refused := sched.Failure{Type: "connection_refused", Errno: "ECONNREFUSED", Fault: sched.FaultTarget}
	e := engine{known: []fact{{endpoint: one}, {endpoint: two}}, started: []int{0, 1, 1, 0}}
	happen := func(ev sched.Event) { e.log = append(e.log, sched.Entry{At: ev.At, Event: ev}) }
	act := func(at time.Duration, a sched.Action) { e.log = append(e.log, sched.Entry{At: at, Action: a}) }
	for id, trigger := range []sched.Trigger{sched.TriggerFirst, sched.TriggerAttemptDelay, sched.TriggerBackup, sched.TriggerBackup} {
		at := time.Duration(id) * 250 * ms
		act(at, sched.Action{Kind: sched.Start, Attempt: id, Candidate: e.started[id], Trigger: trigger, Delay: 250 * ms, Basis: sched.BasisConfigured})
		happen(sched.Event{Kind: sched.Started, At: at + ms, Attempt: id})
	}
	happen(sched.Event{Kind: sched.Failed, At: 760 * ms, Attempt: 2, Failure: refused})
	happen(sched.Event{Kind: sched.Connected, At: 770 * ms, Attempt: 3, Local: local(40003)})
	act(770*ms, sched.Action{Kind: sched.Won, Attempt: 3})
	act(770*ms, sched.Action{Kind: sched.Cancel, Attempt: 0, Cause: sched.CauseLost})
	act(770*ms, sched.Action{Kind: sched.Cancel, Attempt: 1, Cause: sched.CauseLost})
	happen(sched.Event{Kind: sched.Cancelled, At: 771 * ms, Attempt: 1})
	happen(sched.Event{Kind: sched.Connected, At: 772 * ms, Attempt: 0, Local: local(40000)})
	act(772*ms, sched.Action{
		Kind: sched.Settle, Candidate: 1, Outcome: sched.OutcomeCancelled,
		Outcomes: [2]sched.Outcome{sched.OutcomeCancelled, sched.OutcomeFailed},
	})
	act(772*ms, sched.Action{
		Kind: sched.Settle, Candidate: 0, Outcome: sched.OutcomeWon,
		Outcomes: [2]sched.Outcome{sched.OutcomeConnectedLate, sched.OutcomeWon},
	})
	attempt := func(number int, tr sched.Trigger, start, end time.Duration, o sched.Outcome) Attempt {
		return Attempt{Number: number, Trigger: tr, Delay: 250 * ms, Basis: sched.BasisConfigured, Begun: true, Start: start, End: end, Outcome: o}
	}
	want := []Candidate{
		{Position: 1, Endpoint: two, Outcome: sched.OutcomeCancelled, Attempts: []Attempt{
			attempt(2, sched.TriggerAttemptDelay, 251*ms, 771*ms, sched.OutcomeCancelled),
			attempt(3, sched.TriggerBackup, 501*ms, 760*ms, sched.OutcomeFailed),
		}},
		{Position: 2, Endpoint: one, Outcome: sched.OutcomeWon, Attempts: []Attempt{
			attempt(1, sched.TriggerFirst, 1*ms, 772*ms, sched.OutcomeConnectedLate),
			attempt(4, sched.TriggerBackup, 751*ms, 770*ms, sched.OutcomeWon),
		}},
	}
	want[0].Attempts[1].Failure = refused
	want[1].Attempts[0].Local, want[1].Attempts[1].Local = local(40000), local(40003)
	e.plan = new(plan)
	got := e.fold(0)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("candidates are\n%+v\nwant\n%+v", got, want)
	}
	if won := got[1].Won(); won != &got[1].Attempts[1] || got[0].Won() != nil {
		t.Errorf("the attempt that won is %+v", won)
	}
}

// A backup shares the time of the first attempt, and each says how long it had
// without an answer.
func TestSilenceOfABackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", silent)
		r, err := n.racer().Race(t.Context(), RaceRequest{Target: literals(1)})
		must(t, err)
		checkRace(t, r)
		c := &r.Candidates[0]
		if r.End != sched.EndExhausted || r.Duration != 5*time.Second || c.Outcome != sched.OutcomeTimedOut || len(c.Attempts) != 2 {
			t.Fatalf("%s after %v: %+v", r.End, r.Duration, c)
		}
		for i, says := range []string{"no answer within 5s", "no answer within 4.75s"} {
			says += "; see whether the host is up and whether a firewall drops packets, or allow an attempt more time"
			want := sched.Failure{Type: "timed_out", Text: says, Fault: sched.FaultTarget}
			if a := &c.Attempts[i]; a.Failure != want || a.Outcome != sched.OutcomeTimedOut {
				t.Errorf("attempt %d is %s with %+v, want %+v", a.Number, a.Outcome, a.Failure, want)
			}
		}
	})
}

// The winner is a backup: Dial hands over its connection, and closes that of the
// first attempt, which connects in the instant it is given up.
func TestDialWonByABackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", host{silent: true, stubborn: true}, connects(20*ms))
		conn, r, err := n.racer().Dial(t.Context(), RaceRequest{Target: literals(1)})
		must(t, err)
		checkRace(t, r)
		if won := r.Winner.Won(); won != &r.Winner.Attempts[1] || won.Number != 2 || won.Trigger != sched.TriggerBackup {
			t.Errorf("the attempt that won is %+v", won)
		}
		if o := r.Winner.Attempts[0].Outcome; o != sched.OutcomeConnectedLate {
			t.Errorf("the first attempt is %s", o)
		}
		if len(n.conns) != 2 || conn != n.conns[0] {
			t.Errorf("there are %d connections, and not the first one is handed over", len(n.conns))
		}
		if r.Cost != (Cost{Attempts: 2, Connected: 2, Dropped: 1, Backups: 1}) || len(r.Masked.Addresses) > 0 {
			t.Errorf("cost is %+v, masked are %v", r.Cost, r.Masked.Addresses)
		}
		n.checkClosed(t, conn)
	})
}

// Two families, and the first SYN of each is lost: each gets its backup, and the
// second one wins. What the first family did is told once.
func TestBothFirstSYNsAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.resolves("two.example", sched.AAAA, 10*ms, "2001:db8::1")
		n.resolves("two.example", sched.A, 10*ms, "192.0.2.1")
		n.host("[2001:db8::1]:443", silent)
		n.host("192.0.2.1:443", silent, connects(20*ms))
		r, err := n.racer().Race(t.Context(), RaceRequest{Target: Target{Name: "two.example:443"}})
		must(t, err)
		checkRace(t, r)
		wantOutcomes(t, r, sched.OutcomeCancelled, sched.OutcomeWon)
		if r.Duration != 780*ms || r.Cost != (Cost{Attempts: 4, Connected: 1, Backups: 2}) {
			t.Errorf("it took %v, cost is %+v", r.Duration, r.Cost)
		}
		const sentence = "won over IPv4; IPv6 did not work: [2001:db8::1]:443 (silent for 770ms)"
		if got := r.Masked.Summary(r.Winner); got != sentence {
			t.Errorf("the summary is %q, want %q", got, sentence)
		}
		wantIfFirst(t, r, nil, new(10*ms+20*ms-780*ms))
	})
}

// A probe measures each address once a round: no backups, however long it is silent.
func TestProbeMakesNoBackups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", silent)
		n.host("192.0.2.2:443", connects(900*ms))
		target := literals(2)
		target.Candidates[0].ExpectedRTT = 1 * ms
		r := probe(t.Context(), t, n, ProbeRequest{Target: target, Rounds: 2})
		if len(n.dialed) != 4 || r.Report.Verdict != Degraded {
			t.Errorf("%d dials, verdict %d", len(n.dialed), r.Report.Verdict)
		}
		for i := range r.Report.Candidates {
			for _, a := range r.Report.Candidates[i].Attempts {
				if a.Trigger == sched.TriggerBackup {
					t.Errorf("%s has a backup", r.Report.Candidates[i].Endpoint)
				}
			}
		}
	})
}
