package sched

import (
	"cmp"
	"net/netip"
	"time"
)

// NoQuestion is the Question of an answer nobody was asked for: the addresses
// the caller gave.
const NoQuestion = -1

// EventKind says what happened. It is in the past tense.
type EventKind uint8

const (
	// Resolved is an answer: Question, Answer, Candidates, and Failure when the
	// answer is not Positive. A later answer to the same question replaces the
	// earlier one.
	Resolved EventKind = iota + 1
	// Started says that the SYN of Attempt has left, from Local when known. After
	// Deferred it comes only when Proceed has been told.
	Started
	// Connected says that Attempt has succeeded. At is when it did, by the best
	// clock there is: the earliest of one Step wins.
	Connected
	// Progressed says that a stage of Attempt is done and the next one waits for
	// Proceed: TCP is up, and the TLS handshake could begin.
	Progressed
	// Failed says that Attempt has failed, and why. It may come without Started
	// when this host could not even open a socket, but not while Attempt is deferred.
	Failed
	// Cancelled confirms a Cancel that nothing else outran.
	Cancelled
	// Stopped says that the caller wants the race to end now, and why (End).
	Stopped
	// Deferred answers a Start instead of Started: there is no room for Attempt yet,
	// and why (Defer). It comes once at the most.
	Deferred
	// Admitted says that there is room now for Attempt, which was Deferred, and that
	// it is kept. The attempt starts when Proceed says so.
	Admitted
)

var eventNames = []string{"?", "resolved", "started", "connected", "progressed", "failed", "cancelled", "stopped", "deferred", "admitted"}

// String returns a stable word such as "connected".
func (k EventKind) String() string { return word(eventNames, int(k)) }

// Event is one thing that happened. Which fields count depends on Kind.
type Event struct {
	Kind EventKind     // what happened
	At   time.Duration // when it happened, since the race began

	Question   int         // Resolved: its id, or NoQuestion
	Answer     Answer      // Resolved
	Candidates []Candidate // Resolved
	// Follow are the questions that follow from a Resolved: the target of an alias,
	// the addresses of a service's target. One that has been asked is not asked
	// again.
	Follow []Question

	Attempt int            // Started, Connected, Progressed, Failed, Cancelled, Deferred, Admitted
	Local   netip.AddrPort // Started, Connected, Progressed, Failed, Cancelled: the local end, if known
	// Noticed is when this process learned of it, At being when it happened by a
	// better clock: the kernel's. Connected; zero: At is both.
	Noticed time.Duration
	Kernel  Kernel  // Connected, Failed, Cancelled: as far as it is known
	Stages  *Stages // Connected, Failed, Cancelled: of an attempt with stages after TCP
	Failure Failure // Failed, and Resolved without addresses

	End EndReason // Stopped

	Defer DeferReason // Deferred
}

// Kernel is what the operating system knows of an attempt. The race passes it on
// and never looks at it. The zero value: nothing is known.
type Kernel struct {
	RTT         time.Duration // of the handshake; 0: not measured
	Deviation   time.Duration // of it, by RFC 6298; 0: not measured
	SYNRepeats  int           // how many times the SYN was sent again
	MSS         int           // bytes in a segment to the peer; 0: not negotiated
	Timestamps  bool          // RFC 7323 timestamps are in use
	SACK        bool          // selective acknowledgements are in use
	WindowScale bool          // RFC 7323 window scaling is in use
	ECN         bool          // explicit congestion notification is in use
}

// DeferReason says what there is too much of for an attempt to start: a limit that
// holds across races. The race passes it on and never looks at it, except that there
// must be one.
type DeferReason uint8

const (
	// DeferNone is an attempt that is not deferred.
	DeferNone DeferReason = iota
	// DeferDescriptors is this process's file descriptors.
	DeferDescriptors
	// DeferInFlight is the attempts in flight.
	DeferInFlight
	// DeferRate is the attempts per second.
	DeferRate
	// DeferCallerInFlight is the caller's attempts in flight.
	DeferCallerInFlight
	// DeferCallerRate is the caller's attempts per second.
	DeferCallerRate
	// DeferDestinationInFlight is the attempts in flight to the destination.
	DeferDestinationInFlight
	// DeferDestinationRate is the attempts per second to the destination.
	DeferDestinationRate
	// DeferPrefixInFlight is the attempts in flight to the destination's prefix.
	DeferPrefixInFlight
	// DeferPrefixRate is the attempts per second to the destination's prefix.
	DeferPrefixRate
)

var deferNames = []string{
	"", "descriptors", "in_flight", "rate", "caller_in_flight", "caller_rate",
	"destination_in_flight", "destination_rate", "prefix_in_flight", "prefix_rate",
}

// String returns a stable word such as "caller_rate"; DeferNone is empty.
func (d DeferReason) String() string { return word(deferNames, int(d)) }

// Answer says how a question ended.
type Answer uint8

const (
	// Positive brought at least one address, or service information.
	Positive Answer = iota
	// NotFound says there is no such record: the name does not exist or has
	// none of this type.
	NotFound
	// Broken says the question could not be answered.
	Broken
)

var answerNames = []string{"positive", "not_found", "failed"}

// String returns a stable word such as "not_found".
func (a Answer) String() string { return word(answerNames, int(a)) }

// Candidate is an endpoint with the facts that travel in with the answer. The
// race never calls out for more.
type Candidate struct {
	// ID is the candidate's number: a new one gets the next, starting at 0; one
	// that an earlier answer to the same question brought keeps its own. Its Place,
	// Group, Expect and Skip may have changed; Skip and the Group's Protocol count only
	// as long as it has not been tried.
	ID int
	// Endpoint is where; an IPv4-mapped IPv6 address counts as IPv4.
	Endpoint netip.AddrPort
	// Source is the address this host would send from; zero: it has none.
	Source netip.Addr
	// Place orders what the ranking leaves equal (RFC 6724 rule 10): the lower one
	// comes first, of two the same the lower ID.
	Place int
	// SourceBits is the length of the source's on-link prefix; 0: unknown.
	SourceBits int
	// Group is the group of endpoints that it belongs to.
	Group Group
	// Hint is the name whose A or AAAA answer replaces it, in lower case: it is an
	// address hint of a service record (RFC 9460 section 7.3). Empty: it is none.
	Hint string
	// Expect is what is known of how long a connect to it takes.
	Expect Expectation
	// Skip says why the candidate must not be tried; SkipNone: it may.
	Skip SkipReason
}

// Group is a group of endpoints: all of a lower one start before those of a higher
// one, and within a group RFC 6724 and the families' turns decide. Groups compare
// by the fields in their order; the zero value is the lowest.
type Group struct {
	// Protocol orders what differs in protocol or security, the preferred first:
	// draft v3, section 5.1. An endpoint that is in two of these groups is dialled
	// once in each.
	Protocol uint8
	// Priority is the service's: draft v3, section 5.2, and RFC 9460 section 2.4.1.
	// What has no service where there are some has the highest.
	Priority uint16
	// Draw orders services of the same priority, by lot.
	Draw uint16
}

// compareGroups is negative when a comes before b.
func compareGroups(a, b Group) int {
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Draw, b.Draw))
}

// SkipReason says why a candidate is not tried.
type SkipReason uint8

const (
	// SkipNone is a candidate that may be tried.
	SkipNone SkipReason = iota
	// SkipDenied is forbidden by the destination policy.
	SkipDenied
	// SkipFamily is of a family the caller excluded.
	SkipFamily
	// SkipDuplicate has the endpoint of a candidate that came before it.
	SkipDuplicate
	// SkipTooMany came behind Config.MaxPerAnswer others in its answer.
	SkipTooMany
	// SkipProtocol has no protocol in common with the client (RFC 9460 section 7.1.2).
	SkipProtocol
	// SkipSource is of a family that the caller has given no address to connect from.
	SkipSource
)

var skipNames = []string{"", "denied_by_policy", "family_excluded", "duplicate", "too_many_addresses", "no_common_protocol", "source_excluded"}

// String returns a stable word such as "duplicate"; SkipNone is empty.
func (s SkipReason) String() string { return word(skipNames, int(s)) }

// Fault says whose trouble a failure is.
type Fault uint8

const (
	// FaultUnknown cannot be told.
	FaultUnknown Fault = iota
	// FaultTarget is the destination's: it refused, or it was silent.
	FaultTarget
	// FaultPath is the network's between here and there.
	FaultPath
	// FaultHost is this host's own: no descriptors, no ports, no route. It says
	// nothing about the destination.
	FaultHost
)

var faultNames = []string{"unknown", "target", "path", "host"}

// String returns a stable word such as "host".
func (f Fault) String() string { return word(faultNames, int(f)) }

// Failure says why an attempt or a question failed. The race passes it on and
// never looks at it.
type Failure struct {
	Type  string // OpenTelemetry's error.type, such as "connection_refused"
	Errno string // the name of the errno, such as "ECONNREFUSED"; empty: there is none
	Text  string // a sentence for a person, what to do next included where that is known
	Fault Fault  // whose trouble it is
	ICMP  ICMP   // what the network said; the zero value: nothing, or it is not known
}

// ICMP is an ICMP error that a SYN was answered with: of RFC 792 if From is IPv4, of
// RFC 4443 if it is IPv6.
type ICMP struct {
	// From is who sent it: a router, the target itself, or this host, whose next hop
	// does not answer or whose firewall forbids it. Invalid: nobody.
	From netip.Addr
	Type uint8  // such as 3, destination unreachable
	Code uint8  // such as 13
	Word string // a stable word such as "admin_prohibited"; "other" where there is none
}
