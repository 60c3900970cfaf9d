package racer

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/racer/sched"
)

// dnsWorld is a scripted name server, a Racer that asks it and a server that
// accepts at 127.0.0.1.
type dnsWorld struct {
	dns   *netlab.DNS
	racer *Racer
	good  *netlab.Host
}

func newDNSWorld(t *testing.T) *dnsWorld {
	t.Helper()
	d, err := netlab.StartDNS(netip.MustParseAddrPort("127.0.0.1:0"))
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	h, err := netlab.Accept(netip.MustParseAddrPort("127.0.0.1:0"))
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	return &dnsWorld{dns: d, racer: New(Config{DNSServer: d.Addr()}), good: h}
}

// target is a name at the server's port.
func (w *dnsWorld) target(name string) Target {
	return Target{Name: fmt.Sprintf("%s:%d", name, w.good.Addr().Port())}
}

func (w *dnsWorld) race(t *testing.T, req RaceRequest) *RaceResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := w.racer.Race(ctx, req)
	must(t, err)
	checkRace(t, r)
	return r
}

// here is the answer with the server's address.
func (w *dnsWorld) here() netlab.Answer {
	return netlab.Answer{Addrs: []netip.Addr{w.good.Addr().Addr()}}
}

// AAAA leaves first and A right after, each time (H2-02).
func TestAAAALeavesBeforeA(t *testing.T) {
	const rounds = 100
	w := newDNSWorld(t)
	w.dns.Set("two.example", netlab.Answers{A: w.here()})
	for range rounds {
		_, err := w.racer.ResolveAndRank(t.Context(), RankRequest{Target: w.target("two.example.")})
		must(t, err)
	}
	log := w.dns.Log()
	if len(log) != 2*rounds {
		t.Fatalf("%d questions, want %d", len(log), 2*rounds)
	}
	ahead := 0
	for i := 0; i < len(log); i += 2 {
		if log[i].Type == "A" {
			ahead++
		}
	}
	if ahead > 0 {
		t.Errorf("A left before AAAA %d times out of %d", ahead, rounds)
	}
}

// Both types are asked for (H2-01), and A does not wait for AAAA's answer (H2-02).
func TestBothTypesAreAskedAtOnce(t *testing.T) {
	w := newDNSWorld(t)
	w.dns.Set("two.example", netlab.Answers{A: w.here(), AAAA: netlab.Answer{Drop: true}})
	r := w.race(t, RaceRequest{Target: w.target("two.example.")})
	var types []string
	for _, q := range w.dns.Log() {
		types = append(types, q.Type)
	}
	slices.Sort(types)
	if want := []string{"A", "AAAA"}; !slices.Equal(slices.Compact(types), want) {
		t.Errorf("asked were %v, want %v", types, want)
	}
	if q := r.Queries; q[0].Type != sched.AAAA || q[1].Type != sched.A || q[0].Answered || !q[1].Answered {
		t.Errorf("queries are %+v", q)
	}
}

// A comes at once and AAAA after 30 ms: the first attempt waits for it, and is
// IPv6's (H2-06, H2-07). A long Resolution Delay keeps a busy machine out of it.
func TestWaitsForAAAA(t *testing.T) {
	const late = 30 * time.Millisecond
	w := newDNSWorld(t)
	w.dns.Set("two.example", netlab.Answers{
		A:    netlab.Answer{Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
		AAAA: netlab.Answer{Addrs: []netip.Addr{netip.IPv6Loopback()}, Delay: late},
	})
	delay := MaxResolutionDelay
	r := w.race(t, RaceRequest{Target: w.target("two.example."), Selection: Selection{ResolutionDelay: &delay}})
	first := firstStart(t, &r.Run)
	aaaa := r.Queries[0]
	if first.At < aaaa.Start+aaaa.Duration || aaaa.Duration < late {
		t.Errorf("%s started at %v, AAAA was answered after %v", first.Endpoint, first.At, aaaa.Duration)
	}
	// Where a container lacks ::1, RFC 6724 puts it last: it has no source.
	if best := r.Candidates[0]; first.Endpoint != best.Endpoint || best.Source.Is6() != best.Endpoint.Addr().Is6() {
		t.Errorf("%s started first, and %s ranks first", first.Endpoint, best.Endpoint)
	}
	if first.At > aaaa.Start+aaaa.Duration+delay/2 {
		t.Errorf("the first attempt started at %v, long after AAAA's answer", first.At)
	}
}

// firstStart is the first attempt asked for.
func firstStart(t *testing.T, r *Run) Entry {
	t.Helper()
	i := slices.IndexFunc(r.Transcript, func(e Entry) bool { return e.Action.Kind == sched.Start })
	if i < 0 {
		t.Fatal("nothing was started")
	}
	return r.Transcript[i]
}

// AAAA is lost: IPv4 goes on when the Resolution Delay is over, not before
// (H2-08b), and the race does not wait for the answer when it is won.
func TestGoesOnWithoutAAAA(t *testing.T) {
	w := newDNSWorld(t)
	w.dns.Set("lost.example", netlab.Answers{A: w.here(), AAAA: netlab.Answer{Drop: true}})
	r := w.race(t, RaceRequest{Target: w.target("lost.example.")})
	a := r.Queries[1]
	if first := firstStart(t, &r.Run); r.End != sched.EndWon || first.At < a.Start+a.Duration+sched.DefaultResolutionDelay {
		t.Errorf("%s, the first attempt started at %v and A was answered at %v", r.End, first.At, a.Start+a.Duration)
	}
	if r.Queries[0].Answered || r.Duration > 4*time.Second {
		t.Errorf("it took %v, AAAA: %+v", r.Duration, r.Queries[0])
	}
}

// A is lost, and IPv6 does not wait for it (H2-03, H2-04).
func TestDoesNotWaitForA(t *testing.T) {
	w := newDNSWorld(t)
	w.dns.Set("six.example", netlab.Answers{
		A: netlab.Answer{Drop: true}, AAAA: netlab.Answer{Addrs: []netip.Addr{netip.IPv6Loopback()}},
	})
	r := w.race(t, RaceRequest{Target: w.target("six.example."), Options: Options{Timeout: time.Second}})
	if first := firstStart(t, &r.Run); !first.Endpoint.Addr().Is6() || r.Queries[1].Answered {
		t.Errorf("%s started at %v, A: %+v", first.Endpoint, first.At, r.Queries[1])
	}
}

// There is no AAAA record: IPv4 goes on at once (H2-08a), whatever the delay.
func TestNoAAAARecord(t *testing.T) {
	w := newDNSWorld(t)
	w.dns.Set("four.example", netlab.Answers{A: w.here()})
	w.dns.Set("broken.example", netlab.Answers{A: w.here(), AAAA: netlab.Answer{RCode: dnsmessage.RCodeServerFailure}})
	delay := MaxResolutionDelay
	for name, status := range map[string]sched.Answer{"four.example.": sched.NotFound, "broken.example.": sched.Broken} {
		r := w.race(t, RaceRequest{Target: w.target(name), Selection: Selection{ResolutionDelay: &delay}})
		aaaa, a := r.Queries[0], r.Queries[1]
		if r.End != sched.EndWon || !aaaa.Answered || aaaa.Status != status {
			t.Errorf("%s: %s, AAAA: %+v", name, r.End, aaaa)
		}
		if first := firstStart(t, &r.Run); first.At >= a.Start+a.Duration+delay {
			t.Errorf("%s: the first attempt started at %v", name, first.At)
		}
	}
}

func TestNameNotFound(t *testing.T) {
	w := newDNSWorld(t)
	r := w.race(t, RaceRequest{Target: w.target("gone.example.")})
	if r.End != sched.EndNameNotFound || len(r.Candidates) != 0 {
		t.Errorf("%s with %d candidates", r.End, len(r.Candidates))
	}
	for _, q := range r.Queries {
		if q.Status != sched.NotFound || q.Failure.Type != "host_not_found" {
			t.Errorf("%s: %+v", q.Type, q)
		}
	}
}

func TestNameServerFails(t *testing.T) {
	w := newDNSWorld(t)
	broken := netlab.Answer{RCode: dnsmessage.RCodeServerFailure}
	w.dns.Set("broken.example", netlab.Answers{A: broken, AAAA: broken})
	r := w.race(t, RaceRequest{Target: w.target("broken.example.")})
	if r.End != sched.EndResolutionFailed || r.Queries[0].Failure.Type != "try_again" {
		t.Errorf("%s with %+v", r.End, r.Queries)
	}
}

// A caller who leaves while DNS is silent is not kept waiting.
func TestCancelWhileDNSIsSilent(t *testing.T) {
	w := newDNSWorld(t)
	w.dns.Set("lost.example", netlab.Answers{A: netlab.Answer{Drop: true}, AAAA: netlab.Answer{Drop: true}})
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(30*ms, func() { cancel(errCause) })
	began := time.Now()
	_, err := w.racer.Race(ctx, RaceRequest{Target: w.target("lost.example.")})
	if took := time.Since(began); err != errCause || took > 4*time.Second { //nolint:errorlint // it is to be the cause itself
		t.Errorf("%v after %v", err, took)
	}
}

// A watch follows the name to where it points now.
func TestWatchAsksAgain(t *testing.T) {
	w := newDNSWorld(t)
	w.dns.Set("moving.example", netlab.Answers{A: w.here()})
	var ends []sched.EndReason
	err := w.racer.Watch(t.Context(), ProbeRequest{Target: w.target("moving.example."), Interval: MinInterval},
		func(round int64, r *ProbeResult) error {
			ends = append(ends, r.End)
			w.dns.Set("moving.example", netlab.Answers{A: netlab.Answer{RCode: dnsmessage.RCodeNameError}, AAAA: netlab.Answer{RCode: dnsmessage.RCodeNameError}})
			if round == 2 {
				return errEnough
			}
			return nil
		})
	isEnough(t, err)
	if want := []sched.EndReason{sched.EndCompleted, sched.EndNameNotFound}; !slices.Equal(ends, want) {
		t.Errorf("rounds ended %v, want %v", ends, want)
	}
}
