package racer

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/internal/connect"
	"github.com/connrace/connrace/internal/resolve"
	"github.com/connrace/connrace/racer/sched"
)

// drowsy are the attempts of a process that gets no processor when it should go on.
type drowsy struct {
	connect.Attempts

	asleep *time.Duration // it is, for that long, once something has come
	late   time.Duration  // when it lets an attempt proceed
}

func (s drowsy) Wait(due time.Duration, bounded bool) {
	s.Attempts.Wait(due, bounded)
	time.Sleep(*s.asleep)
	*s.asleep = 0
}

func (s drowsy) Proceed(id int) {
	time.Sleep(s.late)
	s.Attempts.Proceed(id)
}

// racerOf returns a Racer in the network that is drowsy so. Its kernel has measured rtt.
func (s drowsy) racerOf(n *network, rtt time.Duration) *Racer {
	racer := n.racer()
	idle := racer.attempts
	racer.attempts = func(r connect.Race) connect.Attempts {
		post := r.Post
		r.Post = func(e sched.Event) {
			if e.Kind == sched.Progressed {
				e.Kernel.RTT = rtt
			}
			post(e)
		}
		s.Attempts = idle(r)
		return s
	}
	return racer
}

// Only this process begins what comes after TCP. Where it did not in time that is its own
// host's trouble, unless the target was so late that no host could have been in time.
func TestTooBusyToGoOn(t *testing.T) {
	const (
		host = "TCP was up in time, but this host was too busy to go on within 300ms of the attempt's start"
		late = "TCP was up only after 150.1ms, which left too little of 300ms for what comes after it; allow an attempt more time"
	)
	for _, c := range []struct {
		name         string
		up           time.Duration // TCP, at the target
		rtt          time.Duration
		asleep, late time.Duration // after that; as in drowsy
		fault        sched.Fault
		text         string
		verdict      Verdict
	}{
		{"it sleeps", 50 * ms, 50 * ms, 400 * ms, 0, sched.FaultHost, host, Inconclusive},
		{"it begins too late", 50 * ms, 50 * ms, 0, 400 * ms, sched.FaultHost, host, Inconclusive},
		{"it begins when the time is over", 50 * ms, 50 * ms, 0, 250 * ms, sched.FaultHost, host, Inconclusive},
		{"it begins in time", 50 * ms, 50 * ms, 0, 249 * ms, sched.FaultTarget, "the TLS handshake did not end within 300ms", Unreachable},
		{"it sleeps, and the round-trip time is not known", 299 * ms, 0, 400 * ms, 0, sched.FaultHost, host, Inconclusive},
		{"a round trip more than is needed is left", 149900 * time.Microsecond, 149900 * time.Microsecond, 400 * ms, 0, sched.FaultHost, host, Inconclusive},
		{"no round trip is left", 150100 * time.Microsecond, 150100 * time.Microsecond, 400 * ms, 0, sched.FaultTarget, late, Unreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, p := newNetwork(t), newPeers(t)
				n.host(first, talking(c.up, stalls))
				r := drowsy{asleep: &c.asleep, late: c.late}.racerOf(n, c.rtt)
				result, err := r.Probe(t.Context(), ProbeRequest{Target: literals(1), Options: ProbeOptions{
					Criterion: p.wants(), AttemptTimeout: 300 * ms,
				}})
				must(t, err)
				checkProbed(t, result)
				n.checkClosed(t, nil)
				probed := &result.Report.Candidates[0]
				a := &probed.Attempts[0]
				if f := a.Failure; a.Outcome != sched.OutcomeTimedOut || f.Type != "timed_out" || f.Fault != c.fault || !strings.Contains(f.Text, c.text) {
					t.Errorf("it %s: %+v, want the fault of %s and %q", a.Outcome, f, c.fault, c.text)
				}
				if byHost := c.fault == sched.FaultHost; byHost != strings.Contains(a.Failure.Text, "; see what keeps its processors busy, or allow an attempt more time") {
					t.Errorf("what to do is said in %q", a.Failure.Text)
				}
				if got := result.Report.Verdict; got != c.verdict || (probed.Stats.HostFailures == 1) != (c.verdict == Inconclusive) {
					t.Errorf("the verdict is %d, want %d, and the counts are %+v", got, c.verdict, probed.Stats)
				}
			})
		})
	}
}

// A race does not say that an address was broken which this host was too busy for. The
// attempt was made all the same, and met nothing.
func TestTooBusyIsNotMasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p := newNetwork(t), newPeers(t)
		n.host(first, talking(5*ms, stalls))
		n.host(second, talking(5*ms, secure(5*ms, p.good, mute)))
		r, err := drowsy{asleep: new(400 * ms)}.racerOf(n, 5*ms).Race(t.Context(), RaceRequest{Target: literals(2), Options: Options{
			Criterion: p.wants(), AttemptTimeout: 300 * ms, MaxBackups: new(0),
		}})
		must(t, err)
		checkRace(t, r)
		n.checkClosed(t, nil)
		wantOutcomes(t, r, sched.OutcomeTimedOut, sched.OutcomeWon)
		if f := r.Candidates[0].Attempts[0].Failure; f.Fault != sched.FaultHost {
			t.Errorf("the failure is %+v", f)
		}
		if len(r.Masked.Addresses) > 0 || r.Cost != (Cost{Attempts: 2, Connected: 1}) {
			t.Errorf("masked are %+v, and the cost is %+v", r.Masked.Addresses, r.Cost)
		}
	})
}

// What the scheduler holds back until there is service information is not late by this
// host, and nobody knows by whom.
func TestHeldBackIsNotTooBusy(t *testing.T) {
	for _, relied := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n, p := newNetwork(t), newPeers(t)
			https := sched.Question{Name: "site.example", Type: sched.HTTPS}
			n.names[https] = reply{after: time.Second, answer: resolve.Answer{Status: sched.NotFound}}
			n.host(first, talking(5*ms, stalls))
			plan := mustPlan(t, RaceRequest{Target: literals(1), Options: Options{
				Criterion: p.wants(), AttemptTimeout: 300 * ms, MaxBackups: new(0),
			}})
			plan.cfg.Questions, plan.asked = []sched.Question{https}, []origin{{}}
			plan.cfg.Service = sched.Service{Protected: true, Usable: true, Relied: relied}
			e := newEngineIn(t, n, plan, false)
			e.run(t.Context())
			n.checkClosed(t, nil)
			fault, text := sched.FaultTarget, "the TLS handshake did not end"
			if relied {
				fault, text = sched.FaultUnknown, "the service information that must come first did not come within 300ms of the attempt's start; see whether the name server answers, or allow an attempt more time"
			}
			if f := e.fold(0)[0].Attempts[0].Failure; f.Fault != fault || !strings.Contains(f.Text, text) {
				t.Errorf("relied on %t: it is %+v, want the fault of %s and %q", relied, f, fault, text)
			}
		})
	}
}
