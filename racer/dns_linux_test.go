package racer

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// goodHost is a server at 198.51.100.1 and 2001:db8:80::1, port 80.
func (w *world) goodHost(t *testing.T) {
	t.Helper()
	w.host(t, here4, link.Path{})
	w.host(t, here6, link.Path{})
}

// at80 is a name at the server's port.
func at80(name string) Target { return Target{Name: name + ":80"} }

// answer has addresses.
func answer(addrs ...netip.Addr) netlab.Answer { return netlab.Answer{Addrs: addrs} }

// AAAA leaves first and A right after, each time (H2-02).
func TestAAAALeavesBeforeA(t *testing.T) {
	const rounds = 100
	w := newWorld(t)
	w.goodHost(t)
	w.dns.Set("two.example", netlab.Answers{A: answer(here4)})
	for range rounds {
		_, err := w.racer.ResolveAndRank(t.Context(), RankRequest{Target: at80("two.example.")})
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
	w := newWorld(t)
	w.goodHost(t)
	w.dns.Set("two.example", netlab.Answers{A: answer(here4), AAAA: netlab.Answer{Drop: true}})
	r := w.race(t, RaceRequest{Target: at80("two.example.")})
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
	w := newWorld(t)
	w.goodHost(t)
	w.dns.Set("two.example", netlab.Answers{
		A:    answer(here4),
		AAAA: netlab.Answer{Addrs: []netip.Addr{here6}, Delay: late},
	})
	delay := MaxResolutionDelay
	r := w.race(t, RaceRequest{Target: at80("two.example."), Selection: Selection{ResolutionDelay: &delay}})
	first := firstStart(t, &r.Run)
	aaaa := r.Queries[0]
	if first.At < aaaa.Start+aaaa.Duration || aaaa.Duration < late {
		t.Errorf("%s started at %v, AAAA was answered after %v", first.Endpoint, first.At, aaaa.Duration)
	}
	if best := r.Candidates[0]; first.Endpoint.Addr() != here6 || best.Endpoint != first.Endpoint {
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
	w := newWorld(t)
	w.goodHost(t)
	w.dns.Set("lost.example", netlab.Answers{A: answer(here4), AAAA: netlab.Answer{Drop: true}})
	r := w.race(t, RaceRequest{Target: at80("lost.example.")})
	a := r.Queries[1]
	if first := firstStart(t, &r.Run); r.End != sched.EndWon || first.At < a.Start+a.Duration+sched.DefaultResolutionDelay {
		t.Errorf("%s, the first attempt started at %v and A was answered at %v", r.End, first.At, a.Start+a.Duration)
	}
	if r.Queries[0].Answered || r.Duration > 4*time.Second {
		t.Errorf("it took %v, AAAA: %+v", r.Duration, r.Queries[0])
	}
}

// A host that has a route for IPv4 alone does not wait for AAAA, however long the
// Resolution Delay (H3-12), and its schedule says the same.
func TestNoRouteForIPv6(t *testing.T) {
	w := newWorldAt(t, netip.MustParsePrefix("192.0.2.1/24"))
	w.host(t, here4, link.Path{})
	w.dns.Set("lost.example", netlab.Answers{A: answer(here4), AAAA: netlab.Answer{Drop: true}})
	w.dns.Set("slow.example", netlab.Answers{A: answer(here4), AAAA: netlab.Answer{Addrs: []netip.Addr{here6}, Delay: 300 * ms}})
	delay := MaxResolutionDelay
	selection := Selection{ResolutionDelay: &delay}
	r := w.race(t, RaceRequest{Target: at80("lost.example."), Selection: selection})
	if first := firstStart(t, &r.Run); r.End != sched.EndWon || first.At >= delay || r.Queries[0].Answered {
		t.Errorf("%s, the first attempt started at %v", r.End, first.At)
	}
	rank, err := w.racer.ResolveAndRank(t.Context(), RankRequest{Target: at80("slow.example."), Selection: selection})
	must(t, err)
	a := rank.Queries[1]
	if s := rank.Schedule[0]; s.Endpoint.Addr() != here4 || s.Start != a.Start+a.Duration {
		t.Errorf("the schedule begins with %v at %v, and A was answered at %v", s.Endpoint, s.Start, a.Start+a.Duration)
	}
}

// A caller who prefers IPv6 waits for it all the same.
func TestPrefersIPv6WithoutARoute(t *testing.T) {
	w := newWorldAt(t, netip.MustParsePrefix("192.0.2.1/24"))
	w.host(t, here4, link.Path{})
	w.dns.Set("lost.example", netlab.Answers{A: answer(here4), AAAA: netlab.Answer{Drop: true}})
	r := w.race(t, RaceRequest{Target: at80("lost.example."), Selection: Selection{PreferredFamily: addrsel.FamilyIPv6}})
	a := r.Queries[1]
	if first := firstStart(t, &r.Run); r.End != sched.EndWon || first.At < a.Start+a.Duration+sched.DefaultResolutionDelay {
		t.Errorf("%s, the first attempt started at %v and A was answered at %v", r.End, first.At, a.Start+a.Duration)
	}
}

// A is lost, and IPv6 does not wait for it (H2-03, H2-04).
func TestDoesNotWaitForA(t *testing.T) {
	w := newWorld(t)
	w.goodHost(t)
	w.dns.Set("six.example", netlab.Answers{
		A: netlab.Answer{Drop: true}, AAAA: answer(here6),
	})
	r := w.race(t, RaceRequest{Target: at80("six.example."), Options: Options{Timeout: 4 * time.Second}})
	if first := firstStart(t, &r.Run); !first.Endpoint.Addr().Is6() || r.Queries[1].Answered {
		t.Errorf("%s started at %v, A: %+v", first.Endpoint, first.At, r.Queries[1])
	}
}

// There is no AAAA record: IPv4 goes on at once (H2-08a), whatever the delay.
func TestNoAAAARecord(t *testing.T) {
	w := newWorld(t)
	w.goodHost(t)
	w.dns.Set("four.example", netlab.Answers{A: answer(here4)})
	w.dns.Set("broken.example", netlab.Answers{A: answer(here4), AAAA: netlab.Answer{RCode: dnsmessage.RCodeServerFailure}})
	delay := MaxResolutionDelay
	for name, status := range map[string]sched.Answer{"four.example.": sched.NotFound, "broken.example.": sched.Broken} {
		r := w.race(t, RaceRequest{Target: at80(name), Selection: Selection{ResolutionDelay: &delay}})
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
	w := newWorld(t)
	w.goodHost(t)
	r := w.race(t, RaceRequest{Target: at80("gone.example.")})
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
	w := newWorld(t)
	w.goodHost(t)
	broken := netlab.Answer{RCode: dnsmessage.RCodeServerFailure}
	w.dns.Set("broken.example", netlab.Answers{A: broken, AAAA: broken})
	r := w.race(t, RaceRequest{Target: at80("broken.example.")})
	if r.End != sched.EndResolutionFailed || r.Queries[0].Failure.Type != "try_again" {
		t.Errorf("%s with %+v", r.End, r.Queries)
	}
}

// A caller who leaves while DNS is silent is not kept waiting.
func TestCancelWhileDNSIsSilent(t *testing.T) {
	w := newWorld(t)
	w.goodHost(t)
	w.dns.Set("lost.example", netlab.Answers{A: netlab.Answer{Drop: true}, AAAA: netlab.Answer{Drop: true}})
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(30*ms, func() { cancel(errCause) })
	began := time.Now()
	_, err := w.racer.Race(ctx, RaceRequest{Target: at80("lost.example.")})
	if took := time.Since(began); err != errCause || took > 4*time.Second { //nolint:errorlint // it is to be the cause itself
		t.Errorf("%v after %v", err, took)
	}
}

// A watch follows the name to where it points now.
func TestWatchAsksAgain(t *testing.T) {
	w := newWorld(t)
	w.goodHost(t)
	w.dns.Set("moving.example", netlab.Answers{A: answer(here4)})
	var ends []sched.EndReason
	err := w.racer.Watch(t.Context(), ProbeRequest{Target: at80("moving.example."), Interval: MinInterval},
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
