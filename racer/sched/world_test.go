package sched

import (
	"net/netip"
	"time"
)

// world is all that surrounds a race: a resolver, a network, a caller and an
// engine that may oversleep. It is in virtual time and the same on every run.
type world struct {
	name      string // for failure messages
	cfg       Config
	answers   []answer
	endpoints map[netip.AddrPort]behaviour // by unmapped endpoint
	stops     []stop
	naps      []nap

	// oversleep bounds how much later than it wanted to the engine wakes.
	oversleep time.Duration
	// shuffle lets a batch come in any order that keeps an attempt's own.
	shuffle bool
	seed    uint64 // of both
}

// answer comes after a time since its question was asked, that of NoQuestion
// since the race began. The race must get the candidates' ids with it, so they
// are given when it comes.
type answer struct {
	question int
	after    time.Duration
	status   Answer
	found    []Candidate
}

// behaviour is what an endpoint does to an attempt.
type behaviour struct {
	late    time.Duration // from Start to Started
	unable  bool          // Failed instead of Started
	outcome EventKind     // Connected or Failed; 0: silent
	after   time.Duration // from Started to outcome
	// confirm is how long a Cancel is under way. What happens before it arrives
	// happens all the same.
	confirm time.Duration
	// stubborn connects when the Cancel arrives.
	stubborn bool
}

// stop is a caller who wants the race to end.
type stop struct {
	at  time.Duration
	why EndReason
}

// nap is a time in which the engine does not run; what happens in it comes as
// one batch at its end.
type nap struct{ from, to time.Duration }
