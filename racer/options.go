package racer

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// Defaults and limits of the options; docs/reference.md lists them with the
// reasons. The RFC's own constants are in package sched.
const (
	// DefaultMaxAddressesPerAnswer of one DNS answer are used.
	DefaultMaxAddressesPerAnswer = 64
	// DefaultAttemptTimeout leaves room for the SYNs a kernel sends at 0, 1 and 3 s, or at each
	// second (Linux from 6.5 on).
	DefaultAttemptTimeout = 5 * time.Second
	// DefaultTimeout bounds a race, or one round of a probe.
	DefaultTimeout = 30 * time.Second
	// DefaultMaxInFlight lets two full answers race all at once.
	DefaultMaxInFlight = 2 * DefaultMaxAddressesPerAnswer
	// DefaultProbeMaxInFlight is lower: nobody waits for a probe's first answer.
	DefaultProbeMaxInFlight = 32
	// DefaultMaxBackups covers the first SYN of each family.
	DefaultMaxBackups = 2
	// DefaultRounds is how often a probe connects to each address.
	DefaultRounds = 1
	// DefaultInterval is the time from one round of a probe to the next.
	DefaultInterval = time.Second

	// MaxResolutionDelay bounds Selection.ResolutionDelay.
	MaxResolutionDelay = 2 * time.Second
	// MinTimeout bounds all timeouts from below.
	MinTimeout = time.Millisecond
	// MaxAttemptTimeout bounds AttemptTimeout.
	MaxAttemptTimeout = 5 * time.Minute
	// MaxTimeout bounds Timeout.
	MaxTimeout = 10 * time.Minute
	// MaxMaxInFlight bounds MaxInFlight.
	MaxMaxInFlight = 1000
	// MaxFirstFamily bounds Selection.FirstFamilyCount.
	MaxFirstFamily = 1000
	// MaxMaxAddresses bounds Selection.MaxAddressesPerAnswer.
	MaxMaxAddresses = 1000
	// MaxDelayMultiplier bounds Options.DelayMultiplier.
	MaxDelayMultiplier = 10
	// MaxMaxBackups bounds Options.MaxBackups.
	MaxMaxBackups = 10
	// MaxGrace bounds Options.Grace.
	MaxGrace = 10 * time.Second
	// MaxRounds bounds ProbeRequest.Rounds.
	MaxRounds = 100
	// MaxSamples bounds addresses times rounds of a probe. A name counts as two
	// full answers.
	MaxSamples = 20_000
	// MinInterval bounds ProbeRequest.Interval from below.
	MinInterval = 10 * time.Millisecond
	// MaxInterval bounds ProbeRequest.Interval.
	MaxInterval = time.Hour
	// MaxCallerLength bounds RaceRequest.Caller and ProbeRequest.Caller, in characters.
	MaxCallerLength = 100
)

// Selection says which addresses are used and how they are ordered.
type Selection struct {
	// OnlyFamily leaves the other family out. FamilyAny: both are used.
	OnlyFamily addrsel.Family
	// PreferredFamily comes first, and its answer is what the first attempt
	// waits for. FamilyAny: RFC 6724 decides, and the attempt waits for IPv6, or
	// for IPv4 on a host that has a route for IPv4 alone.
	PreferredFamily addrsel.Family
	// FirstFamilyCount is RFC 8305's First Address Family Count. 0: 1.
	FirstFamilyCount int
	// ResolutionDelay is RFC 8305's Resolution Delay, up to MaxResolutionDelay.
	// nil: 50 ms; a pointer to 0 does not wait.
	ResolutionDelay *time.Duration
	// MaxAddressesPerAnswer of each DNS answer are used. 0: 64.
	MaxAddressesPerAnswer int
}

// Options say how a race starts and bounds its attempts.
type Options struct {
	// Strategy says when the next attempt starts. Zero: staggered.
	Strategy sched.Strategy
	// Version of Happy Eyeballs. Zero: 3.
	Version sched.Version
	// AttemptDelay is RFC 8305's Connection Attempt Delay. nil: 250 ms; with family
	// fallback 300 ms. Less than 10 ms becomes 10 ms, more than 2 s becomes 2 s,
	// negative is refused. It is the pace of the staggered strategy, the time that
	// the first attempt of first then all is alone, and the first family of family
	// fallback, and what adaptive uses where nothing is known; with the others it is
	// nil in a result.
	AttemptDelay *time.Duration
	// DelayMultiplier makes an attempt's delay longer by this factor for each other
	// one in flight when it starts, up to 2 s: 1 to MaxDelayMultiplier. 0: 1.
	// Staggered and adaptive have a use for it; with the others it is 0 in a result.
	DelayMultiplier float64
	// Quantile is the share of past connects that an adaptive delay covers, up to 1.
	// 0, and where there are none: the retransmission timeout of RFC 6298.
	Quantile float64
	// MaxBackups bounds second attempts to an address whose first has had no answer,
	// up to MaxMaxBackups. nil: 2; a pointer to 0: none. Sequential makes none.
	MaxBackups *int
	// Grace is how long losers may go on after the win, so that the result can say
	// what they would have come to (Candidate.IfFirst), up to MaxGrace. 0: not at all.
	Grace time.Duration
	// AttemptTimeout bounds one attempt. 0: 5 s.
	AttemptTimeout time.Duration
	// Timeout bounds the race, resolution included. 0: 30 s.
	Timeout time.Duration
	// MaxInFlight bounds the attempts in flight. 0: 128.
	MaxInFlight int
	// Criterion is what an attempt must have done to win. Zero: TCP is up.
	Criterion Criterion
	// Source is where attempts leave from. Zero: as the routes say.
	Source Source
	// CloseWithFIN ends connections with a FIN; by default they are reset, so that no
	// port stays in TIME_WAIT.
	CloseWithFIN bool
}

// ProbeOptions say how a probe starts and bounds its attempts.
type ProbeOptions struct {
	// AttemptTimeout bounds one attempt. 0: 5 s.
	AttemptTimeout time.Duration
	// Timeout bounds one round; in the first one resolution counts too. 0: 30 s.
	Timeout time.Duration
	// MaxInFlight bounds the attempts in flight. 0: 32.
	MaxInFlight int
	// Criterion is what an attempt must have done to count as connected. Zero: TCP is
	// up.
	Criterion Criterion
	// Source is where attempts leave from. Zero: as the routes say.
	Source Source
	// CloseWithFIN ends connections with a FIN; by default they are reset, so that no
	// port stays in TIME_WAIT.
	CloseWithFIN bool
}

// Warning is a remark about a request that was accepted.
type Warning struct {
	Field   string // such as "options.attempt_delay"
	Message string // a sentence
}

// RequestError says all that is wrong with a request.
type RequestError struct {
	// Fields has at least one element.
	Fields []FieldError
}

// FieldError says what is wrong with one field and what is allowed.
type FieldError struct {
	Field   string // as the wire contract calls it, such as "options.timeout"
	Message string // goes on after the field's name: "is 0s; allowed is ..."
}

// Error lists the fields, each with its message.
func (e *RequestError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + " " + f.Message
	}
	return strings.Join(parts, "; ")
}

// checker collects what is wrong with a request.
type checker struct{ fields []FieldError }

func (c *checker) err() error {
	if len(c.fields) == 0 {
		return nil
	}
	return &RequestError{Fields: c.fields}
}

func (c *checker) wrongf(field, format string, args ...any) {
	c.fields = append(c.fields, FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

// between returns v, or def when v is zero, and complains outside lo to hi.
func between[T int | float64 | time.Duration](c *checker, field string, v, def, lo, hi T) T {
	if v == 0 {
		return def
	}
	if v >= lo && v <= hi { // as NaN is not
		return v
	}
	c.wrongf(field, "is %v; allowed is %v to %v", v, lo, hi)
	return v
}

func (c *checker) caller(key string) string {
	if n := utf8.RuneCountInString(key); n > MaxCallerLength {
		c.wrongf("caller_key", "is %d characters long; %d are allowed", n, MaxCallerLength)
	}
	return key
}

func (c *checker) family(field string, f addrsel.Family) {
	if f > addrsel.FamilyIPv6 {
		c.wrongf(field, "is %d; allowed is IPv4, IPv6 or unset", f)
	}
}

func (c *checker) selection(s Selection) Selection {
	c.family("selection.only_family", s.OnlyFamily)
	c.family("selection.preferred_family", s.PreferredFamily)
	if s.OnlyFamily != addrsel.FamilyAny && s.PreferredFamily != addrsel.FamilyAny && s.OnlyFamily != s.PreferredFamily {
		c.wrongf("selection.preferred_family", "is %s, which selection.only_family leaves out; drop one of the two", s.PreferredFamily)
	}
	s.FirstFamilyCount = between(c, "selection.first_address_family_count", s.FirstFamilyCount, 1, 1, MaxFirstFamily)
	s.MaxAddressesPerAnswer = between(c, "selection.max_addresses_per_answer",
		s.MaxAddressesPerAnswer, DefaultMaxAddressesPerAnswer, 1, MaxMaxAddresses)
	delay := sched.DefaultResolutionDelay
	if s.ResolutionDelay != nil {
		delay = between(c, "selection.resolution_delay", *s.ResolutionDelay, 0, 0, MaxResolutionDelay)
	}
	s.ResolutionDelay = &delay
	return s
}

func (c *checker) options(o Options) (Options, []Warning) {
	if o.Strategy > sched.Adaptive {
		c.wrongf("options.strategy", "is %d; allowed is staggered, sequential, all at once, first then all, family fallback or adaptive", o.Strategy)
	}
	if o.Version > sched.V2 {
		c.wrongf("options.version", "is %d; allowed is version 2, version 3 or unset", o.Version)
	}
	o.AttemptTimeout = between(c, "options.attempt_timeout", o.AttemptTimeout, DefaultAttemptTimeout, MinTimeout, MaxAttemptTimeout)
	o.Timeout = between(c, "options.timeout", o.Timeout, DefaultTimeout, MinTimeout, MaxTimeout)
	o.MaxInFlight = between(c, "options.max_in_flight", o.MaxInFlight, DefaultMaxInFlight, 1, MaxMaxInFlight)
	o.Grace = between(c, "options.grace", o.Grace, 0, 0, MaxGrace)
	o.Criterion, o.Source = c.criterion(o.Criterion), c.source(o.Source)
	var all, some []Warning
	for _, check := range []func(Options) (Options, []Warning){c.attemptDelay, c.multiplier, c.quantile, c.backups} {
		o, some = check(o)
		all = append(all, some...)
	}
	return o, all
}

// attemptDelay puts the delay into the bounds of RFC 8305 section 8 and says so.
func (c *checker) attemptDelay(o Options) (Options, []Warning) {
	const field = "options.attempt_delay"
	asked := o.AttemptDelay
	delay := defaultDelay(o.Strategy)
	if asked != nil {
		delay = *asked
	}
	if delay < 0 {
		c.wrongf(field, "is %v; allowed is 0s or more (10ms to 2s take effect)", delay)
	}
	delay = min(max(delay, sched.MinAttemptDelay), sched.MaxAttemptDelay)
	o.AttemptDelay = &delay
	switch {
	case o.Strategy == sched.Sequential || o.Strategy == sched.AllAtOnce:
		o.AttemptDelay = nil
		if asked != nil {
			return o, []Warning{{field, fmt.Sprintf("has no effect: %s knows no attempt delay", spoken(o.Strategy))}}
		}
	case asked != nil && delay != *asked:
		return o, []Warning{{field, fmt.Sprintf("%v became %v: RFC 8305 section 8 allows 10ms to 2s", *asked, delay)}}
	case delay < sched.RecommendedMinAttemptDelay:
		return o, []Warning{{field, fmt.Sprintf("%v is below the 100ms that RFC 8305 section 8 recommends: servers see more connections in vain", delay)}}
	}
	return o, nil
}

func defaultDelay(s sched.Strategy) time.Duration {
	if s == sched.FamilyFallback {
		return sched.DefaultFallbackDelay
	}
	return sched.DefaultAttemptDelay
}

// spoken is a strategy's name for a person: "all at once".
func spoken(s sched.Strategy) string { return strings.ReplaceAll(s.String(), "_", " ") }

func (c *checker) multiplier(o Options) (Options, []Warning) {
	const field = "options.attempt_delay_multiplier"
	asked := o.DelayMultiplier
	o.DelayMultiplier = between(c, field, asked, 1, 1, MaxDelayMultiplier)
	if o.Strategy == sched.Staggered || o.Strategy == sched.Adaptive {
		return o, nil
	}
	o.DelayMultiplier = 0
	if asked != 0 {
		return o, []Warning{{field, "has no effect: only staggered and adaptive start one attempt after the other by a delay"}}
	}
	return o, nil
}

func (c *checker) quantile(o Options) (Options, []Warning) {
	const field = "options.adaptive_quantile"
	asked := o.Quantile
	o.Quantile = between(c, field, asked, 0, 0, 1)
	if o.Strategy == sched.Adaptive {
		return o, nil
	}
	o.Quantile = 0
	if asked != 0 {
		return o, []Warning{{field, "has no effect: only adaptive takes its delay from past connects"}}
	}
	return o, nil
}

func (c *checker) backups(o Options) (Options, []Warning) {
	const field = "options.max_backup_attempts"
	most := DefaultMaxBackups
	asked := o.MaxBackups
	if asked != nil {
		most = between(c, field, *asked, 0, 0, MaxMaxBackups)
	}
	if o.Strategy == sched.Sequential {
		most = 0
	}
	o.MaxBackups = &most
	if asked != nil && *asked != most {
		return o, []Warning{{field, "has no effect: sequential makes no backup attempts"}}
	}
	return o, nil
}

// unattempted drops what only attempts have a use for.
func unattempted(o Options) (Options, []Warning) {
	var all []Warning
	drop := func(set bool, field string) {
		if set {
			all = append(all, Warning{field, "has no effect: a ranking connects to nothing"})
		}
	}
	drop(o.Grace != 0, "options.grace")
	drop(!o.Criterion.IsTCP(), "options.criterion")
	drop(o.CloseWithFIN, "options.close_with_fin")
	o.Grace, o.Criterion, o.CloseWithFIN = 0, Criterion{}, false
	return o, all
}

// inVain warns of what the caller knows of candidates where nothing goes by it.
func inVain(specs []CandidateSpec, why string) []Warning {
	return append(
		vain(specs, "expected_rtt", why, func(s *CandidateSpec) bool { return s.ExpectedRTT != 0 }),
		vain(specs, "past_connect_durations", why, func(s *CandidateSpec) bool { return len(s.PastConnects) > 0 })...,
	)
}

// vain warns of a field once, since a thousand candidates may have it.
func vain(specs []CandidateSpec, name, why string, has func(*CandidateSpec) bool) []Warning {
	var with []int
	for i := range specs {
		if has(&specs[i]) {
			with = append(with, i)
		}
	}
	if len(with) == 0 {
		return nil
	}
	message := "has no effect: " + why
	if more := len(with) - 1; more > 0 {
		message += fmt.Sprintf("; nor has it with %d more of the candidates", more)
	}
	return []Warning{{fmt.Sprintf("candidates[%d].%s", with[0], name), message}}
}

// known checks what the caller knows of a candidate.
func (c *checker) known(field string, spec *CandidateSpec) {
	between(c, field+".expected_rtt", spec.ExpectedRTT, 0, MinKnown, MaxExpectedRTT)
	if n := len(spec.PastConnects); n > MaxPastConnects {
		c.wrongf(field+".past_connect_durations", "has %d elements; allowed are %d", n, MaxPastConnects)
		return
	}
	for i, took := range spec.PastConnects {
		if took < MinKnown || took > MaxAttemptTimeout {
			c.wrongf(fmt.Sprintf("%s.past_connect_durations[%d]", field, i), "is %v; allowed is %v to %v", took, MinKnown, MaxAttemptTimeout)
		}
	}
}

func (c *checker) probeOptions(o ProbeOptions) ProbeOptions {
	o.AttemptTimeout = between(c, "options.attempt_timeout", o.AttemptTimeout, DefaultAttemptTimeout, MinTimeout, MaxAttemptTimeout)
	o.Timeout = between(c, "options.timeout", o.Timeout, DefaultTimeout, MinTimeout, MaxTimeout)
	o.MaxInFlight = between(c, "options.max_in_flight", o.MaxInFlight, DefaultProbeMaxInFlight, 1, MaxMaxInFlight)
	o.Criterion, o.Source = c.criterion(o.Criterion), c.source(o.Source)
	return o
}
