package racer

import (
	"net/netip"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// Origin says where a candidate comes from.
type Origin uint8

const (
	// OriginLiteral was written by the caller.
	OriginLiteral Origin = iota + 1
	// OriginA came with an answer for IPv4 addresses.
	OriginA
	// OriginAAAA came with an answer for IPv6 addresses.
	OriginAAAA
)

func originOf(t sched.RecordType) Origin {
	if t == sched.A {
		return OriginA
	}
	return OriginAAAA
}

// Candidate is an endpoint that was, or could have been, tried.
type Candidate struct {
	Position int              // in the ranked order, from 1
	Endpoint netip.AddrPort   // an IPv4-mapped address is IPv4
	Origin   Origin           // where it comes from
	Name     string           // it was resolved from; empty for a literal
	Label    string           // the caller's
	Index    int              // of the caller's candidate, from 0; -1: the target was a name
	Outcome  sched.Outcome    // its one final one
	Skip     sched.SkipReason // with sched.OutcomeSkipped
	Reason   addrsel.Reason   // why it stands before the next one
	Source   netip.Addr       // this host would send from; zero: none, or skipped
	Attempts []Attempt        // in the order of starts; a second one is a backup, or a probe's next round
	// IfFirst is how much later than the win the caller would have been connected,
	// had this candidate been tried first; negative: that much sooner. nil: it is not
	// known, because it did not connect or nobody won.
	IfFirst *time.Duration

	known time.Duration // since Run.Start: when an answer brought it
}

// Family returns the address's family.
func (c *Candidate) Family() addrsel.Family { return addrsel.FamilyOf(c.Endpoint.Addr()) }

// Won returns the attempt that won; nil: none did.
func (c *Candidate) Won() *Attempt {
	for i := range c.Attempts {
		if c.Attempts[i].Outcome == sched.OutcomeWon {
			return &c.Attempts[i]
		}
	}
	return nil
}

// Attempt is one try at a candidate: a TCP handshake, and what Options.Criterion wants
// beyond it.
type Attempt struct {
	Number   int            // from 1: in a race by start, in a probe the round
	Trigger  sched.Trigger  // why it started when it did
	Delay    time.Duration  // how long the next one waits for it; 0: not by its delay
	Basis    sched.Basis    // where Delay comes from
	Deferral *Deferral      // its wait for one of the Limits before it could start; nil: it had none
	Begun    bool           // the first packet left; Start counts
	Start    time.Duration  // since Run.Start
	Up       time.Duration  // since Run.Start: when TCP was up, by the kernel's clock; 0: there are no stages beyond it, or it never was
	End      time.Duration  // since Run.Start: when it connected by the kernel's clock, or its outcome was known
	Noticed  time.Duration  // since Run.Start: when this process learned that TCP was up; 0: then
	Kernel   sched.Kernel   // what the operating system knows of it
	Stages   *sched.Stages  // what the stages beyond TCP brought; nil: there were none
	Local    netip.AddrPort // the local end; zero: not known
	Outcome  sched.Outcome  // its one final one
	// Failure says why it failed or timed out. It is set also when the attempt
	// connected in the instant its time was up (OutcomeConnectedLate).
	Failure sched.Failure
}

// Phases are its stages in order; none when it never left this host. One that failed,
// was not done in time, or was given up is the last.
func (a *Attempt) Phases() []sched.Phase {
	if !a.Begun {
		return nil
	}
	up := a.Up
	if up == 0 {
		up = a.End
	}
	phases := []sched.Phase{{Kind: sched.PhaseTCP, Start: a.Start, Duration: up - a.Start}}
	if a.Stages != nil {
		phases = append(phases, a.Stages.Phases...)
	}
	phases[len(phases)-1].Failed = a.Failure != (sched.Failure{})
	return phases
}

// NoticeDelay is how late this process learned that TCP was up.
func (a *Attempt) NoticeDelay() time.Duration {
	switch {
	case a.Noticed == 0:
		return 0
	case a.Up > 0:
		return a.Noticed - a.Up
	default:
		return a.Noticed - a.End
	}
}

// Duration is how long the attempt took until it connected, failed or was given
// up; 0 when it never left this host.
func (a *Attempt) Duration() time.Duration {
	if !a.Begun {
		return 0
	}
	return a.End - a.Start
}

// later returns the attempt with all offsets moved by base; what did not happen stays
// at 0.
func (a Attempt) later(base time.Duration) Attempt {
	if a.Begun {
		a.Start += base
	}
	a.End += base
	if a.Deferral != nil {
		deferral := *a.Deferral
		deferral.Start += base
		a.Deferral = &deferral
	}
	for _, at := range []*time.Duration{&a.Up, &a.Noticed} {
		if *at > 0 {
			*at += base
		}
	}
	a.Stages = stagesLater(a.Stages, base)
	return a
}

// stagesLater returns them with all offsets moved by base.
func stagesLater(s *sched.Stages, base time.Duration) *sched.Stages {
	if s == nil {
		return nil
	}
	moved := *s
	moved.Phases = slices.Clone(s.Phases)
	for i := range moved.Phases {
		moved.Phases[i].Start += base
	}
	return &moved
}

// ScheduledStart is an attempt a race would make.
type ScheduledStart struct {
	Position int            // of the candidate, from 1
	Endpoint netip.AddrPort // of the candidate
	Start    time.Duration  // since Run.Start
	Trigger  sched.Trigger  // why then
	Delay    time.Duration  // how long the next one would wait for it; 0: not by its delay
	Basis    sched.Basis    // where Delay comes from
}

// schedule replays the answers of a resolution through a race in which every
// attempt stays silent.
func schedule(cfg sched.Config, log []sched.Entry, ranked []Candidate) []ScheduledStart {
	var answers []sched.Event
	for _, entry := range log {
		if entry.Event.Kind == sched.Resolved {
			answers = append(answers, entry.Event)
		}
	}
	positions := make(map[netip.AddrPort]int, len(ranked))
	for _, c := range ranked {
		if c.Outcome != sched.OutcomeSkipped {
			positions[c.Endpoint] = c.Position
		}
	}
	endpoints := make(map[int]netip.AddrPort, len(ranked))
	for _, e := range answers {
		for _, c := range e.Candidates {
			endpoints[c.ID] = c.Endpoint
		}
	}
	var starts []ScheduledStart
	for _, p := range sched.Plan(cfg, answers) {
		starts = append(starts, ScheduledStart{
			Position: positions[endpoints[p.Candidate]],
			Endpoint: endpoints[p.Candidate],
			Start:    p.At,
			Trigger:  p.Trigger,
			Delay:    p.Delay,
			Basis:    p.Basis,
		})
	}
	return starts
}
