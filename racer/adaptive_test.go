package racer

import (
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// An expected round-trip time counts more than what past connects say of it, and
// these are there, sorted, for a quantile. The caller's own stay as they were.
func TestExpectation(t *testing.T) {
	past := []time.Duration{100 * ms, 120 * ms, 80 * ms}
	sorted := []time.Duration{80 * ms, 100 * ms, 120 * ms}
	for _, c := range []struct {
		spec CandidateSpec
		want sched.Expectation
	}{
		{CandidateSpec{}, sched.Expectation{}},
		{CandidateSpec{ExpectedRTT: 20 * ms}, sched.Expectation{RTT: 20 * ms}},
		{CandidateSpec{PastConnects: past}, sched.Expectation{RTT: 99_687_500, Deviation: 37_500_000, Past: sorted}},
		{CandidateSpec{PastConnects: past, ExpectedRTT: 20 * ms}, sched.Expectation{RTT: 20 * ms, Past: sorted}},
	} {
		if got := expectation(&c.spec); !reflect.DeepEqual(got, c.want) {
			t.Errorf("of %+v is expected %+v, want %+v", c.spec, got, c.want)
		}
	}
	if want := []time.Duration{100 * ms, 120 * ms, 80 * ms}; !slices.Equal(past, want) {
		t.Errorf("the caller's past connects became %v", past)
	}
}

func TestNothingKnown(t *testing.T) {
	const (
		none, rto, quantile = sched.BasisNothingKnown, sched.BasisRTO, sched.BasisQuantile
		field               = "options.strategy"
	)
	for _, c := range []struct {
		name       string
		multiplier float64
		bases      []sched.Basis
		says       string
	}{
		{"no attempt", 0, nil, ""},
		{"another strategy", 0, []sched.Basis{sched.BasisConfigured, sched.BasisNone}, ""},
		{"all known", 0, []sched.Basis{rto, quantile}, ""},
		{"nothing", 0, []sched.Basis{none}, "adaptive: nothing known, 250 ms used"},
		{"nothing of three", 0, []sched.Basis{none, none, none}, "adaptive: nothing known, 250 ms used"},
		{"nothing of the first", 0, []sched.Basis{none, rto}, "adaptive: nothing known for 1 of 2 attempts, 250 ms used for these"},
		{"nothing of two", 0, []sched.Basis{none, quantile, none}, "adaptive: nothing known for 2 of 3 attempts, 250 ms used for these"},
		{"one for each", 1, []sched.Basis{none}, "adaptive: nothing known, 250 ms used"},
		{"multiplied", 2, []sched.Basis{none, none}, "adaptive: nothing known, 250 ms used, before the multiplier"},
		{"multiplied, nothing of one", 1.5, []sched.Basis{none, rto}, "adaptive: nothing known for 1 of 2 attempts, 250 ms used for these, before the multiplier"},
	} {
		got := nothingKnown(&sched.Config{AttemptDelay: 250 * ms, Multiplier: c.multiplier}, c.bases)
		switch {
		case c.says == "" && got == nil:
		case len(got) != 1 || got[0] != (Warning{field, c.says}):
			t.Errorf("%s: warnings are %q, want %q", c.name, got, c.says)
		}
	}
}

// Each attempt's delay is that of its own candidate, whether its address was given or
// its name: of a name, each address has it. The result says each (H3-44).
func TestAdaptiveDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.resolves("one.example", sched.AAAA, 1*ms, "2001:db8::1", "2001:db8::2")
		n.answers("one.example", sched.A, 1*ms, sched.NotFound)
		for _, silentOne := range []string{"[2001:db8::1]:443", "[2001:db8::2]:443", "192.0.2.1:443", "192.0.2.2:443", "192.0.2.3:443"} {
			n.host(silentOne, silent)
		}
		r, err := n.racer().Race(t.Context(), RaceRequest{
			Target: Target{Candidates: []CandidateSpec{
				{Endpoint: "192.0.2.1:443", ExpectedRTT: 20 * ms},
				{Endpoint: "one.example:443", PastConnects: []time.Duration{100 * ms, 120 * ms, 80 * ms}},
				{Endpoint: "192.0.2.2:443"},
				{Endpoint: "192.0.2.3:443", ExpectedRTT: 1 * ms},
			}},
			Selection: Selection{FirstFamilyCount: 2},
			Options:   Options{Strategy: sched.Adaptive, MaxBackups: new(0), Timeout: 2 * time.Second},
		})
		must(t, err)
		checkRace(t, r)
		const learned = 249_687_500 // 99.6875 + 4 * 37.5 ms
		want := []ScheduledStart{
			{Position: 1, Start: 1 * ms, Trigger: sched.TriggerFirst, Delay: learned, Basis: sched.BasisRTO},
			{Position: 2, Start: 1*ms + learned, Trigger: sched.TriggerAttemptDelay, Delay: learned, Basis: sched.BasisRTO},
			{Position: 3, Start: 1*ms + 2*learned, Trigger: sched.TriggerAttemptDelay, Delay: 60 * ms, Basis: sched.BasisRTO},
			{Position: 4, Start: 61*ms + 2*learned, Trigger: sched.TriggerAttemptDelay, Delay: 250 * ms, Basis: sched.BasisNothingKnown},
			{Position: 5, Start: 311*ms + 2*learned, Trigger: sched.TriggerAttemptDelay, Delay: 10 * ms, Basis: sched.BasisRTO},
		}
		for i, endpoint := range []string{"[2001:db8::1]:443", "[2001:db8::2]:443", "192.0.2.1:443", "192.0.2.2:443", "192.0.2.3:443"} {
			want[i].Endpoint = r.Candidates[i].Endpoint
			if got := r.Candidates[i].Endpoint.String(); got != endpoint {
				t.Errorf("place %d has %s, want %s", i+1, got, endpoint)
			}
			if a := r.Candidates[i].Attempts[0]; a.Delay != want[i].Delay || a.Basis != want[i].Basis {
				t.Errorf("the attempt at %s has the delay %v (%s), want %v (%s)", endpoint, a.Delay, a.Basis, want[i].Delay, want[i].Basis)
			}
		}
		if got := starts(r); !slices.Equal(got, want) {
			t.Errorf("the starts are\n%v\nwant\n%v", got, want)
		}
		if len(r.Warnings) != 1 || r.Warnings[0].Message != "adaptive: nothing known for 1 of 5 attempts, 250 ms used for these" {
			t.Errorf("warnings are %q", r.Warnings)
		}
	})
}

// What is not known is remarked on beside what was remarked on in the request.
func TestAdaptiveWarningsStandTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:443", connects(1*ms))
		r, err := n.racer().Race(t.Context(), RaceRequest{
			Target: literals(1), Options: Options{Strategy: sched.Adaptive, AttemptDelay: new(50 * ms)},
		})
		must(t, err)
		if len(r.Warnings) != 2 || r.Warnings[0].Field != delayField || r.Warnings[1].Message != "adaptive: nothing known, 50 ms used" {
			t.Errorf("warnings are %q", r.Warnings)
		}
	})
}

// What is known of a candidate that another one stands for has no effect, and the
// result says so: where both are known alike, or nothing goes by it, there is nothing to
// say. A name that turns out to have that address is no different.
func TestKnownOfADuplicate(t *testing.T) {
	const says = "what is known of it has no effect at 192.0.2.1:443, which is tried as another candidate's"
	known := func(endpoint string, rtt time.Duration) CandidateSpec {
		return CandidateSpec{Endpoint: endpoint, ExpectedRTT: rtt}
	}
	plain, near, again := known("192.0.2.1:443", 0), known("192.0.2.1:443", 20*ms), known("one.example:443", 20*ms)
	for _, c := range []struct {
		name       string
		candidates []CandidateSpec
		options    Options
		want       []Warning
	}{
		{"the second is known", []CandidateSpec{plain, near}, Options{}, []Warning{{"candidates[1]", says}}},
		{"a name's", []CandidateSpec{plain, again}, Options{}, []Warning{{"candidates[1]", says}}},
		{"two of them", []CandidateSpec{plain, near, again}, Options{}, []Warning{
			{"candidates[1]", says + "; nor has it at 1 more of the addresses"},
		}},
		{"the first is known", []CandidateSpec{near, plain}, Options{}, nil},
		{"both are", []CandidateSpec{near, near}, Options{}, nil},
		{"both are, and differ", []CandidateSpec{near, known("192.0.2.1:443", 30*ms)}, Options{}, []Warning{{"candidates[1]", says}}},
		{"others are", []CandidateSpec{plain, plain, known("192.0.2.2:443", 20*ms)}, Options{}, nil},
		{"in vain, as it says", []CandidateSpec{plain, near}, Options{MaxBackups: new(0)}, []Warning{
			{"candidates[1].expected_rtt", "has no effect: only adaptive and backup attempts go by it"},
		}},
		{"adaptive", []CandidateSpec{plain, near}, Options{Strategy: sched.Adaptive, MaxBackups: new(0)}, []Warning{
			{"options.strategy", "adaptive: nothing known, 250 ms used"}, {"candidates[1]", says},
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.resolves("one.example", sched.AAAA, 1*ms, "2001:db8::1")
			n.resolves("one.example", sched.A, 1*ms, "192.0.2.1")
			for _, endpoint := range []string{"192.0.2.1:443", "192.0.2.2:443", "[2001:db8::1]:443"} {
				n.host(endpoint, connects(20*ms))
			}
			r, err := n.racer().Race(t.Context(), RaceRequest{Target: Target{Candidates: c.candidates}, Options: c.options})
			must(t, err)
			wantWarnings(t, c.name, r.Warnings, c.want)
		})
	}
}
