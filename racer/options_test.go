package racer

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// good is a request that all tests here change one thing in.
func good() ProbeRequest {
	return ProbeRequest{Target: Target{Name: "192.0.2.1:443"}}
}

// problems returns what is wrong with a request, as a race and as a probe.
func problems(t *testing.T, req ProbeRequest, race Options) (asRace, asProbe []FieldError) {
	t.Helper()
	_, err := planRace(req.Target, req.Selection, race, "")
	asRace = fieldErrors(t, err)
	_, err = checkProbe(&req)
	return asRace, fieldErrors(t, err)
}

func fieldErrors(t *testing.T, err error) []FieldError {
	t.Helper()
	if err == nil {
		return nil
	}
	bad, ok := errors.AsType[*RequestError](err)
	if !ok {
		t.Fatalf("error is %v, want a *RequestError", err)
	}
	for _, f := range bad.Fields {
		if !strings.Contains(err.Error(), f.Field+" "+f.Message) {
			t.Errorf("error %q leaves out %s %s", err, f.Field, f.Message)
		}
	}
	return bad.Fields
}

// wantProblem holds that exactly one field is wrong, and that it says what is
// allowed.
func wantProblem(t *testing.T, got []FieldError, field, says string) {
	t.Helper()
	if len(got) != 1 || got[0].Field != field || !strings.Contains(got[0].Message, says) {
		t.Errorf("problems are %q, want one of %s that says %q", got, field, says)
	}
}

type durationLimit struct {
	field   string
	lo, hi  time.Duration
	inRace  func(*Options, time.Duration)
	inProbe func(*ProbeRequest, time.Duration)
}

var durationLimits = []durationLimit{
	{
		field: "options.attempt_timeout", lo: MinTimeout, hi: MaxAttemptTimeout,
		inRace:  func(o *Options, d time.Duration) { o.AttemptTimeout = d },
		inProbe: func(r *ProbeRequest, d time.Duration) { r.Options.AttemptTimeout = d },
	},
	{
		field: "options.timeout", lo: MinTimeout, hi: MaxTimeout,
		inRace:  func(o *Options, d time.Duration) { o.Timeout = d },
		inProbe: func(r *ProbeRequest, d time.Duration) { r.Options.Timeout = d },
	},
	{
		field: "interval", lo: MinInterval, hi: MaxInterval,
		inProbe: func(r *ProbeRequest, d time.Duration) { r.Interval = d },
	},
}

func TestDurationsHaveLimits(t *testing.T) {
	for _, l := range durationLimits {
		for _, d := range []time.Duration{l.lo, l.lo + 1, l.hi - 1, l.hi, 0} {
			l.check(t, d, "")
		}
		for _, d := range []time.Duration{l.lo - 1, l.hi + 1, -1, -l.lo, -l.hi} {
			l.check(t, d, fmt.Sprintf("is %v; allowed is %v to %v", d, l.lo, l.hi))
		}
	}
}

func (l *durationLimit) check(t *testing.T, d time.Duration, says string) {
	t.Helper()
	req, options := good(), Options{}
	l.inProbe(&req, d)
	if l.inRace != nil {
		l.inRace(&options, d)
	}
	asRace, asProbe := problems(t, req, options)
	for _, got := range [][]FieldError{asRace, asProbe} {
		if says == "" || got == nil && l.inRace == nil {
			if len(got) > 0 {
				t.Errorf("%s %v is refused: %q", l.field, d, got)
			}
			continue
		}
		wantProblem(t, got, l.field, says)
	}
}

func TestNumbersHaveLimits(t *testing.T) {
	for _, c := range []struct {
		field string
		hi    int
		probe bool // a race has no such field
		set   func(*ProbeRequest, *Options, int)
	}{
		{"selection.first_address_family_count", MaxFirstFamily, false, func(r *ProbeRequest, _ *Options, n int) { r.Selection.FirstFamilyCount = n }},
		{"selection.max_addresses_per_answer", MaxMaxAddresses, false, func(r *ProbeRequest, _ *Options, n int) { r.Selection.MaxAddressesPerAnswer = n }},
		{"options.max_in_flight", MaxMaxInFlight, false, func(r *ProbeRequest, o *Options, n int) { r.Options.MaxInFlight, o.MaxInFlight = n, n }},
		{"rounds", MaxRounds, true, func(r *ProbeRequest, _ *Options, n int) { r.Rounds = n }},
	} {
		for _, n := range []int{0, 1, 2, c.hi, -1, -c.hi, c.hi + 1} {
			req, options := good(), Options{}
			c.set(&req, &options, n)
			asRace, asProbe := problems(t, req, options)
			if n >= 0 && n <= c.hi {
				if len(asRace)+len(asProbe) > 0 {
					t.Errorf("%s %d is refused: %q %q", c.field, n, asRace, asProbe)
				}
				continue
			}
			says := fmt.Sprintf("is %d; allowed is 1 to %d", n, c.hi)
			wantProblem(t, asProbe, c.field, says)
			if !c.probe {
				wantProblem(t, asRace, c.field, says)
			}
		}
	}
}

func TestResolutionDelayHasLimits(t *testing.T) {
	for d, ok := range map[time.Duration]bool{
		0: true, 1: true, 50 * ms: true, MaxResolutionDelay: true,
		-1: false, -50 * ms: false, MaxResolutionDelay + 1: false,
	} {
		req := good()
		req.Selection.ResolutionDelay = &d
		asRace, asProbe := problems(t, req, Options{})
		if ok {
			p, err := planRace(req.Target, req.Selection, Options{}, "")
			must(t, err)
			if len(asProbe) > 0 || *p.selection.ResolutionDelay != d || p.cfg.ResolutionDelay != d {
				t.Errorf("%v became %v: %q", d, p.cfg.ResolutionDelay, asProbe)
			}
			continue
		}
		says := fmt.Sprintf("is %v; allowed is 0s to 2s", d)
		wantProblem(t, asRace, "selection.resolution_delay", says)
		wantProblem(t, asProbe, "selection.resolution_delay", says)
	}
}

func TestUnknownWordsAreRefused(t *testing.T) {
	req := good()
	req.Selection.OnlyFamily = addrsel.FamilyIPv6 + 1
	asRace, asProbe := problems(t, req, Options{})
	wantProblem(t, asRace, "selection.only_family", "is 3; allowed is IPv4, IPv6 or unset")
	wantProblem(t, asProbe, "selection.only_family", "is 3; allowed is IPv4, IPv6 or unset")

	req = good()
	req.Selection.PreferredFamily = 255
	asRace, _ = problems(t, req, Options{})
	wantProblem(t, asRace, "selection.preferred_family", "is 255; allowed is IPv4, IPv6 or unset")

	asRace, _ = problems(t, good(), Options{Strategy: sched.Adaptive + 1})
	wantProblem(t, asRace, "options.strategy",
		"is 6; allowed is staggered, sequential, all at once, first then all, family fallback or adaptive")

	asRace, _ = problems(t, good(), Options{Version: sched.V2 + 1})
	wantProblem(t, asRace, "options.version", "is 2; allowed is version 2, version 3 or unset")
}

func TestContradictingFamiliesAreRefused(t *testing.T) {
	families := []addrsel.Family{addrsel.FamilyAny, addrsel.FamilyIPv4, addrsel.FamilyIPv6}
	for _, only := range families {
		for _, preferred := range families {
			req := good()
			req.Selection = Selection{OnlyFamily: only, PreferredFamily: preferred}
			asRace, asProbe := problems(t, req, Options{})
			if only == addrsel.FamilyAny || preferred == addrsel.FamilyAny || only == preferred {
				if len(asRace)+len(asProbe) > 0 {
					t.Errorf("only %s and preferred %s is refused: %q", only, preferred, asRace)
				}
				continue
			}
			wantProblem(t, asRace, "selection.preferred_family", "leaves out")
			wantProblem(t, asProbe, "selection.preferred_family", "leaves out")
		}
	}
}

// The attempt delay is brought into the bounds of RFC 8305 section 8 (H2-30,
// H2-33), and a low one is remarked on (H2-32). The other strategies have none.
func TestAttemptDelayIsClamped(t *testing.T) {
	for asked, c := range map[time.Duration]struct {
		becomes time.Duration
		warns   string
	}{
		0:                  {10 * ms, "0s became 10ms"},
		1 * ms:             {10 * ms, "1ms became 10ms"},
		10*ms - 1:          {10 * ms, "became 10ms"},
		10 * ms:            {10 * ms, "10ms is below the 100ms"},
		50 * ms:            {50 * ms, "50ms is below the 100ms"},
		100*ms - 1:         {100*ms - 1, "is below the 100ms"},
		100 * ms:           {100 * ms, ""},
		250 * ms:           {250 * ms, ""},
		2 * time.Second:    {2 * time.Second, ""},
		2*time.Second + ms: {2 * time.Second, "2.001s became 2s"},
		3 * time.Second:    {2 * time.Second, "3s became 2s"},
		1 << 62:            {2 * time.Second, "became 2s"},
	} {
		given := asked
		p, err := planRace(good().Target, Selection{}, Options{AttemptDelay: &given}, "")
		must(t, err)
		if *p.options.AttemptDelay != c.becomes || p.cfg.AttemptDelay != c.becomes || given != asked {
			t.Errorf("%v became %v, and the caller's own %v", asked, *p.options.AttemptDelay, given)
		}
		wantWarning(t, p.warnings, delayField, c.warns)
		for _, s := range []sched.Strategy{sched.FirstThenAll, sched.FamilyFallback, sched.Adaptive} {
			p, err := planRace(good().Target, Selection{}, Options{AttemptDelay: &given, Strategy: s}, "")
			must(t, err)
			if *p.options.AttemptDelay != c.becomes || p.cfg.AttemptDelay != c.becomes {
				t.Errorf("%s: %v became %v", s, asked, *p.options.AttemptDelay)
			}
			wantWarning(t, p.warnings, delayField, c.warns)
		}
		for s, says := range map[sched.Strategy]string{
			sched.Sequential: "has no effect: sequential knows no attempt delay",
			sched.AllAtOnce:  "has no effect: all at once knows no attempt delay",
		} {
			p, err := planRace(good().Target, Selection{}, Options{AttemptDelay: &given, Strategy: s}, "")
			must(t, err)
			if p.options.AttemptDelay != nil {
				t.Errorf("%s has the attempt delay %v", s, *p.options.AttemptDelay)
			}
			wantWarning(t, p.warnings, delayField, says)
		}
	}
}

const delayField = "options.attempt_delay"

func wantWarning(t *testing.T, got []Warning, field, says string) {
	t.Helper()
	if says == "" {
		if len(got) > 0 {
			t.Errorf("warnings are %q, want none", got)
		}
		return
	}
	if len(got) != 1 || got[0].Field != field || !strings.Contains(got[0].Message, says) {
		t.Errorf("warnings are %q, want one of %s that says %q", got, field, says)
	}
}

// A negative delay never came to mean anything else: it is refused.
func TestNegativeAttemptDelayIsRefused(t *testing.T) {
	for _, delay := range []time.Duration{-1, -250 * ms} {
		for _, s := range everyStrategy {
			asRace, _ := problems(t, good(), Options{AttemptDelay: &delay, Strategy: s})
			wantProblem(t, asRace, "options.attempt_delay", "allowed is 0s or more")
		}
	}
}

// What each strategy has by default, and that nobody is warned of what he did not
// ask for. RFC 6555's example waits 300 ms for the first family.
func TestDefaultsOfEachStrategy(t *testing.T) {
	for s, want := range map[sched.Strategy]Options{
		sched.Staggered:      {AttemptDelay: new(250 * ms), DelayMultiplier: 1, MaxBackups: new(2)},
		sched.Sequential:     {MaxBackups: new(0)},
		sched.AllAtOnce:      {MaxBackups: new(2)},
		sched.FirstThenAll:   {AttemptDelay: new(250 * ms), MaxBackups: new(2)},
		sched.FamilyFallback: {AttemptDelay: new(300 * ms), MaxBackups: new(2)},
		sched.Adaptive:       {AttemptDelay: new(250 * ms), DelayMultiplier: 1, MaxBackups: new(2)},
	} {
		p, err := planRace(good().Target, Selection{}, Options{Strategy: s}, "")
		must(t, err)
		wantWarning(t, p.warnings, "", "")
		want.Strategy, want.AttemptTimeout, want.Timeout, want.MaxInFlight = s, DefaultAttemptTimeout, DefaultTimeout, DefaultMaxInFlight
		if !reflect.DeepEqual(p.options, want) {
			t.Errorf("%s has by default %+v, want %+v", s, p.options, want)
		}
	}
}

// The multiplier is a number from 1 to 10, and for the strategies that start one
// attempt after the other by a delay; NaN is refused like any other.
func TestDelayMultiplier(t *testing.T) {
	const field = "options.attempt_delay_multiplier"
	for _, s := range everyStrategy {
		for _, x := range []float64{0, math.Copysign(0, -1), 1, 1.5, math.Nextafter(MaxDelayMultiplier, 0), MaxDelayMultiplier} {
			p, err := planRace(good().Target, Selection{}, Options{Strategy: s, DelayMultiplier: x}, "")
			must(t, err)
			want, says := max(x, 1), ""
			if s != sched.Staggered && s != sched.Adaptive {
				want = 0
				if x != 0 {
					says = "has no effect: only staggered and adaptive"
				}
			}
			if p.options.DelayMultiplier != want || p.cfg.Multiplier != want {
				t.Errorf("%s: %v became %v, and %v to the race; want %v", s, x, p.options.DelayMultiplier, p.cfg.Multiplier, want)
			}
			wantWarning(t, p.warnings, field, says)
		}
		for _, x := range []float64{
			math.NaN(), math.Inf(1), math.Inf(-1), -1, math.SmallestNonzeroFloat64, 0.5,
			math.Nextafter(1, 0), math.Nextafter(MaxDelayMultiplier, 11), math.MaxFloat64,
		} {
			asRace, _ := problems(t, good(), Options{Strategy: s, DelayMultiplier: x})
			wantProblem(t, asRace, field, fmt.Sprintf("is %v; allowed is 1 to 10", x))
		}
	}
}

// The quantile is a share, and for adaptive alone; 0 is the retransmission timeout.
func TestAdaptiveQuantile(t *testing.T) {
	const field = "options.adaptive_quantile"
	for _, s := range everyStrategy {
		for _, q := range []float64{0, math.SmallestNonzeroFloat64, 0.5, 0.95, math.Nextafter(1, 0), 1} {
			p, err := planRace(good().Target, Selection{}, Options{Strategy: s, Quantile: q}, "")
			must(t, err)
			want, says := q, ""
			if s != sched.Adaptive {
				want = 0
				if q != 0 {
					says = "has no effect: only adaptive takes its delay from past connects"
				}
			}
			if p.options.Quantile != want || p.cfg.Quantile != want {
				t.Errorf("%s: %v became %v, and %v to the race; want %v", s, q, p.options.Quantile, p.cfg.Quantile, want)
			}
			wantWarning(t, p.warnings, field, says)
		}
		for _, q := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -0.5, -math.SmallestNonzeroFloat64, math.Nextafter(1, 2), 95} {
			asRace, _ := problems(t, good(), Options{Strategy: s, Quantile: q})
			wantProblem(t, asRace, field, fmt.Sprintf("is %v; allowed is 0 to 1", q))
		}
	}
}

// Backups are two unless the request says otherwise, and 0 makes none. Sequential
// makes none anyway, and says so to who asked for some.
func TestMaxBackups(t *testing.T) {
	const field = "options.max_backup_attempts"
	for _, s := range everyStrategy {
		for asked, want := range map[*int]int{nil: 2, new(0): 0, new(1): 1, new(3): 3, new(MaxMaxBackups): 10} {
			p, err := planRace(good().Target, Selection{}, Options{Strategy: s, MaxBackups: asked}, "")
			must(t, err)
			says := ""
			if s == sched.Sequential && want > 0 {
				if want = 0; asked != nil {
					says = "has no effect: sequential makes no backup attempts"
				}
			}
			if *p.options.MaxBackups != want || p.cfg.MaxBackups != want {
				t.Errorf("%s: in effect are %d, and %d to the race; want %d", s, *p.options.MaxBackups, p.cfg.MaxBackups, want)
			}
			wantWarning(t, p.warnings, field, says)
		}
		for _, n := range []int{-1, MaxMaxBackups + 1, math.MaxInt, math.MinInt} {
			asRace, _ := problems(t, good(), Options{Strategy: s, MaxBackups: &n})
			wantProblem(t, asRace, field, fmt.Sprintf("is %d; allowed is 0 to 10", n))
		}
	}
}

func TestGraceHasLimits(t *testing.T) {
	for _, d := range []time.Duration{0, 1, time.Second, MaxGrace} {
		p, err := planRace(good().Target, Selection{}, Options{Grace: d}, "")
		must(t, err)
		if p.options.Grace != d || p.cfg.Grace != d {
			t.Errorf("%v became %v, and %v to the race", d, p.options.Grace, p.cfg.Grace)
		}
	}
	for _, d := range []time.Duration{-1, -time.Second, MaxGrace + 1, 1 << 62} {
		asRace, _ := problems(t, good(), Options{Grace: d})
		wantProblem(t, asRace, "options.grace", fmt.Sprintf("is %v; allowed is 0s to 10s", d))
	}
}

// What the caller knows of a candidate has limits, in a race and in a probe.
func TestWhatIsKnownHasLimits(t *testing.T) {
	const minute = time.Minute
	for _, c := range []struct {
		spec  CandidateSpec
		field string // wrong; empty: none
		says  string
	}{
		{spec: CandidateSpec{ExpectedRTT: MinKnown}},
		{spec: CandidateSpec{ExpectedRTT: MaxExpectedRTT}},
		{CandidateSpec{ExpectedRTT: MinKnown - 1}, "expected_rtt", "is 999ns; allowed is 1µs to 1m0s"},
		{CandidateSpec{ExpectedRTT: MaxExpectedRTT + 1}, "expected_rtt", "is 1m0.000000001s; allowed is 1µs to 1m0s"},
		{CandidateSpec{ExpectedRTT: -1}, "expected_rtt", "is -1ns"},
		{spec: CandidateSpec{PastConnects: []time.Duration{}}},
		{spec: CandidateSpec{PastConnects: []time.Duration{MinKnown, MaxAttemptTimeout}}},
		{spec: CandidateSpec{PastConnects: slices.Repeat([]time.Duration{ms}, MaxPastConnects)}},
		{CandidateSpec{PastConnects: slices.Repeat([]time.Duration{-1}, MaxPastConnects+1)}, "past_connect_durations", "has 101 elements; allowed are 100"},
		{CandidateSpec{PastConnects: []time.Duration{0}}, "past_connect_durations[0]", "is 0s; allowed is 1µs to 5m0s"},
		{CandidateSpec{PastConnects: []time.Duration{ms, MinKnown - 1}}, "past_connect_durations[1]", "is 999ns"},
		{CandidateSpec{PastConnects: []time.Duration{ms, ms, 5*minute + 1}}, "past_connect_durations[2]", "is 5m0.000000001s"},
		{CandidateSpec{PastConnects: []time.Duration{-ms}}, "past_connect_durations[0]", "is -1ms"},
	} {
		for _, endpoint := range []string{"192.0.2.2:443", "one.example:443"} {
			c.spec.Endpoint = endpoint
			req := ProbeRequest{Target: Target{Candidates: []CandidateSpec{{Endpoint: "192.0.2.1:443"}, c.spec}}}
			asRace, asProbe := problems(t, req, Options{})
			if c.field == "" {
				if len(asRace)+len(asProbe) > 0 {
					t.Errorf("%+v is refused: %q %q", c.spec, asRace, asProbe)
				}
				continue
			}
			wantProblem(t, asRace, "candidates[1]."+c.field, c.says)
			wantProblem(t, asProbe, "candidates[1]."+c.field, c.says)
		}
	}
}

func TestRoundsTimesAddressesHasALimit(t *testing.T) {
	req := ProbeRequest{Rounds: 100}
	for i := range 201 {
		req.Target.Candidates = append(req.Target.Candidates, CandidateSpec{Endpoint: fmt.Sprintf("192.0.2.%d:443", i)})
	}
	_, err := checkProbe(&req)
	wantProblem(t, fieldErrors(t, err), "rounds", "can be 20100; allowed is 20000")
	req.Target.Candidates = req.Target.Candidates[:200]
	if _, err := checkProbe(&req); err != nil {
		t.Errorf("10000 are refused: %v", err)
	}
	req = ProbeRequest{Rounds: 100, Target: Target{Candidates: []CandidateSpec{{Endpoint: "a.example:1"}, {Endpoint: "b.example:1"}}}}
	_, err = checkProbe(&req)
	wantProblem(t, fieldErrors(t, err), "rounds", "can be 25600; allowed is 20000")
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	negative := -ms
	req := ProbeRequest{
		Target: Target{Candidates: []CandidateSpec{
			{Endpoint: "example.com", Label: strings.Repeat("x", MaxLabelLength+1), ExpectedRTT: -1},
			{Endpoint: "127.1:80", PastConnects: []time.Duration{-1, ms, 0}},
		}},
		Selection: Selection{OnlyFamily: 3, PreferredFamily: 4, FirstFamilyCount: -1, ResolutionDelay: &negative, MaxAddressesPerAnswer: -1},
		Options:   ProbeOptions{AttemptTimeout: -1, Timeout: -1, MaxInFlight: -1},
		Rounds:    -1, Interval: -1,
	}
	asRace, asProbe := problems(t, req, Options{
		Strategy: 9, Version: 9, AttemptDelay: &negative, DelayMultiplier: -1, Quantile: -1, MaxBackups: new(-1), Grace: -1,
		AttemptTimeout: -1, Timeout: -1, MaxInFlight: -1,
	})
	common := []string{
		"selection.only_family", "selection.preferred_family", "selection.preferred_family",
		"selection.first_address_family_count", "selection.max_addresses_per_answer", "selection.resolution_delay",
		"options.attempt_timeout", "options.timeout", "options.max_in_flight",
		"candidates[0].label", "candidates[0].expected_rtt", "candidates[0].endpoint",
		"candidates[1].past_connect_durations[0]", "candidates[1].past_connect_durations[2]", "candidates[1].endpoint",
	}
	wantFields(t, asRace, append(common,
		"options.strategy", "options.version", "options.attempt_delay", "options.attempt_delay_multiplier",
		"options.adaptive_quantile", "options.max_backup_attempts", "options.grace",
	))
	wantFields(t, asProbe, append(common, "rounds", "interval"))
}

// wantFields holds that these fields are complained of, in any order.
func wantFields(t *testing.T, got []FieldError, want []string) {
	t.Helper()
	count := make(map[string]int)
	for _, f := range got {
		count[f.Field]++
	}
	for _, f := range want {
		count[f]--
	}
	for f, n := range count {
		if n != 0 {
			t.Errorf("%s is complained of %d times too often, in %q", f, n, got)
		}
	}
}

// A method that is given a wrong request says so and does nothing.
func TestWrongRequestsGoNowhere(t *testing.T) {
	for name, err := range every(t.Context(), newNetwork(t).racer(), Target{Name: "127.1:80"}) {
		if _, ok := errors.AsType[*RequestError](err); !ok {
			t.Errorf("%s returns %v", name, err)
		}
	}
}

// Validate says what a call would say.
func TestValidate(t *testing.T) {
	for _, target := range []Target{good().Target, {Name: "127.1:80"}, {}} {
		_, raceErr := planRace(target, Selection{}, Options{}, "")
		req := ProbeRequest{Target: target}
		_, probeErr := checkProbe(&req)
		for name, errs := range map[string][2]error{
			"race":  {RaceRequest{Target: target}.Validate(), raceErr},
			"rank":  {RankRequest{Target: target}.Validate(), raceErr},
			"probe": {ProbeRequest{Target: target}.Validate(), probeErr},
		} {
			if fmt.Sprint(errs[0]) != fmt.Sprint(errs[1]) || (errs[0] == nil) != (errs[1] == nil) {
				t.Errorf("%s of %+v: Validate says %v, the call %v", name, target, errs[0], errs[1])
			}
		}
	}
}
