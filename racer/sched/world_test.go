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
	// question is the id of one that is asked at the beginning, or NoQuestion.
	question int
	// to is instead the question itself, when the race asks it later and numbers it
	// then. Zero: question counts.
	to     Question
	after  time.Duration
	status Answer
	found  []Candidate
	follow []Question
}

// answers says that an answer is one to the question with an id.
func (a *answer) answers(id int, q Question) bool {
	if a.to != (Question{}) {
		return a.to == q
	}
	return a.question == id
}

// behaviour is what an endpoint does to an attempt.
type behaviour struct {
	late   time.Duration // from Start, or the Proceed of what was deferred, to Started
	unable bool          // Failed instead of Started
	// full is why the attempt can't start yet: Deferred comes instead of Started.
	full DeferReason
	// lateFull is from Start to Deferred, and room from there to Admitted. Negative: that
	// never comes.
	lateFull, room time.Duration
	// stages are the parts of a handshake before the last one. Each Progressed comes
	// that long after Started or the Proceed before it.
	stages []time.Duration
	// hangup is how long the endpoint waits for a Proceed. Then it fails. Zero: for
	// ever.
	hangup  time.Duration
	outcome EventKind     // Connected or Failed; 0: silent
	after   time.Duration // from Started, or from the last Proceed, to outcome
	// confirm is how long a Cancel is under way. What happens before it arrives
	// happens all the same.
	confirm time.Duration
	// stubborn connects when the Cancel arrives, if it is at its last stage.
	stubborn bool
	// backup is what the endpoint does to a backup attempt. Nil: the same.
	backup *behaviour
}

// stop is a caller who wants the race to end.
type stop struct {
	at  time.Duration
	why EndReason
}

// nap is a time in which the engine does not run; what happens in it comes as
// one batch at its end.
type nap struct{ from, to time.Duration }
