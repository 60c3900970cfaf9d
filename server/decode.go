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

// err returns what is wrong with the message, together with what package racer
// finds wrong with the request made of it; nil when the message is sound.
func (d *decoder) err(request interface{ Validate() error }) error {
	if len(d.fields) == 0 {
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
	for _, c := range m.GetCandidates() {
		t.Candidates = append(t.Candidates, racer.CandidateSpec{Endpoint: c.GetEndpoint(), Label: c.GetLabel()})
	}
	return t
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
		Strategy:       d.strategy(o.GetStrategy()),
		AttemptDelay:   d.optional("options.attempt_delay", o.GetAttemptDelay()),
		AttemptTimeout: d.positive("options.attempt_timeout", o.GetAttemptTimeout(), racer.MinTimeout, racer.MaxAttemptTimeout),
		Timeout:        d.positive("options.timeout", o.GetTimeout(), racer.MinTimeout, racer.MaxTimeout),
		MaxInFlight:    int(o.GetMaxInFlight()),
	}
}

func (d *decoder) probeOptions(o *connracev1.ProbeOptions) racer.ProbeOptions {
	return racer.ProbeOptions{
		AttemptTimeout: d.positive("options.attempt_timeout", o.GetAttemptTimeout(), racer.MinTimeout, racer.MaxAttemptTimeout),
		Timeout:        d.positive("options.timeout", o.GetTimeout(), racer.MinTimeout, racer.MaxTimeout),
		MaxInFlight:    int(o.GetMaxInFlight()),
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
		d.wrongf(field, "is not a valid google.protobuf.Duration; write it as in \"0.25s\"")
		return 0, false
	}
	return m.AsDuration(), true
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
	default:
		d.wrongf("options.strategy",
			"is %d; allowed is STRATEGY_STAGGERED, STRATEGY_SEQUENTIAL, STRATEGY_ALL_AT_ONCE, STRATEGY_FIRST_THEN_ALL or unset", s)
	}
	return sched.Staggered
}
