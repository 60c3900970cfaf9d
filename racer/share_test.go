package racer

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/internal/connect"
	"github.com/connrace/connrace/internal/resolve"
	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// wantAlone holds that nothing of shared races is left.
func wantAlone(t *testing.T, n *network, r *Racer) {
	t.Helper()
	if len(r.shares.byWhat) > 0 {
		t.Errorf("shared are still %v", r.shares.byWhat)
	}
	n.checkClosed(t, nil)
	checkRoomEmpty(t, r)
}

// Identical races at the same time are one for the network, whoever asks for them. Each
// caller has the whole result, and says when he joined and how many there were.
func TestIdenticalRacesAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host(first, refuses(50*ms))
		n.host(second, connects(50*ms))
		r := n.racer()
		began := time.Now()
		var callers sync.WaitGroup
		for i := range 5 {
			callers.Go(func() {
				result, err := r.Race(t.Context(), RaceRequest{Target: literals(2), Share: true, Caller: fmt.Sprint(i)})
				must(t, err)
				checkRace(t, result)
				wantOutcomes(t, result, sched.OutcomeFailed, sched.OutcomeWon)
				joined := time.Duration(i) * 20 * ms
				if took := time.Since(began); took != 100*ms || !result.Start.Equal(began) || *result.Sharing != (Sharing{joined, 5}) {
					t.Errorf("caller %d after %v: %+v of a race begun at %v", i, took, result.Sharing, result.Start.Sub(began))
				}
			})
			synctest.Wait()
			time.Sleep(20 * ms)
		}
		callers.Wait()
		if len(n.dialed) != 2 {
			t.Errorf("dialed are %v", n.dialed)
		}
		wantAlone(t, n, r)
	})
}

// Each caller has the transcript or not, as he asked, also of a race that somebody else
// began who did not want it.
func TestSharedTranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host(first, connects(50*ms))
		r := n.racer()
		var callers sync.WaitGroup
		for _, without := range []bool{true, false, true} {
			callers.Go(func() {
				result, err := r.Race(t.Context(), RaceRequest{Target: literals(1), Share: true, NoTranscript: without})
				must(t, err)
				if (result.Transcript == nil) != without || result.Sharing.Callers != 3 {
					t.Errorf("without transcript %t: %d entries, %+v", without, len(result.Transcript), result.Sharing)
				}
			})
			synctest.Wait()
		}
		callers.Wait()
		if len(n.dialed) != 1 {
			t.Errorf("dialed are %v", n.dialed)
		}
		wantAlone(t, n, r)
	})
}

// Who does not ask for it shares nothing, and says nothing of it.
func TestSharingIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host(first, connects(50*ms))
		r := n.racer()
		var callers sync.WaitGroup
		for _, share := range []bool{true, false} {
			callers.Go(func() {
				result, err := r.Race(t.Context(), RaceRequest{Target: literals(1), Share: share})
				must(t, err)
				if (result.Sharing != nil) != share {
					t.Errorf("share %t: %+v", share, result.Sharing)
				}
			})
		}
		callers.Wait()
		if len(n.dialed) != 2 {
			t.Errorf("dialed are %v", n.dialed)
		}
		wantAlone(t, n, r)
	})
}

// A connection has one owner, so Dial shares nothing.
func TestDialSharesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host(first, connects(50*ms))
		r := n.racer()
		var callers sync.WaitGroup
		for range 2 {
			callers.Go(func() {
				conn, result, err := r.Dial(t.Context(), RaceRequest{Target: literals(1), Share: true})
				must(t, err)
				must(t, conn.Close())
				if result.Sharing != nil {
					t.Errorf("it shared: %+v", result.Sharing)
				}
			})
		}
		callers.Wait()
		if len(n.conns) != 2 {
			t.Errorf("%d connections", len(n.conns))
		}
		wantAlone(t, n, r)
	})
}

// wantSame holds that two requests may be one race, or may not.
func wantSame(t *testing.T, what string, a, b RaceRequest, same bool) {
	t.Helper()
	id := func(req RaceRequest) (string, func(RaceRequest) bool) {
		p, err := req.plan()
		must(t, err)
		what, roots := identity(&req, p)
		return what, func(other RaceRequest) bool { return roots.Equal(rootsOf(other)) }
	}
	one, roots := id(a)
	two, _ := id(b)
	if got := one == two && roots(b); got != same {
		t.Errorf("%s: the requests are the same: %t", what, got)
	}
}

// What changes anything about a race or its result tells requests apart; who asks, and
// what says the default in other words, does not.
func TestIdentity(t *testing.T) {
	base := func() RaceRequest {
		return RaceRequest{
			Target: Target{Candidates: []CandidateSpec{{Endpoint: first, Label: "a", ExpectedRTT: 5 * ms, PastConnects: []time.Duration{ms}}}},
			Options: Options{
				AttemptDelay: new(100 * ms), Criterion: Criterion{TLS: &TLSCheck{ServerName: "site.example", ALPN: []string{"a", "h2"}}},
			},
		}
	}
	roots := newPeers(t).authority
	for what, change := range map[string]func(*RaceRequest){
		"endpoint": func(r *RaceRequest) { r.Target.Candidates[0].Endpoint = second },
		"one more": func(r *RaceRequest) {
			r.Target.Candidates = append(r.Target.Candidates, CandidateSpec{Endpoint: second})
		},
		"a name":           func(r *RaceRequest) { r.Target = Target{Name: first} },
		"label":            func(r *RaceRequest) { r.Target.Candidates[0].Label = "b" },
		"expected RTT":     func(r *RaceRequest) { r.Target.Candidates[0].ExpectedRTT = 6 * ms },
		"past connects":    func(r *RaceRequest) { r.Target.Candidates[0].PastConnects = nil },
		"family":           func(r *RaceRequest) { r.Selection.PreferredFamily = addrsel.FamilyIPv4 },
		"only family":      func(r *RaceRequest) { r.Selection.OnlyFamily = addrsel.FamilyIPv4 },
		"resolution delay": func(r *RaceRequest) { r.Selection.ResolutionDelay = new(0 * ms) },
		"strategy":         func(r *RaceRequest) { r.Options.Strategy = sched.FirstThenAll },
		"version":          func(r *RaceRequest) { r.Options.Version = sched.V2 },
		"attempt delay":    func(r *RaceRequest) { r.Options.AttemptDelay = new(101 * ms) },
		"multiplier":       func(r *RaceRequest) { r.Options.DelayMultiplier = 2 },
		"backups":          func(r *RaceRequest) { r.Options.MaxBackups = new(0) },
		"grace":            func(r *RaceRequest) { r.Options.Grace = 1 },
		"attempt timeout":  func(r *RaceRequest) { r.Options.AttemptTimeout = time.Second },
		"timeout":          func(r *RaceRequest) { r.Options.Timeout = time.Second },
		"in flight":        func(r *RaceRequest) { r.Options.MaxInFlight = 1 },
		"no TLS":           func(r *RaceRequest) { r.Options.Criterion.TLS = nil },
		"server name":      func(r *RaceRequest) { r.Options.Criterion.TLS.ServerName = "other.example" },
		"ALPN":             func(r *RaceRequest) { r.Options.Criterion.TLS.ALPN = []string{"b"} },
		"roots":            func(r *RaceRequest) { r.Options.Criterion.TLS.Roots = roots.Pool() },
		"HTTP":             func(r *RaceRequest) { r.Options.Criterion.HTTP = &HTTPCheck{} },
		"health":           func(r *RaceRequest) { r.Options.Criterion.Health = &HealthCheck{} },
		"first byte":       func(r *RaceRequest) { r.Options.Criterion.FirstByte = true },
		"source":           func(r *RaceRequest) { r.Options.Source.IPv4 = source4 },
		"mark":             func(r *RaceRequest) { r.Options.Source.Mark = 1 },
		"FIN":              func(r *RaceRequest) { r.Options.CloseWithFIN = true },
	} {
		changed := base()
		change(&changed)
		wantSame(t, what, base(), changed, false)
		same := base()
		change(&same)
		wantSame(t, what+", twice", changed, same, true)
	}
	for what, change := range map[string]func(*RaceRequest){
		"nothing": func(*RaceRequest) {},
		"caller":  func(r *RaceRequest) { r.Caller = "b" },
		"the default said": func(r *RaceRequest) {
			r.Options.AttemptTimeout, r.Options.MaxInFlight, r.Options.MaxBackups = DefaultAttemptTimeout, DefaultMaxInFlight, new(DefaultMaxBackups)
			r.Selection.ResolutionDelay = new(sched.DefaultResolutionDelay)
		},
	} {
		changed := base()
		change(&changed)
		wantSame(t, what, base(), changed, true)
	}
	with := func(change func(*RaceRequest)) RaceRequest { r := base(); change(&r); return r }
	trusting := func(p *peers) RaceRequest {
		return with(func(r *RaceRequest) { r.Options.Criterion.TLS.Roots = p.authority.Pool() })
	}
	wantSame(t, "other roots", trusting(newPeers(t)), trusting(newPeers(t)), false)
	for _, bytes := range []func(*RaceRequest, string){ // that are no UTF-8, and so all the same to JSON
		func(r *RaceRequest, s string) { r.Target.Candidates[0].Label = s },
		func(r *RaceRequest, s string) { r.Options.Criterion.TLS.ALPN[0] = s },
		func(r *RaceRequest, s string) { r.Options.Source.Interface = s },
	} {
		wantSame(t, "other bytes", with(func(r *RaceRequest) { bytes(r, "\xfa") }), with(func(r *RaceRequest) { bytes(r, "\xfb") }), false)
	}
	// One is warned that its delay became 2 s, the other has asked for that.
	wantSame(t, "other warnings",
		with(func(r *RaceRequest) { r.Options.AttemptDelay = new(5 * time.Second) }),
		with(func(r *RaceRequest) { r.Options.AttemptDelay = new(2 * time.Second) }), false)
}

// rootsOf compares as a request's do.
func rootsOf(req RaceRequest) (roots *x509.CertPool) {
	if tls := req.Options.Criterion.TLS; tls != nil {
		roots = tls.Roots
	}
	return roots
}

// Races that differ in their roots alone, with the same everything else, are several,
// and each can be joined.
func TestDifferentRacesAreSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, one, two := newNetwork(t), newPeers(t), newPeers(t)
		n.host(first, talking(5*ms, secure(15*ms, one.good, mute)))
		r := n.racer()
		var callers sync.WaitGroup
		for i := range 6 {
			p := []*peers{one, two}[i%2]
			callers.Go(func() {
				result, err := r.Race(t.Context(), RaceRequest{Target: literals(1), Options: Options{Criterion: p.wants()}, Share: true})
				must(t, err)
				checkRace(t, result)
				if won := result.Winner != nil; won != (p == one) || result.Sharing.Callers != 3 {
					t.Errorf("with roots %d of two it is %s, %+v", i%2+1, result.End, result.Sharing)
				}
			})
		}
		callers.Wait()
		if len(n.dialed) != 2 {
			t.Errorf("dialed are %v", n.dialed)
		}
		wantAlone(t, n, r)
	})
}

// The first caller may leave, and gets his cause at once; the others get the result.
func TestFirstCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host(first, connects(100*ms))
		r := n.racer()
		req := RaceRequest{Target: literals(1), Share: true}
		began := time.Now()
		var callers sync.WaitGroup
		callers.Go(func() {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(50*ms, func() { cancel(errCause) })
			if result, err := r.Race(ctx, req); result != nil || !errors.Is(err, errCause) || time.Since(began) != 50*ms {
				t.Errorf("after %v the first caller gets %v and %v", time.Since(began), result, err)
			}
		})
		time.Sleep(20 * ms)
		callers.Go(func() {
			result, err := r.Race(t.Context(), req)
			must(t, err)
			checkRace(t, result)
			if result.End != sched.EndWon || *result.Sharing != (Sharing{20 * ms, 2}) || time.Since(began) != 100*ms {
				t.Errorf("%s after %v: %+v", result.End, time.Since(began), result.Sharing)
			}
		})
		callers.Wait()
		if len(n.dialed) != 1 {
			t.Errorf("dialed are %v", n.dialed)
		}
		wantAlone(t, n, r)
	})
}

// When all have left the race is stopped at that moment, and the next one begins anew.
func TestAllCallersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host(first, host{silent: true, stubborn: true})
		r := n.racer()
		req := RaceRequest{Target: literals(1), Share: true}
		began := time.Now()
		var callers sync.WaitGroup
		for i := range 3 {
			callers.Go(func() {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Duration(i+1)*10*ms, func() { cancel(errCause) })
				if _, err := r.Race(ctx, req); !errors.Is(err, errCause) {
					t.Errorf("caller %d gets %v", i, err)
				}
			})
		}
		callers.Wait()
		if took := time.Since(began); took != 30*ms || len(n.conns) != 1 {
			t.Errorf("the last one left after %v with %d connections made", took, len(n.conns))
		}
		wantAlone(t, n, r)
		n.host(first, connects(5*ms))
		result, err := r.Race(t.Context(), req)
		must(t, err)
		if *result.Sharing != (Sharing{0, 1}) || len(n.dialed) != 2 {
			t.Errorf("the next one: %+v, dialed are %v", result.Sharing, n.dialed)
		}
		wantAlone(t, n, r)
	})
}

// One who has left before it begins makes nothing begin.
func TestSharedAndCancelledBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		r := n.racer()
		r.attempts = func(connect.Race) connect.Attempts { panic("a race begins") }
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errCause)
		if _, err := r.Race(ctx, RaceRequest{Target: literals(1), Share: true}); !errors.Is(err, errCause) {
			t.Errorf("the error is %v", err)
		}
		wantAlone(t, n, r)
	})
}

// A caller whose deadline is near gets how the race stands, with the outcome of every
// candidate: failed, under way, waiting for a place and not yet tried; and the question
// that is open. The others go on, and know nothing of it.
func TestDeadlineOfOneCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.limits = Limits{InFlight: 2}
		slow := sched.Question{Name: "slow.example", Type: sched.AAAA}
		n.names[slow] = reply{never: true}
		n.names[sched.Question{Name: "slow.example", Type: sched.A}] = reply{never: true}
		n.host("192.0.2.1:443", refuses(10*ms))
		n.host("192.0.2.2:443", connects(400*ms))
		n.host("192.0.2.3:443", silent)
		target := literals(5)
		target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: "slow.example:443"})
		req := RaceRequest{Target: target, Share: true, Options: Options{AttemptDelay: new(50 * ms), MaxBackups: new(0)}}
		r := n.racer()
		began := time.Now()
		var callers sync.WaitGroup
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 170*ms)
			defer cancel()
			result, err := r.Race(ctx, req)
			must(t, err)
			checkRace(t, result)
			if result.End != sched.EndDeadlineNear || result.Duration != 170*ms || time.Since(began) != 170*ms || *result.Sharing != (Sharing{0, 2}) {
				t.Errorf("%s after %v, at %v: %+v", result.End, result.Duration, time.Since(began), result.Sharing)
			}
			wantOutcomes(t, result, sched.OutcomeFailed, sched.OutcomeRunning, sched.OutcomeRunning, sched.OutcomeNotStarted, sched.OutcomeNotStarted)
			if got, want := waits(result), "-, -, -, 160ms+10ms in_flight"; got != want {
				t.Errorf("waits are %s, want %s", got, want)
			}
			if q := result.Queries; len(q) != 2 || q[0].Answered || q[1].Answered {
				t.Errorf("the questions are %+v", q)
			}
		})
		synctest.Wait()
		callers.Go(func() {
			result, err := r.Race(t.Context(), req)
			must(t, err)
			checkRace(t, result)
			wantOutcomes(t, result, sched.OutcomeFailed, sched.OutcomeWon, sched.OutcomeCancelled)
			if result.End != sched.EndWon {
				t.Errorf("the other: %s after %v", result.End, result.Duration)
			}
		})
		callers.Wait()
		wantAlone(t, n, r)
	})
}

// A caller who can't wait is told of the stage under way, as he would be of a race of
// his own: which it is, since when, and what those before it have brought. What the race
// tells of its stages in the end does not change by that.
func TestStageUnderWayOfOneCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p := newNetwork(t), newPeers(t)
		n.host(first, talking(10*ms, secure(20*ms, p.good, func(c net.Conn) {
			time.Sleep(100 * ms)
			_, _ = io.WriteString(c, "2")
			mute(c)
		})))
		req := RaceRequest{Target: literals(1), Options: Options{Criterion: p.wants(), MaxBackups: new(0)}}
		req.Options.Criterion.FirstByte = true
		r := n.racer()
		for _, share := range []bool{false, true} {
			req.Share = share
			var callers sync.WaitGroup
			for limit, want := range map[time.Duration]string{
				5 * ms:      "tcp_connect 0s+5ms",
				25 * ms:     "tcp_connect 0s+10ms, tls_handshake 10ms+15ms",
				50 * ms:     "tcp_connect 0s+10ms, tls_handshake 10ms+20ms, first_byte 30ms+20ms",
				time.Minute: "tcp_connect 0s+10ms, tls_handshake 10ms+20ms, first_byte 30ms+100ms",
			} {
				callers.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					result, err := r.Race(ctx, req)
					must(t, err)
					checkRace(t, result)
					wantPhases(t, &result.Candidates[0], want)
					a := result.Candidates[0].Attempts[0]
					if known := a.Stages != nil && a.Stages.TLS != nil && a.Stages.TLS.Verified; known != (limit > 30*ms) {
						t.Errorf("share %t, limit %v: of TLS is known %+v", share, limit, a.Stages)
					}
					if ended := limit == time.Minute; ended != (a.Outcome == sched.OutcomeWon) || !ended && a.Outcome != sched.OutcomeRunning {
						t.Errorf("share %t, limit %v: %s", share, limit, a.Outcome)
					}
				})
			}
			callers.Wait()
		}
		wantAlone(t, n, r)
	})
}

// In the grace it is known who has won, and a deadline then says so.
func TestDeadlineOfOneCallerInTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		req := graceful(n)
		req.Share = true
		r := n.racer()
		var callers sync.WaitGroup
		for _, limit := range []time.Duration{40 * ms, time.Minute} {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				result, err := r.Race(ctx, req)
				must(t, err)
				checkRace(t, result)
				ends := min(limit, 1020*ms)
				if result.End != sched.EndWon || result.Winner.Endpoint.String() != second || result.Duration != ends {
					t.Errorf("%s after %v: %+v", result.End, result.Duration, result.Winner)
				}
			})
		}
		callers.Wait()
		wantAlone(t, n, r)
	})
}

// A deadline that has passed before it begins gives a result all the same.
func TestSharedWithDeadlinePassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host(first, silent)
		r := n.racer()
		ctx, cancel := context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		result, err := r.Race(ctx, RaceRequest{Target: literals(1), Share: true})
		must(t, err)
		checkRace(t, result)
		if result.End != sched.EndDeadlineNear || len(result.Candidates) != 1 || result.Duration != 0 {
			t.Errorf("%s after %v with %d candidates", result.End, result.Duration, len(result.Candidates))
		}
		wantAlone(t, n, r)
	})
}

// A panic of a shared race is one for each of its callers, who can each catch it.
func TestPanicReachesEveryCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.everyHost(literals(2), silent)
		r := n.racer()
		n.breaks(r, 1) // after 250 ms
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				defer func() {
					if v := fmt.Sprint(recover()); !strings.Contains(v, errCause.Error()) || !strings.Contains(v, "bursting") {
						t.Errorf("the panic is %s", v)
					}
				}()
				result, err := r.Race(t.Context(), RaceRequest{Target: literals(2), Share: true})
				t.Errorf("it returns %v and %v", result, err)
			})
			time.Sleep(10 * ms)
		}
		callers.Wait()
		wantAlone(t, n, r)
	})
}

// dawdles gives slow.example to the racer, a name with one address. The question for
// the other kind is open until it is given up, and that takes 50 ms.
func (n *network) dawdles(r *Racer) {
	n.names[sched.Question{Name: "slow.example", Type: sched.AAAA}] = reply{never: true}
	n.resolves("slow.example", sched.A, 0, "192.0.2.1")
	lookup := r.lookup
	r.lookup = func(ctx context.Context, q sched.Question, sent func()) resolve.Answer {
		answer := lookup(ctx, q, sent)
		if q.Type == sched.AAAA {
			time.Sleep(50 * ms)
		}
		return answer
	}
}

// A race whose last caller has left takes its time to end. Who comes in that time does
// not join it: its race would be over before it has begun.
func TestNobodyJoinsARaceThatIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host(first, connects(100*ms))
		r := n.racer()
		n.dawdles(r)
		req := RaceRequest{Target: Target{Name: "slow.example:443"}, Share: true}
		var callers sync.WaitGroup
		callers.Go(func() {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(60*ms, func() { cancel(errCause) })
			if _, err := r.Race(ctx, req); !errors.Is(err, errCause) {
				t.Errorf("the error is %v", err)
			}
		})
		time.Sleep(80 * ms)
		result, err := r.Race(t.Context(), req)
		must(t, err)
		checkRace(t, result)
		if result.End != sched.EndWon || *result.Sharing != (Sharing{0, 1}) {
			t.Errorf("%s: %+v", result.End, result.Sharing)
		}
		callers.Wait()
		wantAlone(t, n, r)
	})
}

// After the end nobody joins: the next race begins in that moment. While the last
// goroutines of one that is over end, it may be joined, and not later than it ended.
func TestNobodyJoinsARaceThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host(first, connects(100*ms))
		r := n.racer()
		n.dawdles(r)
		req := RaceRequest{Target: Target{Name: "slow.example:443"}, Share: true}
		var callers sync.WaitGroup
		for _, c := range []struct {
			at     time.Duration
			joined time.Duration
			count  int
		}{{0, 0, 2}, {170 * ms, 150 * ms, 2}, {31 * ms, 0, 1}} {
			time.Sleep(c.at)
			callers.Go(func() {
				result, err := r.Race(t.Context(), req)
				must(t, err)
				if result.Duration != 150*ms || *result.Sharing != (Sharing{c.joined, c.count}) {
					t.Errorf("at %v: %+v after %v", c.at, result.Sharing, result.Duration)
				}
			})
			synctest.Wait()
		}
		callers.Wait()
		if len(n.dialed) != 2 {
			t.Errorf("dialed are %v", n.dialed)
		}
		wantAlone(t, n, r)
	})
}

// Asking how a race stands changes nothing about it: with many callers whose deadlines
// come at random moments it is the very transcript that it is alone. What each of them
// gets is whole, and what had happened until then.
func TestStandingChangesNothing(t *testing.T) {
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			alone := newSharedWorld(t, seed)
			want, err := alone.net.racer().Race(t.Context(), alone.req)
			must(t, err)
			w := newSharedWorld(t, seed)
			w.req.Share = true
			r := w.net.racer()
			var callers sync.WaitGroup
			for i := range 8 {
				limit := time.Duration(w.rng.IntN(int(want.Duration/ms)+2)) * ms
				if i == 0 {
					limit = time.Hour
				}
				callers.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					result, err := r.Race(ctx, w.req)
					must(t, err)
					checkRace(t, result)
					if got, want := until(result.Transcript, limit), until(want.Transcript, limit); !slices.Equal(got, want) {
						t.Errorf("seed %d, until %v:\n%q\nwithout other callers:\n%q", seed, limit, got, want)
					}
					if i == 0 && result.End != want.End || i > 0 && result.Duration > limit {
						t.Errorf("seed %d, limit %v: %s after %v", seed, limit, result.End, result.Duration)
					}
				})
				synctest.Wait() // the first is the one that stays
			}
			callers.Wait()
			wantAlone(t, w.net, r)
		})
	}
}

// sharedWorld is a request and its network, the same for the same seed.
type sharedWorld struct {
	net *network
	req RaceRequest
	rng *rand.Rand
}

func newSharedWorld(t *testing.T, seed uint64) *sharedWorld {
	rng := rand.New(rand.NewPCG(seed, 13))
	n := newNetwork(t)
	n.limits = Limits{InFlight: rng.IntN(4)}
	target := literals(2 + rng.IntN(4))
	for i, c := range target.Candidates {
		// No two things happen in the same moment: their order would be open.
		after := time.Duration(1+rng.IntN(150))*ms + time.Duration(i+1)*time.Microsecond
		n.host(c.Endpoint, []host{silent, refuses(after), connects(after + 200*ms)}[rng.IntN(3)])
	}
	req := randomRequestIn(target, rng)
	if s := req.Options.Strategy; s == sched.AllAtOnce || s == sched.FirstThenAll || *req.Options.MaxBackups > 0 {
		req.Options.AttemptTimeout = req.Options.Timeout + ms // or two time out in one moment
	}
	req.Options.AttemptTimeout += 3 * time.Nanosecond
	return &sharedWorld{net: n, req: req, rng: rng}
}

// until is what happened before that, each moment in an order of its own: what goroutines
// do in the same moment has none.
func until(entries []Entry, limit time.Duration) (lines []string) {
	for _, e := range entries {
		if e.At < limit {
			lines = append(lines, fmt.Sprintf("%012d %s %s", e.At, e.Endpoint, e.Entry))
		}
	}
	slices.Sort(lines)
	return lines
}

// Callers that come and go at random, many at once, for three races: each gets what is
// due to him, a race is dialed once for all that overlap, and nothing is left.
func TestCallersComeAndGo(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 17))
			n := newNetwork(t)
			n.host("192.0.2.1:443", connects(40*ms))
			n.host("192.0.2.2:443", host{silent: true, stubborn: true})
			n.host("192.0.2.3:443", refuses(40*ms))
			r := n.racer()
			var callers sync.WaitGroup
			ends := make([]sched.EndReason, 200)
			for i := range ends {
				req := RaceRequest{
					Target:  Target{Name: literals(3).Candidates[rng.IntN(3)].Endpoint},
					Options: Options{AttemptTimeout: 60 * ms, MaxBackups: new(0)}, Caller: fmt.Sprint(i), Share: true,
				}
				ctx, stop := endsAtRandom(t.Context(), rng)
				callers.Go(func() {
					defer stop()
					result, err := r.Race(ctx, req)
					if errors.Is(err, errCause) {
						return
					}
					must(t, err)
					checkRace(t, result)
					if result.Sharing.Callers < 1 || result.Sharing.Joined > result.Duration {
						t.Errorf("after %v: %+v", result.Duration, result.Sharing)
					}
					ends[i] = result.End
				})
				if rng.IntN(3) == 0 {
					time.Sleep(time.Duration(rng.IntN(12)) * ms)
				}
			}
			callers.Wait()
			for _, want := range []sched.EndReason{sched.EndNone, sched.EndWon, sched.EndExhausted, sched.EndDeadlineNear} {
				if !slices.Contains(ends, want) {
					t.Errorf("seed %d: nobody ends %q", seed, want)
				}
			}
			wantAlone(t, n, r)
			wantNotAtOnce(t, n)
		})
	}
}

// wantNotAtOnce holds that no host was dialed by two races at once. One whose last
// caller has left may still be closing in the moment in which the next begins.
func wantNotAtOnce(t *testing.T, n *network) {
	t.Helper()
	for p, most := range n.most {
		if p.IsSingleIP() && most > 2 {
			t.Errorf("%d at once to %s", most, p)
		}
	}
	if n.most[netip.MustParsePrefix("192.0.2.1/32")] == 0 {
		t.Error("nobody was dialed")
	}
}
