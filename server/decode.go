package server

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// decoder turns messages into requests of package racer, which checks their
// values. What a racer request cannot hold is refused here.
type decoder struct{ fields []racer.FieldError }

func (d *decoder) wrongf(field, format string, args ...any) {
	d.fields = append(d.fields, racer.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

// failed says that something is wrong with the message: err says what.
func (d *decoder) failed() bool { return len(d.fields) > 0 }

// err returns what is wrong with the message, together with what package racer
// finds wrong with the request made of it; nil when the message is sound.
func (d *decoder) err(request interface{ Validate() error }) error {
	if !d.failed() {
		return nil
	}
	if more, ok := errors.AsType[*racer.RequestError](request.Validate()); ok {
		// What was not understood here was not passed on: no field comes twice.
		d.fields = append(d.fields, more.Fields...)
	}
	return &racer.RequestError{Fields: d.fields}
}

// targeted is what all requests have in common.
type targeted interface {
	GetTarget() string
	GetCandidates() []*connracev1.CandidateSpec
	GetSelection() *connracev1.SelectionOptions
}

func (d *decoder) target(m targeted) racer.Target {
	t := racer.Target{Name: m.GetTarget()}
	if n := len(m.GetCandidates()); n > 0 {
		t.Candidates = make([]racer.CandidateSpec, n)
	}
	for i, c := range m.GetCandidates() {
		t.Candidates[i] = racer.CandidateSpec{Endpoint: c.GetEndpoint(), Label: c.GetLabel()}
		if c.GetExpectedRtt() != nil || len(c.GetPastConnectDurations()) > 0 {
			d.known(fmt.Sprintf("candidates[%d]", i), &t.Candidates[i], c)
		}
	}
	return t
}

// known takes in what the caller knows of a candidate.
func (d *decoder) known(field string, to *racer.CandidateSpec, c *connracev1.CandidateSpec) {
	to.ExpectedRTT = d.positive(field+".expected_rtt", c.GetExpectedRtt(), racer.MinKnown, racer.MaxExpectedRTT)
	to.PastConnects = d.past(field+".past_connect_durations", c.GetPastConnectDurations())
}

func (d *decoder) past(field string, ms []*durationpb.Duration) []time.Duration {
	if len(ms) > racer.MaxPastConnects {
		d.wrongf(field, "has %d elements; allowed are %d", len(ms), racer.MaxPastConnects)
		return nil
	}
	past := make([]time.Duration, len(ms))
	for i, m := range ms {
		if m.CheckValid() != nil {
			d.invalid(fmt.Sprintf("%s[%d]", field, i))
			past[i] = racer.MinKnown // keeps the place, and is not complained of again
			continue
		}
		past[i] = m.AsDuration()
	}
	return past
}

func (d *decoder) selection(m targeted) racer.Selection {
	s := m.GetSelection()
	return racer.Selection{
		OnlyFamily:            d.family("selection.only_family", s.GetOnlyFamily()),
		PreferredFamily:       d.family("selection.preferred_family", s.GetPreferredFamily()),
		FirstFamilyCount:      int(s.GetFirstAddressFamilyCount()),
		ResolutionDelay:       d.optional("selection.resolution_delay", s.GetResolutionDelay()),
		MaxAddressesPerAnswer: int(s.GetMaxAddressesPerAnswer()),
	}
}

func (d *decoder) raceOptions(o *connracev1.RaceOptions) racer.Options {
	return racer.Options{
		Strategy:        d.strategy(o.GetStrategy()),
		Version:         d.version(o.GetVersion()),
		AttemptDelay:    d.optional("options.attempt_delay", o.GetAttemptDelay()),
		DelayMultiplier: o.GetAttemptDelayMultiplier(),
		Quantile:        o.GetAdaptiveQuantile(),
		MaxBackups:      backups(o),
		Grace:           d.orZero("options.grace", o.GetGrace()),
		AttemptTimeout:  d.positive("options.attempt_timeout", o.GetAttemptTimeout(), racer.MinTimeout, racer.MaxAttemptTimeout),
		Timeout:         d.positive("options.timeout", o.GetTimeout(), racer.MinTimeout, racer.MaxTimeout),
		MaxInFlight:     int(o.GetMaxInFlight()),
		Criterion:       d.criterion(o.GetCriterion()),
		Source:          d.source(o.GetSource()),
		CloseWithFIN:    o.GetCloseWithFin(),
	}
}

func (d *decoder) probeOptions(o *connracev1.ProbeOptions) racer.ProbeOptions {
	return racer.ProbeOptions{
		AttemptTimeout: d.positive("options.attempt_timeout", o.GetAttemptTimeout(), racer.MinTimeout, racer.MaxAttemptTimeout),
		Timeout:        d.positive("options.timeout", o.GetTimeout(), racer.MinTimeout, racer.MaxTimeout),
		MaxInFlight:    int(o.GetMaxInFlight()),
		Criterion:      d.criterion(o.GetCriterion()),
		Source:         d.source(o.GetSource()),
		CloseWithFIN:   o.GetCloseWithFin(),
	}
}

func (d *decoder) interval(m *durationpb.Duration) time.Duration {
	return d.positive("interval", m, racer.MinInterval, racer.MaxInterval)
}

// optional keeps the difference between unset and zero.
func (d *decoder) optional(field string, m *durationpb.Duration) *time.Duration {
	if m == nil {
		return nil
	}
	v, ok := d.duration(field, m)
	if !ok {
		return nil
	}
	return &v
}

// backups keeps the difference between unset and zero.
func backups(o *connracev1.RaceOptions) *int {
	if o == nil || o.MaxBackupAttempts == nil {
		return nil
	}
	n := int(o.GetMaxBackupAttempts())
	return &n
}

// orZero takes a duration for which unset means zero.
func (d *decoder) orZero(field string, m *durationpb.Duration) time.Duration {
	if m == nil {
		return 0
	}
	v, _ := d.duration(field, m)
	return v
}

// positive refuses a zero that was set, which package racer would take for unset.
func (d *decoder) positive(field string, m *durationpb.Duration, lo, hi time.Duration) time.Duration {
	if m == nil {
		return 0
	}
	v, ok := d.duration(field, m)
	if ok && v == 0 {
		d.wrongf(field, "is 0s; allowed is %v to %v", lo, hi)
	}
	return v
}

func (d *decoder) duration(field string, m *durationpb.Duration) (v time.Duration, ok bool) {
	if m.CheckValid() != nil {
		d.invalid(field)
		return 0, false
	}
	return m.AsDuration(), true
}

func (d *decoder) invalid(field string) {
	d.wrongf(field, "is not a valid google.protobuf.Duration; write it as in \"0.25s\"")
}

func (d *decoder) family(field string, f connracev1.AddressFamily) addrsel.Family {
	switch f {
	case connracev1.AddressFamily_ADDRESS_FAMILY_UNSPECIFIED:
	case connracev1.AddressFamily_ADDRESS_FAMILY_IPV4:
		return addrsel.FamilyIPv4
	case connracev1.AddressFamily_ADDRESS_FAMILY_IPV6:
		return addrsel.FamilyIPv6
	default:
		d.wrongf(field, "is %d; allowed is ADDRESS_FAMILY_IPV4, ADDRESS_FAMILY_IPV6 or unset", f)
	}
	return addrsel.FamilyAny
}

func (d *decoder) strategy(s connracev1.Strategy) sched.Strategy {
	switch s {
	case connracev1.Strategy_STRATEGY_UNSPECIFIED, connracev1.Strategy_STRATEGY_STAGGERED:
	case connracev1.Strategy_STRATEGY_SEQUENTIAL:
		return sched.Sequential
	case connracev1.Strategy_STRATEGY_ALL_AT_ONCE:
		return sched.AllAtOnce
	case connracev1.Strategy_STRATEGY_FIRST_THEN_ALL:
		return sched.FirstThenAll
	case connracev1.Strategy_STRATEGY_FAMILY_FALLBACK:
		return sched.FamilyFallback
	case connracev1.Strategy_STRATEGY_ADAPTIVE:
		return sched.Adaptive
	default:
		d.wrongf("options.strategy",
			"is %d; allowed is STRATEGY_STAGGERED, STRATEGY_SEQUENTIAL, STRATEGY_ALL_AT_ONCE, STRATEGY_FIRST_THEN_ALL, STRATEGY_FAMILY_FALLBACK, STRATEGY_ADAPTIVE or unset", s)
	}
	return sched.Staggered
}

func (d *decoder) version(v connracev1.HappyEyeballsVersion) sched.Version {
	switch v {
	case connracev1.HappyEyeballsVersion_HAPPY_EYEBALLS_VERSION_UNSPECIFIED, connracev1.HappyEyeballsVersion_HAPPY_EYEBALLS_VERSION_V3:
	case connracev1.HappyEyeballsVersion_HAPPY_EYEBALLS_VERSION_V2:
		return sched.V2
	default:
		d.wrongf("options.version", "is %d; allowed is HAPPY_EYEBALLS_VERSION_V2, HAPPY_EYEBALLS_VERSION_V3 or unset", v)
	}
	return sched.V3
}
