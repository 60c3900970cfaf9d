package sched

import (
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// The values of RFC 8305 section 8.
const (
	// DefaultAttemptDelay is the recommended Connection Attempt Delay.
	DefaultAttemptDelay = 250 * time.Millisecond
	// DefaultResolutionDelay is the recommended Resolution Delay.
	DefaultResolutionDelay = 50 * time.Millisecond
	// MinAttemptDelay is the time that MUST pass between two starts.
	MinAttemptDelay = 10 * time.Millisecond
	// RecommendedMinAttemptDelay is the lowest delay the RFC recommends.
	RecommendedMinAttemptDelay = 100 * time.Millisecond
	// MaxAttemptDelay is the recommended upper bound of the delay.
	MaxAttemptDelay = 2 * time.Second
)

// Goal says what ends a race.
type Goal uint8

const (
	// First is over as soon as one attempt has connected: Race.
	First Goal = iota
	// Every tries all candidates and lets no success end it: Probe.
	Every
	// Order starts nothing and is over when all questions are answered:
	// ResolveAndRank.
	Order
)

// Strategy says when the next attempt starts.
type Strategy uint8

const (
	// Staggered starts the next attempt when the attempt delay has passed or
	// the youngest attempt has failed: RFC 8305 section 5.
	Staggered Strategy = iota
	// Sequential starts the next attempt when no other is in flight: what a
	// plain client does.
	Sequential
	// AllAtOnce starts every candidate that is known once the first may start,
	// and each later one as soon as it is known.
	AllAtOnce
	// FirstThenAll starts the best candidate alone, and all others at once when it
	// has failed or AttemptDelay has passed: a second chance that costs nothing as
	// long as the first one is good.
	FirstThenAll
)

var strategyNames = []string{"staggered", "sequential", "all_at_once", "first_then_all"}

// String returns a stable word such as "staggered".
func (s Strategy) String() string { return word(strategyNames, int(s)) }

// RecordType is the DNS type of a question.
type RecordType uint8

const (
	// A asks for IPv4 addresses.
	A RecordType = iota + 1
	// AAAA asks for IPv6 addresses.
	AAAA
)

var recordTypeNames = []string{"?", "A", "AAAA"}

// String returns the type as DNS writes it.
func (t RecordType) String() string { return word(recordTypeNames, int(t)) }

// Family returns the address family the type asks for.
func (t RecordType) Family() addrsel.Family {
	if t == A {
		return addrsel.FamilyIPv4
	}
	return addrsel.FamilyIPv6
}

// Question is one DNS question the race wants answered.
type Question struct {
	Name string     // to ask for
	Type RecordType // to ask for
}

// Config holds the parameters of one race. They are effective values: zero
// means none or no limit, defaults are the caller's business (Default).
type Config struct {
	Goal     Goal     // what ends the race
	Strategy Strategy // when the next attempt starts

	// Questions are asked at the beginning, all at once and in this order; RFC
	// 8305 section 3 wants AAAA before A. A question's id is its index.
	Questions []Question

	// Ranking orders the candidates. Its PreferredFamily is also the family
	// whose answer the first attempt waits for.
	Ranking addrsel.Config

	// OnlyRouted is the family that this host has a route for, when it lacks one
	// for the other: without a PreferredFamily, that is whose answer the first
	// attempt waits for. FamilyAny: it has both, or neither.
	OnlyRouted addrsel.Family

	// AttemptDelay is the Connection Attempt Delay of the staggered strategy, where
	// it has no effect below MinAttemptDelay: that floor holds anyway. With
	// FirstThenAll it is the head start of the first attempt.
	AttemptDelay time.Duration

	// ResolutionDelay is how long the first known address waits for the answer
	// of the preferred family. Zero: it does not wait.
	ResolutionDelay time.Duration

	// AttemptTimeout bounds one attempt, counted from its start. Zero: only the
	// operating system bounds it.
	AttemptTimeout time.Duration

	// Timeout bounds the race, resolution included. Zero: no bound.
	Timeout time.Duration

	// MaxInFlight bounds the attempts in flight. Zero: no bound.
	MaxInFlight int

	// MaxPerAnswer bounds the addresses used of one answer; the others are
	// skipped. Zero: no bound. Addresses given without a question have none.
	MaxPerAnswer int
}

// Default returns the recommended values of RFC 8305 section 8 for a staggered
// race, with no questions and no limits.
func Default() Config {
	return Config{
		AttemptDelay:    DefaultAttemptDelay,
		ResolutionDelay: DefaultResolutionDelay,
	}
}

// preferredFamily is the family whose answer opens the gate at once. RFC 8305
// section 3 waits for AAAA; draft v3, section 4.2, waits for A where this host has
// a default route for IPv4 alone.
func (c *Config) preferredFamily() addrsel.Family {
	switch {
	case c.Ranking.PreferredFamily != addrsel.FamilyAny:
		return c.Ranking.PreferredFamily
	case c.OnlyRouted != addrsel.FamilyAny:
		return c.OnlyRouted
	default:
		return addrsel.FamilyIPv6
	}
}

func word(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return "?"
	}
	return names[i]
}
