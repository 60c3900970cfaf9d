package racer

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// Attempts of a probe, as they end.
var (
	connected    = Attempt{Begun: true, End: 20 * ms, Outcome: sched.OutcomeConnected}
	refused      = failedWith("connection_refused", sched.FaultTarget)
	timedOut     = Attempt{Begun: true, End: time.Second, Outcome: sched.OutcomeTimedOut, Failure: silence(time.Second, new(Attempt), false)}
	unreachable  = failedWith("network_unreachable", sched.FaultPath)
	unknownFault = failedWith("_OTHER", sched.FaultUnknown)
	outOfFiles   = Attempt{Outcome: sched.OutcomeFailed, Failure: sched.Failure{Type: "_OTHER", Errno: "EMFILE", Fault: sched.FaultHost}}
	cutShort     = Attempt{Begun: true, End: 30 * ms, Outcome: sched.OutcomeRunning}
	lateAtTheEnd = Attempt{Begun: true, End: 30 * ms, Outcome: sched.OutcomeConnectedLate}
)

func failedWith(kind string, fault sched.Fault) Attempt {
	return Attempt{Begun: true, End: 5 * ms, Outcome: sched.OutcomeFailed, Failure: sched.Failure{Type: kind, Fault: fault}}
}

// probed is a candidate that has been tried.
func probed(position int, endpoint string, attempts ...Attempt) Candidate {
	c := Candidate{Position: position, Endpoint: netip.MustParseAddrPort(endpoint), Attempts: attempts}
	if len(attempts) > 0 {
		c.Outcome = attempts[len(attempts)-1].Outcome
	}
	return c
}

func skipped(position int, endpoint string) Candidate {
	return Candidate{Position: position, Endpoint: netip.MustParseAddrPort(endpoint), Outcome: sched.OutcomeSkipped, Skip: sched.SkipDenied}
}

// The criteria of the type Verdict, one by one. This host's own trouble and what
// the end cut short never count.
func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name     string
		attempts []Attempt
		want     Verdict
		explains string
	}{
		{"nothing", nil, Inconclusive, "nothing is known about the target: no attempt ran to its end"},
		{"all connected", []Attempt{connected, connected}, Reachable, "1 of 1 address connected every time"},
		{"one refused", []Attempt{connected, refused}, Degraded, "1 of 1 address connected, but not every time"},
		{"one timed out", []Attempt{timedOut, connected}, Degraded, "1 of 1 address connected, but not every time"},
		{"all refused", []Attempt{refused, refused}, Unreachable, "0 of 1 address connected"},
		{"no route on the path", []Attempt{unreachable}, Unreachable, "0 of 1 address connected"},
		{"nobody knows why", []Attempt{unknownFault}, Unreachable, "0 of 1 address connected"},
		{"out of descriptors", []Attempt{outOfFiles, outOfFiles}, Inconclusive, "nothing is known about the target: every failure is this host's own"},
		{"out of descriptors once", []Attempt{connected, outOfFiles}, Reachable, "1 of 1 address connected every time; failures of this host's own (1) are not counted"},
		{"refused, then out of descriptors", []Attempt{refused, outOfFiles}, Unreachable, "0 of 1 address connected; failures of this host's own (1) are not counted"},
		{"cut short", []Attempt{cutShort}, Inconclusive, "nothing is known about the target: no attempt ran to its end"},
		{"connected when it was cut short", []Attempt{lateAtTheEnd}, Inconclusive, "nothing is known about the target: no attempt ran to its end"},
		{"connected, then cut short", []Attempt{connected, cutShort}, Reachable, "1 of 1 address connected every time"},
		{"refused, then cut short", []Attempt{refused, cutShort}, Unreachable, "0 of 1 address connected"},
	} {
		r := report([]Candidate{probed(1, "192.0.2.1:443", c.attempts...)})
		if r.Verdict != c.want || r.Families[0].Verdict != c.want {
			t.Errorf("%s: verdict %d, of the family %d; want %d", c.name, r.Verdict, r.Families[0].Verdict, c.want)
		}
		if got := r.Explain(); got != c.explains {
			t.Errorf("%s: %q, want %q", c.name, got, c.explains)
		}
	}
}

func TestStatsCount(t *testing.T) {
	r := report([]Candidate{probed(1, "192.0.2.1:443",
		refused, connected, outOfFiles, timedOut, cutShort, timedOut, unknownFault, connected)})
	s := r.Candidates[0].Stats
	if s.Count != 6 || s.Failures != 4 || s.HostFailures != 1 || len(s.Samples) != 2 {
		t.Errorf("counts are %+v", s)
	}
	want := []FailureCount{ // the most frequent first, then in the order they were seen
		{Type: "timed_out", Fault: sched.FaultTarget, Count: 2},
		{Type: "connection_refused", Fault: sched.FaultTarget, Count: 1},
		{Type: "_OTHER", Errno: "EMFILE", Fault: sched.FaultHost, Count: 1},
		{Type: "_OTHER", Fault: sched.FaultUnknown, Count: 1},
	}
	if !slices.Equal(s.Kinds, want) {
		t.Errorf("kinds are %v, want %v", s.Kinds, want)
	}
}

// Candidates are ordered by the share that connected, then by the median; those
// of which nothing is known come last, in ranked order.
func TestReportIsOrderedByMeasurement(t *testing.T) {
	slow, fast := connected, connected
	slow.End, fast.End = 90*ms, 10*ms
	r := report([]Candidate{
		probed(1, "192.0.2.1:443", refused),
		probed(2, "192.0.2.2:443", outOfFiles),
		probed(3, "192.0.2.3:443", slow, slow),
		probed(4, "192.0.2.4:443", fast, refused),
		probed(5, "192.0.2.5:443", cutShort),
		probed(6, "192.0.2.6:443", fast, slow, slow),
		probed(7, "192.0.2.7:443", fast),
		probed(8, "192.0.2.8:443", fast, fast),
		skipped(9, "192.0.2.9:443"),
	})
	var got []int
	for _, c := range r.Candidates {
		got = append(got, c.Position)
	}
	if want := []int{7, 8, 3, 6, 4, 1, 2, 5, 9}; !slices.Equal(got, want) {
		t.Errorf("the order is %v, want %v", got, want)
	}
}

// Each family is judged by itself (H2-43): IPv6 first, and none that has no
// address to try.
func TestFamiliesAreJudgedApart(t *testing.T) {
	early, late := connected, connected
	early.End, late.Start, late.End = 10*ms, time.Second, time.Second+30*ms
	r := report([]Candidate{
		probed(1, "[2001:db8::1]:443", refused),
		probed(2, "192.0.2.1:443", late),
		probed(3, "[2001:db8::2]:443", timedOut),
		probed(4, "192.0.2.2:443", early, refused),
		probed(5, "192.0.2.3:443", outOfFiles),
		skipped(6, "192.0.2.4:443"),
	})
	if r.Verdict != Degraded || len(r.Families) != 2 {
		t.Fatalf("verdict %d with %d families", r.Verdict, len(r.Families))
	}
	six, four := r.Families[0], r.Families[1]
	if six.Family != addrsel.FamilyIPv6 || six.Verdict != Unreachable || six.Addresses != 2 || six.Reachable != 0 {
		t.Errorf("IPv6 is %+v", six)
	}
	if four.Family != addrsel.FamilyIPv4 || four.Verdict != Degraded || four.Addresses != 3 || four.Reachable != 2 {
		t.Errorf("IPv4 is %+v", four)
	}
	if want := []time.Duration{10 * ms, 30 * ms}; !slices.Equal(four.Stats.Samples, want) {
		t.Errorf("IPv4's samples are %v, want %v: in the order they were measured", four.Stats.Samples, want)
	}
	if only := report([]Candidate{skipped(1, "192.0.2.1:443")}); len(only.Families) != 0 {
		t.Errorf("a family with nothing to try is there: %+v", only.Families)
	}
}

func TestQuantileExamples(t *testing.T) {
	ten := Stats{Samples: durationsOf(70, 10, 100, 40, 20, 90, 30, 60, 50, 80)}
	for q, want := range map[float64]time.Duration{
		0: 10, 0.01: 10, 0.1: 10, 0.11: 20, 0.5: 50, 0.51: 60, 0.9: 90, 0.91: 100, 0.99: 100, 1: 100,
	} {
		if got := ten.Quantile(q); got != want {
			t.Errorf("quantile %v of ten is %d, want %d", q, got, want)
		}
	}
	if got := (&Stats{}).Quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
	if got := (&Stats{Samples: durationsOf(7)}).Quantile(0.5); got != 7 {
		t.Errorf("the median of 7 is %d", got)
	}
	if !slices.Equal(ten.Samples[:2], durationsOf(70, 10)) {
		t.Errorf("the samples were put into another order: %v", ten.Samples)
	}
}

func durationsOf(ns ...int) []time.Duration {
	ds := make([]time.Duration, len(ns))
	for i, n := range ns {
		ds[i] = time.Duration(n)
	}
	return ds
}

// Quantile against its definition, for every percentage.
func TestQuantileIsTheSmallestSampleThatAShareDoesNotExceed(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 1; n <= 120; n++ {
		s := Stats{}
		for range n {
			s.Samples = append(s.Samples, time.Duration(rng.IntN(50)))
		}
		for percent := range 101 {
			if got, want := s.Quantile(float64(percent)/100), dumbQuantile(s.Samples, percent); got != want {
				t.Fatalf("quantile %d%% of %d samples is %v, want %v", percent, n, got, want)
			}
		}
	}
}

// dumbQuantile tries every sample, and counts in whole numbers.
func dumbQuantile(samples []time.Duration, percent int) time.Duration {
	best := slices.Max(samples)
	for _, s := range samples {
		within := 0
		for _, other := range samples {
			if other <= s {
				within++
			}
		}
		if within*100 >= percent*len(samples) {
			best = min(best, s)
		}
	}
	return best
}

func ExampleReport_Explain() {
	r := report([]Candidate{
		probed(1, "[2001:db8::1]:443", timedOut),
		probed(2, "192.0.2.1:443", connected),
		probed(3, "192.0.2.2:443", outOfFiles),
	})
	fmt.Println(r.Explain())
	// Output: 1 of 2 addresses connected; failures of this host's own (1) are not counted
}
