package admit

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

const (
	// DefaultWaiting is what Limits.Waiting is when it is 0. Ten thousand attempts
	// that wait take about 3 MB.
	DefaultWaiting = 10_000
	// MaxLimit bounds all Limits.
	MaxLimit = 1_000_000

	// raceBurst attempts may start at once however low the rate: an ordinary race of
	// 2 to 8 addresses should not be drawn out by a rate it keeps on average.
	raceBurst = 8
)

// Limits bound what all races do together. Each is 1 to MaxLimit; 0: no limit, of
// Waiting its default. The zero value leaves descriptors as the only other one.
//
// A rate is a token bucket. It allows a tenth of a second's worth at once, and at
// least 8 attempts: one whole race. A destination's is a pace instead: what it is
// to hold apart are the races that dial it together, and each of them dials it once.
// So it allows one attempt at once, or a hundredth of a second's worth where that is
// more, because timers are not more exact than that on a busy machine.
type Limits struct {
	// InFlight bounds the attempts in flight.
	InFlight int
	// PerSecond bounds the attempts that start each second.
	PerSecond int
	// CallerInFlight bounds the attempts of one caller in flight.
	CallerInFlight int
	// CallerPerSecond bounds the attempts of one caller that start each second.
	CallerPerSecond int
	// DestinationInFlight bounds the attempts in flight to one address and port.
	DestinationInFlight int
	// DestinationPerSecond bounds the attempts to one address and port that start
	// each second: their pace across races. Up to 199, no two start together.
	DestinationPerSecond int
	// PrefixInFlight bounds the attempts in flight to one /24 of IPv4 or /48 of IPv6.
	PrefixInFlight int
	// PrefixPerSecond bounds the attempts to one such prefix that start each second.
	PrefixPerSecond int
	// Waiting is how many attempts may wait at the same time: when a race comes in
	// while its caller has as many waiting as places are still free, it is refused.
	// So a caller alone gets half of the places. Races that are in may go beyond it,
	// but other callers lose at most a quarter of the places to one: there are some
	// left for a caller that has none, until four have that much. 0: 10,000.
	Waiting int
}

// FieldError says what is wrong with one limit and what is allowed.
type FieldError struct {
	Field   string // such as "limits.caller_in_flight"
	Message string // goes on after the field's name: "is -1; allowed is ..."
}

// Check returns all that is wrong with the limits, in the order of the fields.
func (l Limits) Check() []FieldError {
	var wrong []FieldError
	for _, f := range []struct {
		name  string
		value int
	}{
		{"in_flight", l.InFlight},
		{"per_second", l.PerSecond},
		{"caller_in_flight", l.CallerInFlight},
		{"caller_per_second", l.CallerPerSecond},
		{"destination_in_flight", l.DestinationInFlight},
		{"destination_per_second", l.DestinationPerSecond},
		{"prefix_in_flight", l.PrefixInFlight},
		{"prefix_per_second", l.PrefixPerSecond},
		{"waiting", l.Waiting},
	} {
		if f.value < 0 || f.value > MaxLimit {
			message := fmt.Sprintf("is %d; allowed is 0 (%s) to %d", f.value, meaningOfZero(f.name), MaxLimit)
			wrong = append(wrong, FieldError{Field: "limits." + f.name, Message: message})
		}
	}
	return wrong
}

func meaningOfZero(name string) string {
	if name == "waiting" {
		return strconv.Itoa(DefaultWaiting)
	}
	return "no limit"
}

// quotas are the limits as each scope's budgets use them.
func (l Limits) quotas(descriptors int) [scopes]quota {
	return [scopes]quota{
		wholeRoom: quota{
			descriptors: descriptors, inFlight: l.InFlight, byCount: sched.DeferInFlight, byRate: sched.DeferRate,
		}.paced(l.PerSecond, max(raceBurst, l.PerSecond/10)),
		ofCaller: quota{
			inFlight: l.CallerInFlight, byCount: sched.DeferCallerInFlight, byRate: sched.DeferCallerRate,
		}.paced(l.CallerPerSecond, max(raceBurst, l.CallerPerSecond/10)),
		ofDestination: quota{
			inFlight: l.DestinationInFlight, byCount: sched.DeferDestinationInFlight, byRate: sched.DeferDestinationRate,
		}.paced(l.DestinationPerSecond, max(1, l.DestinationPerSecond/100)),
		ofPrefix: quota{
			inFlight: l.PrefixInFlight, byCount: sched.DeferPrefixInFlight, byRate: sched.DeferPrefixRate,
		}.paced(l.PrefixPerSecond, max(raceBurst, l.PrefixPerSecond/10)),
	}
}

func (l Limits) waiting() int { return cmp.Or(l.Waiting, DefaultWaiting) }

// scope is what a budget is for.
type scope uint8

const (
	wholeRoom scope = iota
	ofCaller
	ofDestination
	ofPrefix

	scopes = iota
)

// quota is what each budget of a scope allows; 0: no limit.
type quota struct {
	descriptors     int
	inFlight        int
	interval        time.Duration // in which one token comes
	slack           time.Duration // how far ahead of the rate a burst may be
	byCount, byRate sched.DeferReason
}

// paced allows perSecond, and burst of them at once. The interval is rounded up, so
// that no second sees more than that.
func (q quota) paced(perSecond, burst int) quota {
	if perSecond > 0 {
		q.interval = (time.Second + time.Duration(perSecond) - 1) / time.Duration(perSecond)
		q.slack = time.Duration(burst-1) * q.interval
	}
	return q
}

// unlimited says that no budget of the scope can ever forbid anything.
func (q quota) unlimited() bool { return q.descriptors == 0 && q.inFlight == 0 && q.interval == 0 }
