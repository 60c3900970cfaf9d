package racer

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// One race from end to end: the transcript, and all that is derived from it.
func TestRaceResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.resolves("two.example", sched.AAAA, 10*ms, "2001:db8::1")
		n.resolves("two.example", sched.A, 15*ms, "192.0.2.1")
		n.host("[2001:db8::1]:443", refuses(300*ms))
		n.host("192.0.2.1:443", connects(100*ms))
		began := time.Now()
		r, err := n.racer().Race(t.Context(), RaceRequest{Target: Target{Name: "two.example:443"}})
		must(t, err)
		checkRace(t, r)
		if r.Start != began || r.Duration != 360*ms || r.End != sched.EndWon {
			t.Errorf("%s after %v from %v", r.End, r.Duration, r.Start)
		}
		want := []string{
			"0s query question 0", "0s query question 1",
			"10ms resolved question 0 0=[2001:db8::1]:443",
			"10ms start attempt 0 candidate 0 (first, delay 250ms) [2001:db8::1]:443",
			"10ms started attempt 0 [2001:db8::1]:443",
			"15ms resolved question 1 1=192.0.2.1:443",
			"260ms start attempt 1 candidate 1 (attempt_delay, delay 250ms) 192.0.2.1:443",
			"260ms started attempt 1 192.0.2.1:443",
			"310ms failed attempt 0 (connection_refused) [2001:db8::1]:443",
			"360ms connected attempt 1 192.0.2.1:443",
			"360ms won attempt 1 candidate 1 192.0.2.1:443",
			"360ms settle candidate 0 failed [2001:db8::1]:443",
			"360ms settle candidate 1 won 192.0.2.1:443",
			"360ms finish (won)",
		}
		if got := transcriptLines(r.Transcript); !slices.Equal(got, want) {
			t.Errorf("the transcript is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		wantCandidates(t, r)
	})
}

func transcriptLines(entries []Entry) []string {
	lines := make([]string, len(entries))
	for i, e := range entries {
		lines[i] = e.String()
		if e.Endpoint.IsValid() {
			lines[i] += " " + e.Endpoint.String()
		}
	}
	return lines
}

func wantCandidates(t *testing.T, r *RaceResult) {
	t.Helper()
	refused := sched.Failure{
		Type: "connection_refused", Errno: "ECONNREFUSED", Text: "nothing listens on this port; start the service there, or ask another port", Fault: sched.FaultTarget,
	}
	want := []Candidate{
		{
			Position: 1, Endpoint: netip.MustParseAddrPort("[2001:db8::1]:443"), Origin: OriginAAAA, Name: "two.example",
			Index: -1, Outcome: sched.OutcomeFailed, Reason: addrsel.ReasonPrecedence, Source: source6, known: 10 * ms,
			Attempts: []Attempt{{
				Number: 1, Trigger: sched.TriggerFirst, Delay: 250 * ms, Basis: sched.BasisConfigured, Begun: true, Start: 10 * ms, End: 310 * ms,
				Outcome: sched.OutcomeFailed, Failure: refused,
			}},
		},
		{
			Position: 2, Endpoint: netip.MustParseAddrPort("192.0.2.1:443"), Origin: OriginA, Name: "two.example",
			Index: -1, Outcome: sched.OutcomeWon, Reason: addrsel.ReasonLast, Source: source4, known: 15 * ms,
			IfFirst: new(-245 * ms), // known at 15, and its own 100: at 115 instead of 360
			Attempts: []Attempt{{
				Number: 2, Trigger: sched.TriggerAttemptDelay, Delay: 250 * ms, Basis: sched.BasisConfigured, Begun: true, Start: 260 * ms, End: 360 * ms,
				Local: netip.MustParseAddrPort("192.0.2.99:40001"), Outcome: sched.OutcomeWon,
			}},
		},
	}
	if !reflect.DeepEqual(r.Candidates, want) {
		t.Errorf("candidates are\n%+v\nwant\n%+v", r.Candidates, want)
	}
	if r.Winner != &r.Candidates[1] {
		t.Errorf("the winner is %+v, want the second candidate itself", r.Winner)
	}
}

// A result says what was in effect: defaults, and what the caller asked for.
func TestResultHasTheValuesInEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", connects(1*ms))
		delay, resolution := 250*ms, 50*ms
		wantOptions := Options{
			AttemptDelay: &delay, DelayMultiplier: 1, MaxBackups: new(2),
			AttemptTimeout: 5 * time.Second, Timeout: 30 * time.Second, MaxInFlight: 128,
		}
		wantSelection := Selection{FirstFamilyCount: 1, ResolutionDelay: &resolution, MaxAddressesPerAnswer: 64}
		r, err := n.racer().Race(t.Context(), RaceRequest{Target: literals(1)})
		must(t, err)
		if !reflect.DeepEqual(r.Options, wantOptions) || !reflect.DeepEqual(r.Selection, wantSelection) {
			t.Errorf("in effect are %+v and %+v", r.Options, r.Selection)
		}
		ranked, err := n.racer().ResolveAndRank(t.Context(), RankRequest{Target: literals(1)})
		must(t, err)
		if !reflect.DeepEqual(ranked.Options, wantOptions) || !reflect.DeepEqual(ranked.Selection, wantSelection) {
			t.Errorf("in effect are %+v and %+v", ranked.Options, ranked.Selection)
		}

		delay, resolution = 77*ms, 0
		wantOptions = Options{
			Strategy: sched.Adaptive, Version: sched.V2, AttemptDelay: &delay, DelayMultiplier: 1.5, Quantile: 0.9,
			MaxBackups: new(0), Grace: 1 * ms, AttemptTimeout: 1 * ms, Timeout: 2 * ms, MaxInFlight: 3,
		}
		wantSelection = Selection{
			OnlyFamily: addrsel.FamilyIPv4, PreferredFamily: addrsel.FamilyIPv4,
			FirstFamilyCount: 4, ResolutionDelay: &resolution, MaxAddressesPerAnswer: 5,
		}
		r, err = n.racer().Race(t.Context(), RaceRequest{Target: literals(1), Options: wantOptions, Selection: wantSelection})
		must(t, err)
		if !reflect.DeepEqual(r.Options, wantOptions) || !reflect.DeepEqual(r.Selection, wantSelection) {
			t.Errorf("in effect are %+v and %+v", r.Options, r.Selection)
		}
	})
}

// A request is copied at entry: what its owner does with it later is his own
// business.
func TestRequestIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", connects(1*ms))
		delay, resolution, backups := 100*ms, 10*ms, 1
		req := RaceRequest{
			Target: literals(1), Options: Options{AttemptDelay: &delay, MaxBackups: &backups},
			Selection: Selection{ResolutionDelay: &resolution},
		}
		r, err := n.racer().Race(t.Context(), req)
		must(t, err)
		delay, resolution, backups = time.Hour, time.Hour, 9
		if *r.Options.AttemptDelay != 100*ms || *r.Selection.ResolutionDelay != 10*ms || *r.Options.MaxBackups != 1 {
			t.Errorf("the result changed with the request: %v, %v, %d",
				*r.Options.AttemptDelay, *r.Selection.ResolutionDelay, *r.Options.MaxBackups)
		}
	})
}

// The same name twice, with different ports: different endpoints, so none is a
// duplicate. Nothing tells them apart, so the caller's order stays (RFC 6724
// rule 10), whichever answer is learned of first.
func TestSameNameWithTwoPorts(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.answers("one.example", sched.AAAA, 5*ms, sched.NotFound)
			n.resolves("one.example", sched.A, 6*ms, "192.0.2.1")
			n.host("192.0.2.1:443", refuses(1*ms))
			n.host("192.0.2.1:8443", refuses(1*ms))
			r, err := n.racer().Race(t.Context(), RaceRequest{Target: Target{Candidates: []CandidateSpec{
				{Endpoint: "one.example:443", Label: "main"}, {Endpoint: "one.example:8443", Label: "spare"},
			}}})
			must(t, err)
			checkRace(t, r)
			if len(r.Candidates) != 2 || len(n.dialed) != 2 || n.dialed[0] == n.dialed[1] {
				t.Fatalf("%d candidates, %v were dialed", len(r.Candidates), n.dialed)
			}
			for i, c := range r.Candidates {
				if c.Index != i || c.Label != []string{"main", "spare"}[i] {
					t.Errorf("place %d has candidate %d %q", c.Position, c.Index, c.Label)
				}
			}
		})
	}
}

// RFC 8305 section 3: the questions leave in their order, AAAA before A (H2-01,
// H2-02), and a result lists them in the same.
func TestQuestionsAreAskedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		var target Target
		var want []sched.Question
		for _, name := range []string{"a.example", "b.example", "c.example"} {
			target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: name + ":443"})
			for _, kind := range []sched.RecordType{sched.AAAA, sched.A} {
				n.answers(name, kind, 5*ms, sched.NotFound)
				want = append(want, sched.Question{Name: name, Type: kind})
			}
		}
		r, err := n.racer().Race(t.Context(), RaceRequest{Target: target})
		must(t, err)
		if !slices.Equal(n.asked, want) {
			t.Errorf("asked were %v, want %v", n.asked, want)
		}
		if !slices.EqualFunc(r.Queries, want, func(q Query, w sched.Question) bool {
			return q.Name == w.Name && q.Type == w.Type && q.Start == 0 && q.Duration == 5*ms
		}) {
			t.Errorf("queries are %+v", r.Queries)
		}
	})
}

// A Racer holds nothing between calls and may be used by many at a time.
func TestRacerIsSafeForConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", refuses(5*ms))
		n.host("192.0.2.2:443", connects(20*ms))
		racer := n.racer()
		results := make(chan *RaceResult)
		for range 20 {
			go func() {
				r, err := racer.Race(t.Context(), RaceRequest{Target: literals(2)})
				if err != nil {
					t.Error(err)
				}
				results <- r
			}()
		}
		for range 20 {
			if r := <-results; r.Duration != 30*ms || r.End != sched.EndWon {
				t.Errorf("%s after %v, want won after 30ms", r.End, r.Duration)
			}
		}
		n.checkClosed(t, nil)
	})
}
