package racer

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// Masked is the trouble a successful race hides from its caller. Zero: none.
type Masked struct {
	// Families of which every address that was tried is in Addresses, while the
	// winner is of the other family.
	Families []addrsel.Family
	// Addresses that failed, timed out, or had been silent since before the
	// winner's attempt started.
	Addresses []MaskedAddress
}

// MaskedAddress is one address that did not work.
type MaskedAddress struct {
	Position int             // of the candidate, from 1
	Endpoint netip.AddrPort  // of the candidate
	Outcome  sched.Outcome   // OutcomeCancelled: silent until the race was won
	Phase    sched.PhaseKind // that it was in, or failed in
	Duration time.Duration   // of its attempt
	Failure  sched.Failure   // zero when it was silent
}

// Summary says all of it in a sentence; empty when nothing was masked.
func (m *Masked) Summary(winner *Candidate) string {
	if winner == nil || len(m.Addresses) == 0 {
		return ""
	}
	if len(m.Families) == 0 {
		return "did not work: " + list(m.Addresses)
	}
	broken := m.Families[0]
	var ofFamily, others []MaskedAddress
	for _, a := range m.Addresses {
		if addrsel.FamilyOf(a.Endpoint.Addr()) == broken {
			ofFamily = append(ofFamily, a)
		} else {
			others = append(others, a)
		}
	}
	text := fmt.Sprintf("won over %s; %s did not work: %s", familyName(winner.Family()), familyName(broken), list(ofFamily))
	if len(others) > 0 {
		text += "; nor did " + list(others)
	}
	return text
}

// shownMasked is how many addresses a sentence bears.
const shownMasked = 4

func list(addresses []MaskedAddress) string {
	var parts []string
	for i := range addresses {
		if i == shownMasked {
			parts = append(parts, fmt.Sprintf("and %d more", len(addresses)-i))
			break
		}
		parts = append(parts, addresses[i].String())
	}
	return strings.Join(parts, ", ")
}

// String says what happened to the address, such as "[::1]:443 (silent for
// 251ms)".
func (a *MaskedAddress) String() string {
	in := ""
	if a.Phase > sched.PhaseTCP {
		in = " in " + a.Phase.Text()
	}
	switch took := a.Duration.Round(time.Millisecond); a.Outcome {
	case sched.OutcomeFailed:
		return fmt.Sprintf("%s (%s%s)", a.Endpoint, a.Failure.Type, in)
	case sched.OutcomeTimedOut:
		return fmt.Sprintf("%s (timed out%s after %v)", a.Endpoint, in, took)
	default:
		return fmt.Sprintf("%s (silent%s for %v)", a.Endpoint, in, took)
	}
}

func familyName(f addrsel.Family) string {
	if f == addrsel.FamilyIPv4 {
		return "IPv4"
	}
	return "IPv6"
}

func maskedBy(candidates []Candidate, winner *Candidate) Masked {
	var m Masked
	if winner == nil {
		return m
	}
	tried, broken := 0, 0 // of the family that did not win
	for i := range candidates {
		c := &candidates[i]
		other := c.Family() != winner.Family()
		if other && len(c.Attempts) > 0 && c.Outcome != sched.OutcomeNotStarted {
			tried++
		}
		if hidden(c, winner) {
			m.Addresses = append(m.Addresses, maskedAddress(c))
			if other {
				broken++
			}
		}
	}
	if tried > 0 && broken == tried {
		m.Families = append(m.Families, winner.Family().Other())
	}
	return m
}

// hidden says whether the candidate did not work. A silent one counts when it
// had a head start: one that started together with the winner was only slower.
func hidden(c, winner *Candidate) bool {
	switch c.Outcome {
	case sched.OutcomeFailed, sched.OutcomeTimedOut:
		return c.Attempts[0].Failure.Fault != sched.FaultHost
	case sched.OutcomeCancelled:
		a := &c.Attempts[0]
		return a.Begun && a.Start+sched.MinAttemptDelay <= winner.Won().Start
	default:
		return false
	}
}

func maskedAddress(c *Candidate) MaskedAddress {
	a := &c.Attempts[0]
	var phase sched.PhaseKind
	if phases := a.Phases(); len(phases) > 0 {
		phase = phases[len(phases)-1].Kind
	}
	return MaskedAddress{
		Position: c.Position,
		Endpoint: c.Endpoint,
		Outcome:  c.Outcome,
		Phase:    phase,
		Duration: a.Duration(),
		Failure:  a.Failure,
	}
}
