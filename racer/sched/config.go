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
	// LastResortDelay is the recommended Last Resort Local Synthesis Delay.
	LastResortDelay = 2 * time.Second
)

const (
	// DefaultFallbackDelay is how long a family is tried alone in the example of RFC
	// 6555 section 5, and in Go and Chromium.
	DefaultFallbackDelay = 300 * time.Millisecond
	// SecondSYN is when a kernel repeats a SYN that nothing came back for: the
	// initial retransmission timeout of RFC 6298 section 2.1. A backup attempt makes
	// sense before that only.
	SecondSYN = time.Second
)

// Version is an edition of Happy Eyeballs. They differ in a few details of time:
//
//	                                         V3            V2
//	first attempt waits for                  preferred     AAAA (without a
//	                                         family that   preference), also
//	                                         is routed     where it has no route
//	... and for service information          yes           no
//	a late address is sorted among           all           the untried
//	a handshake that makes progress          is left its   counts from
//	                                         delay anew    its start
//
// Both take an error for an answer (v3, section 4.2); RFC 8305 leaves that open.
type Version uint8

const (
	// V3 is draft-ietf-happy-happyeyeballs-v3.
	V3 Version = iota
	// V2 is RFC 8305.
	V2
)

var versionNames = []string{"v3", "v2"}

// String returns a stable word such as "v3".
func (v Version) String() string { return word(versionNames, int(v)) }

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
	// FamilyFallback tries the addresses of the first family one after the other,
	// and beside it those of the other one, which begins when AttemptDelay has passed
	// or nothing is left of the first: RFC 6555.
	FamilyFallback
	// Adaptive is Staggered with a delay of its own for each attempt, by what is
	// known of its candidate (Candidate.Expect): RFC 8305 section 5. Where nothing
	// is known, AttemptDelay is used.
	Adaptive
)

var strategyNames = []string{"staggered", "sequential", "all_at_once", "first_then_all", "family_fallback", "adaptive"}

// String returns a stable word such as "staggered".
func (s Strategy) String() string { return word(strategyNames, int(s)) }

// RecordType is the DNS type of a question.
type RecordType uint8

const (
	// A asks for IPv4 addresses.
	A RecordType = iota + 1
	// AAAA asks for IPv6 addresses.
	AAAA
	// HTTPS asks for service information of a web origin (RFC 9460).
	HTTPS
	// SVCB asks for service information of any other service (RFC 9460).
	SVCB
)

var recordTypeNames = []string{"?", "A", "AAAA", "HTTPS", "SVCB"}

// String returns the type as DNS writes it.
func (t RecordType) String() string { return word(recordTypeNames, int(t)) }

// Family returns the address family the type asks for; FamilyAny: it asks for
// service information.
func (t RecordType) Family() addrsel.Family {
	switch t {
	case A:
		return addrsel.FamilyIPv4
	case AAAA:
		return addrsel.FamilyIPv6
	default:
		return addrsel.FamilyAny
	}
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
	Version  Version  // of Happy Eyeballs

	// Questions are asked at the beginning, all at once and in this order; draft
	// v3, section 4.1, wants HTTPS or SVCB before AAAA before A. A question's id is
	// its index; those that are asked later get the ids that follow.
	Questions []Question

	// Service says what service information means to the client.
	Service Service

	// LastResort are questions for a network without IPv4 whose IPv6 addresses may
	// be broken: they are asked when LastResortDelay has passed since the last
	// candidate was started, all other questions have been answered and nothing has
	// connected (RFC 8305 section 7.2). Their answers bring IPv6 addresses that were
	// synthesised from IPv4 ones. Version 3 has no use for them: it asks for A from
	// the start.
	LastResort []Question

	// Ranking orders the candidates. Its PreferredFamily is also the family
	// whose answer the first attempt waits for.
	Ranking addrsel.Config

	// OnlyRouted is the family that this host has a route for, when it lacks one
	// for the other: without a PreferredFamily, that is whose answer the first
	// attempt waits for. FamilyAny: it has both, or neither.
	OnlyRouted addrsel.Family

	// AttemptDelay is the Connection Attempt Delay of the staggered strategy, where
	// it has no effect below MinAttemptDelay: that floor holds anyway. With
	// FirstThenAll and FamilyFallback it is the head start of the first attempt, with
	// Adaptive what is used where nothing is known.
	AttemptDelay time.Duration

	// Multiplier makes the delay of an attempt longer by this factor for each other
	// one that is live when it starts, up to MaxAttemptDelay. With 50 ms and 2 silent
	// attempts start at 0, 50, 150, 350, 750 ms. Below 1: 1. It has no effect where
	// the others have no delay. One that is deferred is not live.
	Multiplier float64

	// Quantile is the share of the past connect times of a candidate that its delay
	// covers, with Adaptive: 0.95 starts the next one beside every twentieth. Zero,
	// and where there are none: the retransmission timeout of RFC 6298.
	Quantile float64

	// MaxBackups bounds the backup attempts of the race; a candidate gets one at the
	// most. Zero: none. Sequential makes none.
	MaxBackups int

	// Grace is how long attempts that have lost may go on after the win, so that it
	// is known what they would have come to. The race is over before that when none
	// is left, and at Timeout in any case.
	Grace time.Duration

	// ResolutionDelay is how long the first known address waits for the answer
	// of the preferred family. Zero: it does not wait.
	ResolutionDelay time.Duration

	// AttemptTimeout bounds one attempt, counted from its start. Zero: only the
	// operating system bounds it. To be deferred does not count, but a backup shares the
	// time of its candidate also while it is deferred.
	AttemptTimeout time.Duration

	// Timeout bounds the race, resolution included. Zero: no bound.
	Timeout time.Duration

	// MaxInFlight bounds the attempts in flight, and one that is deferred counts: it
	// holds its turn. Zero: no bound.
	MaxInFlight int

	// MaxPerAnswer bounds the addresses used of one answer; the others are
	// skipped. Zero: no bound. Addresses given without a question have none.
	MaxPerAnswer int
}

// Service says what service information (HTTPS and SVCB records) means to the
// client: draft v3, section 6.3.
type Service struct {
	// Protected says that the answers are protected by cryptography (DNSSEC, DNS
	// over TLS, HTTPS or QUIC). Then a service question that can't be answered ends
	// the race: to go on without could be what an attacker wants.
	Protected bool
	// Usable says that the client can use a parameter that bears on security, such
	// as ech.
	Usable bool
	// Relied says that it relies on the record to make use of that.
	Relied bool
}

// Holds says that no handshake that such information could change may begin
// before it has come, however long that takes.
func (s Service) Holds() bool { return s.Protected && s.Usable && s.Relied }

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
	case c.OnlyRouted != addrsel.FamilyAny && c.Version != V2:
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
