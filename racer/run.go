package racer

import (
	"net/netip"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// Run is what every result has.
type Run struct {
	// Start is when the run began; all offsets count from it.
	Start    time.Time
	Duration time.Duration   // until it was over
	End      sched.EndReason // why it was over
	// Selection is the one in effect.
	Selection Selection
	Warnings  []Warning // about a request that was accepted
	// Queries are the questions asked, in that order.
	Queries []Query
	// Transcript is all that happened, in the order the race learned of it.
	// Everything else in a result is derived from it. nil where the request wants none.
	Transcript []Entry
}

// Query is one question to DNS.
type Query struct {
	Name     string           // asked for
	Type     sched.RecordType // asked for
	Start    time.Duration    // since Run.Start
	Answered bool             // Duration, Status and the rest count
	Duration time.Duration    // from asked to answered
	Status   sched.Answer     // how it was answered
	Addrs    []netip.Addr     // in the order the resolver gave them
	Failure  sched.Failure    // when Status is not Positive
}

// Entry is one line of a transcript, with the endpoint it is about.
type Entry struct {
	Round    int            // of a probe, from 1; 0 in a race
	Endpoint netip.AddrPort // of the candidate or attempt, if it is about one
	sched.Entry
}

// NotWonError says that nothing connected.
type NotWonError struct {
	// Result tells what happened to every candidate.
	Result *RaceResult
}

// Error names the reason the race ended; Result has every candidate's.
func (e *NotWonError) Error() string {
	return "no address could be connected to: " + e.Result.End.String()
}
