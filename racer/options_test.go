package racer

import (
	"errors"
	"fmt"
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
	_, err := planRace(req.Target, req.Selection, race)
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
			p, err := planRace(req.Target, req.Selection, Options{})
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

	asRace, _ = problems(t, good(), Options{Strategy: sched.FirstThenAll + 1})
	wantProblem(t, asRace, "options.strategy", "is 4; allowed is staggered, sequential, all at once or first then all")
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
		p, err := planRace(good().Target, Selection{}, Options{AttemptDelay: &given})
		must(t, err)
		if *p.options.AttemptDelay != c.becomes || p.cfg.AttemptDelay != c.becomes || given != asked {
			t.Errorf("%v became %v, and the caller's own %v", asked, *p.options.AttemptDelay, given)
		}
		wantWarning(t, p.warnings, c.warns)
		p, err = planRace(good().Target, Selection{}, Options{AttemptDelay: &given, Strategy: sched.FirstThenAll})
		must(t, err)
		if *p.options.AttemptDelay != c.becomes || p.cfg.AttemptDelay != c.becomes {
			t.Errorf("first then all: %v became %v", asked, *p.options.AttemptDelay)
		}
		wantWarning(t, p.warnings, c.warns)
		for _, s := range []sched.Strategy{sched.Sequential, sched.AllAtOnce} {
			p, err := planRace(good().Target, Selection{}, Options{AttemptDelay: &given, Strategy: s})
			must(t, err)
			if p.options.AttemptDelay != nil {
				t.Errorf("%s has the attempt delay %v", s, *p.options.AttemptDelay)
			}
			wantWarning(t, p.warnings, "has no effect")
		}
	}
}

func wantWarning(t *testing.T, got []Warning, says string) {
	t.Helper()
	if says == "" {
		if len(got) > 0 {
			t.Errorf("warnings are %q, want none", got)
		}
		return
	}
	if len(got) != 1 || got[0].Field != "options.attempt_delay" || !strings.Contains(got[0].Message, says) {
		t.Errorf("warnings are %q, want one that says %q", got, says)
	}
}

// A negative delay never came to mean anything else: it is refused.
func TestNegativeAttemptDelayIsRefused(t *testing.T) {
	for _, delay := range []time.Duration{-1, -250 * ms} {
		for _, s := range []sched.Strategy{sched.Staggered, sched.Sequential, sched.AllAtOnce, sched.FirstThenAll} {
			asRace, _ := problems(t, good(), Options{AttemptDelay: &delay, Strategy: s})
			wantProblem(t, asRace, "options.attempt_delay", "allowed is 0s or more")
		}
	}
}

func TestDefaultsBringNoWarning(t *testing.T) {
	for _, s := range []sched.Strategy{sched.Staggered, sched.Sequential, sched.AllAtOnce, sched.FirstThenAll} {
		p, err := planRace(good().Target, Selection{}, Options{Strategy: s})
		must(t, err)
		wantWarning(t, p.warnings, "")
		if (p.options.AttemptDelay != nil) != (s == sched.Staggered || s == sched.FirstThenAll) {
			t.Errorf("%s has the attempt delay %v", s, p.options.AttemptDelay)
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
			{Endpoint: "example.com", Label: strings.Repeat("x", MaxLabelLength+1)}, {Endpoint: "127.1:80"},
		}},
		Selection: Selection{OnlyFamily: 3, PreferredFamily: 4, FirstFamilyCount: -1, ResolutionDelay: &negative, MaxAddressesPerAnswer: -1},
		Options:   ProbeOptions{AttemptTimeout: -1, Timeout: -1, MaxInFlight: -1},
		Rounds:    -1, Interval: -1,
	}
	asRace, asProbe := problems(t, req, Options{Strategy: 9, AttemptDelay: &negative, AttemptTimeout: -1, Timeout: -1, MaxInFlight: -1})
	common := []string{
		"selection.only_family", "selection.preferred_family", "selection.preferred_family",
		"selection.first_address_family_count", "selection.max_addresses_per_answer", "selection.resolution_delay",
		"options.attempt_timeout", "options.timeout", "options.max_in_flight",
		"candidates[0].label", "candidates[0].endpoint", "candidates[1].endpoint",
	}
	wantFields(t, asRace, append(common, "options.strategy", "options.attempt_delay"))
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
		_, raceErr := planRace(target, Selection{}, Options{})
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
