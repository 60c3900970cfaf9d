package racer

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/resolve"
	"github.com/connrace/connrace/racer/sched"
)

// peers are what hosts do once TCP is up, with certificates for site.example.
type peers struct {
	t         testing.TB
	authority *netlab.Authority
	good      tls.Certificate
}

func newPeers(t testing.TB) *peers {
	t.Helper()
	authority, err := netlab.NewAuthority()
	must(t, err)
	p := &peers{t: t, authority: authority}
	p.good = p.certificate(netlab.Valid, "site.example")
	return p
}

func (p *peers) certificate(v netlab.Validity, name string) tls.Certificate {
	p.t.Helper()
	cert, err := p.authority.Certificate(v, name)
	must(p.t, err)
	return cert
}

// wants is a criterion of TLS that trusts the authority.
func (p *peers) wants() Criterion {
	return Criterion{TLS: &TLSCheck{ServerName: "site.example", Roots: p.authority.Pool()}}
}

// secure speaks TLS after that time, and then whatever comes inside.
func secure(after time.Duration, cert tls.Certificate, inside func(net.Conn)) func(*wireEnd) {
	return func(c *wireEnd) {
		time.Sleep(after)
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
		if s.Handshake() == nil {
			inside(s)
		}
		_, _ = io.Copy(io.Discard, c)
	}
}

// mute reads and says nothing.
func mute(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// echo says what it hears.
func echo(c net.Conn) { _, _ = io.Copy(c, c) }

func stalls(c *wireEnd) { mute(c) }

// says sends a text after that time.
func says(after time.Duration, text string) func(*wireEnd) {
	return func(c *wireEnd) {
		time.Sleep(after)
		_, _ = io.WriteString(c, text)
		mute(c)
	}
}

// answers204 answers an HTTP request after that time.
func answers204(after time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			time.Sleep(after)
			_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
		}
		mute(c)
	}
}

// talking is a host that connects after that time, and then does something.
func talking(after time.Duration, talks func(*wireEnd)) host { return host{after: after, talks: talks} }

// raceIn races in the network and holds what is true of every race.
func raceIn(t *testing.T, n *network, req RaceRequest) *RaceResult {
	t.Helper()
	racer := n.racer()
	r, err := racer.Race(t.Context(), req)
	must(t, err)
	checkRace(t, r)
	n.checkClosed(t, nil)
	checkRoomEmpty(t, racer)
	return r
}

// checkRoomEmpty holds that nobody is in the room any more.
func checkRoomEmpty(t testing.TB, r *Racer) {
	t.Helper()
	if s := r.room.Snapshot(); s.InFlight != 0 || s.Waiting != 0 {
		t.Errorf("in the room are still %+v", s)
	}
}

// phasesOf are the phases of an attempt in a line.
func phasesOf(a *Attempt) string {
	var parts []string
	for _, p := range a.Phases() {
		part := fmt.Sprintf("%s %v+%v", p.Kind, p.Start, p.Duration)
		if p.Failed {
			part += " failed"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// wantPhases holds the phases of a candidate's first attempt.
func wantPhases(t *testing.T, c *Candidate, want string) {
	t.Helper()
	if got := phasesOf(&c.Attempts[0]); got != want {
		t.Errorf("%s: the phases are %q, want %q", c.Endpoint, got, want)
	}
}

// actionAt is when an action was taken about an endpoint.
func actionAt(t *testing.T, r *Run, kind sched.ActionKind, endpoint string) time.Duration {
	t.Helper()
	for _, e := range r.Transcript {
		if e.Action.Kind == kind && e.Endpoint.String() == endpoint {
			return e.At
		}
	}
	t.Errorf("there is no %s of %s", kind, endpoint)
	return -1
}

const first, second = "192.0.2.1:443", "192.0.2.2:443"

// What fails after TCP is up has lost, whatever fails: the next one starts that moment
// and wins (H3-49), and the failure is the target's and in its phase.
func TestFailureAfterTCPLetsOthersGoOn(t *testing.T) {
	for name, c := range map[string]struct {
		talks func(*peers) func(*wireEnd)
		fails string
	}{
		"expired": {
			func(p *peers) func(*wireEnd) {
				return secure(15*ms, p.certificate(netlab.Expired, "site.example"), mute)
			}, "certificate_expired",
		},
		"another name": {
			func(p *peers) func(*wireEnd) {
				return secure(15*ms, p.certificate(netlab.Valid, "other.example"), mute)
			}, "certificate_name_mismatch",
		},
		"unknown authority": {
			func(p *peers) func(*wireEnd) { return secure(15*ms, newPeers(p.t).good, mute) }, "certificate_unknown_authority",
		},
		"garbage": {
			func(*peers) func(*wireEnd) { return says(15*ms, "\xde\xad\xbe\xef\xff\xfe no TLS") }, "tls_not_spoken",
		},
		"reset": {
			func(*peers) func(*wireEnd) { return func(c *wireEnd) { time.Sleep(15 * ms); c.reset() } }, "connection_reset",
		},
		"closed": {
			func(*peers) func(*wireEnd) { return func(*wireEnd) { time.Sleep(15 * ms) } }, "connection_closed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, p := newNetwork(t), newPeers(t)
				n.host(first, talking(5*ms, c.talks(p)))
				n.host(second, talking(5*ms, secure(15*ms, p.good, mute)))
				r := raceIn(t, n, RaceRequest{Target: literals(2), Options: Options{Criterion: p.wants()}})
				wantOutcomes(t, r, sched.OutcomeFailed, sched.OutcomeWon)
				wantPhases(t, &r.Candidates[0], "tcp_connect 0s+5ms, tls_handshake 5ms+15ms failed")
				wantPhases(t, &r.Candidates[1], "tcp_connect 20ms+5ms, tls_handshake 25ms+15ms")
				if f := r.Candidates[0].Attempts[0].Failure; f.Type != c.fails || f.Fault != sched.FaultTarget && f.Fault != sched.FaultPath {
					t.Errorf("the failure is %+v, want %s", f, c.fails)
				}
				if a := r.Candidates[1].Attempts[0]; a.Trigger != sched.TriggerFailure || a.Up != 25*ms || a.End != 40*ms || r.Duration != 40*ms {
					t.Errorf("the winner is %+v, the race took %v", a, r.Duration)
				}
				m := r.Masked.Addresses
				if len(m) != 1 || m[0].Phase != sched.PhaseTLS || m[0].Duration != 20*ms || m[0].Failure.Type != c.fails {
					t.Errorf("masked are %+v", m)
				}
				if got, want := r.Masked.Summary(r.Winner), "did not work: "+first+" ("+c.fails+" in the TLS handshake)"; got != want {
					t.Errorf("the summary is %q, want %q", got, want)
				}
			})
		})
	}
}

// The peer that accepts TCP and never speaks TLS: it keeps the others from starting
// for its delay, once more from when TCP was up (H3-50), and is given up only when the
// other has met the criterion, not when that one's TCP is up (H3-47).
func TestLosersAreCancelledWhenTheCriterionIsMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p := newNetwork(t), newPeers(t)
		n.host(first, talking(5*ms, stalls))
		n.host(second, talking(5*ms, secure(100*ms, p.good, mute)))
		r := raceIn(t, n, RaceRequest{Target: literals(2), Options: Options{Criterion: p.wants()}})
		wantOutcomes(t, r, sched.OutcomeCancelled, sched.OutcomeWon)
		wantPhases(t, &r.Candidates[0], "tcp_connect 0s+5ms, tls_handshake 5ms+355ms")
		wantPhases(t, &r.Candidates[1], "tcp_connect 255ms+5ms, tls_handshake 260ms+100ms")
		if at := actionAt(t, &r.Run, sched.Cancel, first); at != 360*ms {
			t.Errorf("the loser is given up at %v", at)
		}
		if a := r.Candidates[1].Attempts[0]; a.Trigger != sched.TriggerAttemptDelay || a.Delay != 250*ms {
			t.Errorf("the winner is %+v", a)
		}
		const sentence = "did not work: " + first + " (silent in the TLS handshake for 360ms)"
		if got := r.Masked.Summary(r.Winner); got != sentence || r.Masked.Addresses[0].Phase != sched.PhaseTLS {
			t.Errorf("the summary is %q, want %q", got, sentence)
		}
		if r.Cost.Backups != 0 {
			t.Error("an attempt that was answered got a backup")
		}
	})
}

// A first attempt that makes progress has its delay anew from then on (H3-50), which
// version 2 did not know.
func TestProgressGrantsTheDelayAnew(t *testing.T) {
	for _, c := range []struct {
		up     time.Duration
		v      sched.Version
		second time.Duration
	}{
		{5 * ms, sched.V3, 255 * ms},
		{240 * ms, sched.V3, 490 * ms},
		{5 * ms, sched.V2, 250 * ms},
	} {
		synctest.Test(t, func(t *testing.T) {
			n, p := newNetwork(t), newPeers(t)
			n.host(first, talking(c.up, secure(2*time.Second, p.good, mute)))
			n.host(second, talking(5*ms, secure(5*ms, p.good, mute)))
			r := raceIn(t, n, RaceRequest{Target: literals(2), Options: Options{Criterion: p.wants(), Version: c.v}})
			if got := r.Candidates[1].Attempts[0].Start; got != c.second {
				t.Errorf("TCP up at %v: the second starts at %v, want %v", c.up, got, c.second)
			}
		})
	}
}

// With TCP as the criterion the handshake decides: a peer that says nothing wins
// (H3-46).
func TestSilentPeerWinsByTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host(first, talking(5*ms, stalls))
		r := raceIn(t, n, RaceRequest{Target: literals(1)})
		wantOutcomes(t, r, sched.OutcomeWon)
		wantPhases(t, r.Winner, "tcp_connect 0s+5ms")
		if a := r.Winner.Won(); a.Up != 0 || a.Stages != nil {
			t.Errorf("the winner is %+v", a)
		}
	})
}

// Each criterion but TCP is met by who does what it says, while those are up that say
// nothing: the phases are there with what they brought (H3-45).
func TestEachCriterionIsMet(t *testing.T) {
	for name, c := range map[string]struct {
		criterion func(*peers) Criterion
		talks     func(*peers) func(*wireEnd)
		phases    string
	}{
		"tls": {
			(*peers).wants,
			func(p *peers) func(*wireEnd) { return secure(20*ms, p.good, mute) },
			"tcp_connect 255ms+5ms, tls_handshake 260ms+20ms",
		},
		"http": {
			func(*peers) Criterion { return Criterion{HTTP: &HTTPCheck{Statuses: []int{204}}} },
			func(*peers) func(*wireEnd) { return func(c *wireEnd) { answers204(30 * ms)(c) } },
			"tcp_connect 255ms+5ms, http_response 260ms+30ms",
		},
		"tls, http": {
			func(p *peers) Criterion { c := p.wants(); c.HTTP = &HTTPCheck{}; return c },
			func(p *peers) func(*wireEnd) { return secure(20*ms, p.good, answers204(30*ms)) },
			"tcp_connect 255ms+5ms, tls_handshake 260ms+20ms, http_response 280ms+30ms",
		},
		"first byte": {
			func(*peers) Criterion { return Criterion{FirstByte: true} },
			func(*peers) func(*wireEnd) { return says(40*ms, "220 hello") },
			"tcp_connect 255ms+5ms, first_byte 260ms+40ms",
		},
		"tls, first byte": {
			func(p *peers) Criterion { c := p.wants(); c.FirstByte = true; return c },
			func(p *peers) func(*wireEnd) {
				return secure(20*ms, p.good, func(c net.Conn) { time.Sleep(40 * ms); _, _ = io.WriteString(c, "2"); mute(c) })
			},
			"tcp_connect 255ms+5ms, tls_handshake 260ms+20ms, first_byte 280ms+40ms",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, p := newNetwork(t), newPeers(t)
				n.host(first, talking(5*ms, stalls))
				n.host(second, talking(5*ms, c.talks(p)))
				r := raceIn(t, n, RaceRequest{Target: literals(2), Options: Options{Criterion: c.criterion(p)}})
				wantOutcomes(t, r, sched.OutcomeCancelled, sched.OutcomeWon)
				wantPhases(t, r.Winner, c.phases)
				a := r.Winner.Won()
				if strings.HasPrefix(name, "tls") != (a.Stages.TLS != nil && a.Stages.TLS.Verified) {
					t.Errorf("of TLS is known %+v", a.Stages.TLS)
				}
				if strings.HasSuffix(name, "http") != (a.Stages.HTTP != nil && a.Stages.HTTP.Status == 204) {
					t.Errorf("of HTTP is known %+v", a.Stages.HTTP)
				}
				if d := r.Winner.IfFirst; d == nil || *d != -255*ms {
					t.Errorf("tried first it would have been %v later", d)
				}
			})
		})
	}
}

// An attempt that uses up its time says in which stage, and that TCP was up.
func TestTimeoutSaysWhichStage(t *testing.T) {
	tlsAnd := func(inside func(net.Conn)) func(*peers) host {
		return func(p *peers) host { return talking(5*ms, secure(5*ms, p.good, inside)) }
	}
	stalling := func(*peers) host { return talking(5*ms, stalls) }
	for _, c := range []struct {
		name   string
		change func(*Criterion)
		host   func(*peers) host
		text   string
		phase  sched.PhaseKind
	}{
		{"no TCP", nil, func(*peers) host { return silent }, "no answer within 300ms; see whether the host is up and whether a firewall drops packets, or allow an attempt more time", sched.PhaseTCP},
		{
			"no TLS", nil, stalling,
			"TCP is up, but the TLS handshake did not end within 300ms of the attempt's start; see what keeps the peer busy, or allow an attempt more time", sched.PhaseTLS,
		},
		{
			"no HTTP", func(c *Criterion) { c.HTTP = &HTTPCheck{} }, tlsAnd(mute),
			"TCP is up, but the wait for the HTTP response did not end within 300ms of the attempt's start; see what keeps the peer busy, or allow an attempt more time", sched.PhaseHTTP,
		},
		{
			"no byte", func(c *Criterion) { c.FirstByte = true }, tlsAnd(mute),
			"TCP is up, but the wait for the first byte did not end within 300ms of the attempt's start; see whether the peer speaks first at all, or allow an attempt more time", sched.PhaseFirstByte,
		},
		{
			"HTTP without TLS", func(c *Criterion) { c.TLS, c.HTTP = nil, &HTTPCheck{} }, stalling,
			"TCP is up, but the wait for the HTTP response did not end within 300ms of the attempt's start; see what keeps the peer busy, or allow an attempt more time", sched.PhaseHTTP,
		},
		{
			"no time left", nil, func(*peers) host { return talking(300*ms, stalls) },
			"TCP was up only after 300ms, which left too little of 300ms for what comes after it; allow an attempt more time", sched.PhaseTCP,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, p := newNetwork(t), newPeers(t)
				criterion := p.wants()
				if c.change != nil {
					c.change(&criterion)
				}
				n.host(first, c.host(p))
				r := raceIn(t, n, RaceRequest{Target: literals(1), Options: Options{
					Criterion: criterion, AttemptTimeout: 300 * ms, MaxBackups: new(0),
				}})
				wantOutcomes(t, r, sched.OutcomeTimedOut)
				a := &r.Candidates[0].Attempts[0]
				if want := (sched.Failure{Type: "timed_out", Fault: sched.FaultTarget, Text: c.text}); a.Failure != want {
					t.Errorf("the failure is %+v, want %+v", a.Failure, want)
				}
				phases := a.Phases()
				if last := phases[len(phases)-1]; last.Kind != c.phase || last.Start+last.Duration != 300*ms {
					t.Errorf("the last of its phases is %+v, want %s until 300ms", last, c.phase)
				}
			})
		})
	}
}

// A second attempt that times out in a stage: the sentence tells it from silence.
func TestMaskedTimeoutSaysWhichStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p := newNetwork(t), newPeers(t)
		n.host(first, talking(5*ms, stalls))
		n.host(second, talking(5*ms, secure(400*ms, p.good, mute)))
		r := raceIn(t, n, RaceRequest{Target: literals(2), Options: Options{Criterion: p.wants(), AttemptTimeout: 500 * ms}})
		wantOutcomes(t, r, sched.OutcomeTimedOut, sched.OutcomeWon)
		const sentence = "did not work: " + first + " (timed out in the TLS handshake after 500ms)"
		if got := r.Masked.Summary(r.Winner); got != sentence {
			t.Errorf("the summary is %q, want %q", got, sentence)
		}
	})
}

// In the grace losers go on with their stages, and say what they would have come to:
// one is done, one fails, one is cut short.
func TestGraceWithStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p := newNetwork(t), newPeers(t)
		n.host("192.0.2.1:443", talking(5*ms, secure(25*ms, p.good, mute)))
		n.host("192.0.2.2:443", talking(5*ms, secure(95*ms, p.good, mute)))
		n.host("192.0.2.3:443", talking(5*ms, secure(75*ms, p.certificate(netlab.Expired, "site.example"), mute)))
		n.host("192.0.2.4:443", talking(5*ms, stalls))
		n.host("192.0.2.5:443", talking(50*ms, secure(25*ms, p.good, mute))) // its TCP is up in the grace
		r := raceIn(t, n, RaceRequest{Target: literals(5), Options: Options{
			Criterion: p.wants(), Strategy: sched.AllAtOnce, Grace: 200 * ms,
		}})
		wantOutcomes(t, r, sched.OutcomeWon, sched.OutcomeConnectedLate, sched.OutcomeFailed, sched.OutcomeCancelled, sched.OutcomeConnectedLate)
		wantIfFirst(t, r, new(0*ms), new(70*ms), nil, nil, new(45*ms))
		for i, want := range []string{
			"tcp_connect 0s+5ms, tls_handshake 5ms+25ms",
			"tcp_connect 0s+5ms, tls_handshake 5ms+95ms",
			"tcp_connect 0s+5ms, tls_handshake 5ms+75ms failed",
			"tcp_connect 0s+5ms, tls_handshake 5ms+225ms",
			"tcp_connect 0s+50ms, tls_handshake 50ms+25ms",
		} {
			wantPhases(t, &r.Candidates[i], want)
		}
		if r.Duration != 230*ms || r.Cost != (Cost{Attempts: 5, Connected: 3, Dropped: 2}) {
			t.Errorf("it took %v and cost %+v", r.Duration, r.Cost)
		}
	})
}

// Protected DNS, and a client that can use and relies on what an HTTPS record says: no
// ClientHello before that has come (H3-51, H3-56).
func TestClientHelloWaitsForServiceInformation(t *testing.T) {
	for flags := range 8 {
		service := sched.Service{Protected: flags&1 > 0, Usable: flags&2 > 0, Relied: flags&4 > 0}
		synctest.Test(t, func(t *testing.T) {
			n, p := newNetwork(t), newPeers(t)
			https := sched.Question{Name: "site.example", Type: sched.HTTPS}
			n.names[https] = reply{after: 400 * ms, answer: resolve.Answer{Status: sched.NotFound}}
			var hello time.Duration
			began := time.Now()
			n.host(first, talking(5*ms, func(c *wireEnd) {
				_, _ = c.Read(make([]byte, 1))
				hello = time.Since(began)
			}))
			plan := mustPlan(t, RaceRequest{Target: literals(1), Options: Options{Criterion: p.wants()}})
			plan.cfg.Questions, plan.asked, plan.cfg.Service = []sched.Question{https}, []origin{{}}, service
			e := newEngineIn(t, n, plan, false)
			e.run(t.Context())
			want := 55 * ms // RFC 8305's Resolution Delay, and TCP
			if flags == 7 {
				want = 400 * ms
			}
			if hello != want {
				t.Errorf("%+v: the ClientHello came at %v, want %v", service, hello, want)
			}
			if up := e.fold(0)[0].Attempts[0].Up; up != 55*ms {
				t.Errorf("%+v: TCP was up at %v", service, up)
			}
			n.checkClosed(t, nil)
		})
	}
}

// A probe's rounds count from the first: phases, when TCP was up and the rest.
func TestProbeWithStagesCountsFromTheFirstRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p := newNetwork(t), newPeers(t)
		n.host(first, talking(5*ms, secure(15*ms, p.good, mute)))
		r := probe(t.Context(), t, n, ProbeRequest{Target: literals(1), Rounds: 3, Options: ProbeOptions{Criterion: p.wants()}})
		for i, a := range r.Report.Candidates[0].Attempts {
			at := time.Duration(i) * time.Second
			want := fmt.Sprintf("tcp_connect %v+5ms, tls_handshake %v+15ms", at, at+5*ms)
			if got := phasesOf(&a); got != want || a.Up != at+5*ms || a.End != at+20*ms {
				t.Errorf("round %d: the phases are %q, want %q; TCP up at %v, end at %v", i+1, got, want, a.Up, a.End)
			}
		}
		if s := r.Report.Candidates[0].Stats; r.Report.Verdict != Reachable || !slices.Equal(s.Samples, []time.Duration{20 * ms, 20 * ms, 20 * ms}) {
			t.Errorf("it is %+v", s)
		}
	})
}

// What is moved is a copy, and what did not happen stays at 0.
func TestLaterMovesACopy(t *testing.T) {
	a := Attempt{
		Begun: true, Start: 1, Up: 2, End: 4, Noticed: 3, Deferral: &Deferral{Start: 0, Duration: 1},
		Stages: &sched.Stages{Phases: []sched.Phase{{Kind: sched.PhaseTLS, Start: 2, Duration: 2}}},
	}
	b := a.later(10)
	if b.Start != 11 || b.Up != 12 || b.End != 14 || b.Noticed != 13 || b.Deferral.Start != 10 || b.Deferral.Duration != 1 ||
		b.Stages.Phases[0] != (sched.Phase{Kind: sched.PhaseTLS, Start: 12, Duration: 2}) {
		t.Errorf("later it is %+v, %+v, %+v", b, b.Deferral, b.Stages)
	}
	if a.Deferral.Start != 0 || a.Stages.Phases[0].Start != 2 {
		t.Errorf("and the first one is %+v, %+v", a.Deferral, a.Stages)
	}
	if none := (Attempt{End: 1}).later(10); none.Start != 0 || none.Up != 0 || none.Noticed != 0 || none.End != 11 {
		t.Errorf("one that never left is %+v", none)
	}
}

// A stage that panics ends its attempt, which is this host's fault and not masked;
// the race goes on, and somebody is told.
func TestPanicInAStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p := newNetwork(t), newPeers(t)
		n.host(first, host{after: 5 * ms, fragile: true})
		n.host(second, talking(5*ms, secure(5*ms, p.good, mute)))
		r := raceIn(t, n, RaceRequest{Target: literals(2), Options: Options{Criterion: p.wants()}})
		wantOutcomes(t, r, sched.OutcomeFailed, sched.OutcomeWon)
		if f := r.Candidates[0].Attempts[0].Failure; f.Fault != sched.FaultHost || !strings.Contains(f.Text, "bug") {
			t.Errorf("the failure is %+v", f)
		}
		if len(n.panicked) != 1 || n.panicked[0] != "it is fragile" || len(r.Masked.Addresses) > 0 {
			t.Errorf("panics are %v, masked are %v", n.panicked, r.Masked.Addresses)
		}
	})
}

// Dial hands over TLS that can be spoken over, and nothing else stays open, also of
// those whose handshake was done in the same moment.
func TestDialWithTLS(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			n, p := newNetwork(t), newPeers(t)
			for _, c := range literals(4).Candidates {
				n.host(c.Endpoint, talking(5*ms, secure(15*ms, p.good, echo)))
			}
			n.host("192.0.2.4:443", talking(5*ms, stalls))
			conn, r, err := n.racer().Dial(t.Context(), RaceRequest{
				Target: literals(4), Options: Options{Criterion: p.wants(), Strategy: sched.AllAtOnce},
			})
			must(t, err)
			checkRace(t, r)
			over, ok := conn.(*tls.Conn)
			if !ok || r.Winner.Position > 3 {
				t.Fatalf("the connection is a %T, %s won", conn, r.Winner.Endpoint)
			}
			n.checkClosed(t, over.NetConn())
			_, err = io.WriteString(conn, "hello")
			must(t, err)
			heard := make([]byte, 5)
			_, err = io.ReadFull(conn, heard)
			must(t, err)
			if string(heard) != "hello" {
				t.Errorf("it says %q", heard)
			}
			must(t, conn.Close())
			n.checkClosed(t, nil)
		})
	}
}

// A connection that was spoken over is for nobody: Dial says so before it does
// anything.
func TestDialIsForTLSAtTheMost(t *testing.T) {
	for _, c := range []Criterion{
		{HTTP: &HTTPCheck{}}, {Health: &HealthCheck{}}, {FirstByte: true}, {TLS: &TLSCheck{}, HTTP: &HTTPCheck{}},
	} {
		n := newNetwork(t)
		conn, r, err := n.racer().Dial(t.Context(), RaceRequest{Target: literals(1), Options: Options{Criterion: c}})
		wrong, ok := errors.AsType[*RequestError](err)
		if !ok || conn != nil || r != nil || len(wrong.Fields) != 1 || wrong.Fields[0].Field != "options.criterion" ||
			!strings.Contains(err.Error(), "use Race") {
			t.Errorf("Dial returns %v, %v and %v", conn, r, err)
		}
		if len(n.dialed) > 0 {
			t.Errorf("it connected to %v", n.dialed)
		}
	}
}

// The name that is verified is the target's, if the criterion has none of its own.
func TestTLSIsForTheTargetsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p := newNetwork(t), newPeers(t)
		n.resolves("site.example", sched.AAAA, 0)
		n.names[sched.Question{Name: "site.example", Type: sched.AAAA}] = reply{answer: resolve.Answer{Status: sched.NotFound, Failure: sched.Failure{Type: "host_not_found"}}}
		n.resolves("site.example", sched.A, 1*ms, "192.0.2.1")
		n.host(first, talking(5*ms, secure(15*ms, p.good, mute)))
		c := p.wants()
		c.TLS.ServerName = ""
		r := raceIn(t, n, RaceRequest{Target: Target{Name: "site.example:443"}, Options: Options{Criterion: c}})
		wantOutcomes(t, r, sched.OutcomeWon)
		if got := r.Winner.Won().Stages.TLS.ServerName; got != "site.example" {
			t.Errorf("asked for is %q", got)
		}
	})
}

// The caller's criterion is copied: what it is changed to later is of no effect.
func TestCriterionIsCopied(t *testing.T) {
	given := Criterion{
		TLS:  &TLSCheck{ServerName: "site.example", ALPN: []string{"a"}},
		HTTP: &HTTPCheck{Path: "/a", Statuses: []int{200}},
	}
	p := mustPlan(t, RaceRequest{Target: literals(1), Options: Options{Criterion: given}})
	asked := &HealthCheck{Service: "a"}
	health := mustPlan(t, RaceRequest{Target: literals(1), Options: Options{Criterion: Criterion{Health: asked}}})
	asked.Service = "b"
	given.TLS.ServerName, given.TLS.ALPN[0], given.HTTP.Path, given.HTTP.Statuses[0] = "b", "b", "/b", 201
	for _, c := range []Criterion{p.manner.criterion, p.options.Criterion} {
		if c.TLS.ServerName != "site.example" || c.TLS.ALPN[0] != "a" || c.HTTP.Path != "/a" || c.HTTP.Statuses[0] != 200 {
			t.Errorf("it is %+v, %+v", c.TLS, c.HTTP)
		}
	}
	if c := health.options.Criterion; c.Health.Service != "a" || c.TLS != nil || c.HTTP != nil {
		t.Errorf("it is %+v", c)
	}
}

// randomPeer does one of the things a peer can do, soon or late.
func (p *peers) randomPeer(rng *rand.Rand) host {
	up, then := time.Duration(1+rng.IntN(60))*ms, time.Duration(rng.IntN(80))*ms
	switch rng.IntN(9) {
	case 0:
		return silent
	case 1:
		return refuses(up)
	case 2:
		return talking(up, stalls)
	case 3:
		return talking(up, says(then, "\xff\xff garbage \r\n\r\n"))
	case 4:
		return talking(up, func(c *wireEnd) { time.Sleep(then); c.reset() })
	case 5:
		return talking(up, secure(then, p.certificate(netlab.Expired, "site.example"), mute))
	case 6:
		return host{after: up, fragile: true}
	default:
		return talking(up, secure(then, p.good, answers204(then)))
	}
}

// Random races with stages, ended at random moments: what must be true of every result
// is, and nothing stays open, in the room or as a goroutine, which the bubble sees.
func TestRandomRacesWithStages(t *testing.T) {
	seen := make(map[sched.Outcome]int)
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			n, p := newNetwork(t), newPeers(t)
			target := literals(1 + rng.IntN(5))
			for _, c := range target.Candidates {
				n.host(c.Endpoint, p.randomPeer(rng))
			}
			req := randomRequestIn(target, rng)
			req.Options.Criterion = p.wants()
			if rng.IntN(2) == 0 {
				req.Options.Criterion.HTTP = &HTTPCheck{}
			}
			racer := n.racer()
			ctx, stop := endsAtRandom(t.Context(), rng)
			defer stop()
			r, err := racer.Race(ctx, req)
			if err == nil {
				checkRace(t, r)
				for i := range r.Candidates {
					seen[r.Candidates[i].Outcome]++
				}
			} else if !errors.Is(err, errCause) {
				t.Error(err)
			}
			n.checkClosed(t, nil)
			checkRoomEmpty(t, racer)
			if t.Failed() {
				t.Fatalf("seed %d: %+v", seed, req)
			}
		})
	}
	for o := sched.OutcomeNotStarted; o <= sched.OutcomeRunning; o++ {
		if o != sched.OutcomeConnected && seen[o] == 0 {
			t.Errorf("no candidate was %s: %v", o, seen)
		}
	}
}

// randomRequestIn is a race in virtual time.
func randomRequestIn(target Target, rng *rand.Rand) RaceRequest {
	delay := time.Duration(10+rng.IntN(60)) * ms
	req := RaceRequest{Target: target, Options: Options{
		Strategy:       everyStrategy[rng.IntN(len(everyStrategy))],
		MaxBackups:     new(rng.IntN(4)),
		Grace:          time.Duration(rng.IntN(3)) * 40 * ms,
		AttemptTimeout: time.Duration(20+rng.IntN(200)) * ms,
		Timeout:        time.Duration(50+rng.IntN(500)) * ms,
		MaxInFlight:    rng.IntN(4),
	}}
	if s := req.Options.Strategy; s != sched.Sequential && s != sched.AllAtOnce {
		req.Options.AttemptDelay = &delay
	}
	return req
}

// endsAtRandom is a context of a caller who may leave, or have a deadline.
func endsAtRandom(ctx context.Context, rng *rand.Rand) (context.Context, func()) {
	moment := time.Duration(rng.IntN(200)) * ms
	switch rng.IntN(4) {
	case 0:
		ctx, cancel := context.WithCancelCause(ctx)
		timer := time.AfterFunc(moment, func() { cancel(errCause) })
		return ctx, func() { timer.Stop(); cancel(nil) }
	case 1:
		return context.WithTimeout(ctx, moment)
	default:
		return ctx, func() {}
	}
}
