package racer

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// tried is a candidate with one attempt that started then.
func tried(endpoint string, o sched.Outcome, start time.Duration, fault sched.Fault) Candidate {
	a := Attempt{Begun: true, Start: start, End: start + 100*ms, Outcome: o}
	if o == sched.OutcomeFailed || o == sched.OutcomeTimedOut {
		a.Failure = sched.Failure{Type: "some_failure", Fault: fault}
	}
	return Candidate{Endpoint: netip.MustParseAddrPort(endpoint), Outcome: o, Attempts: []Attempt{a}}
}

// What is masked hangs on when an attempt started, how it ended and whose fault
// that was; the winner here is IPv4 and started at 100 ms.
func TestMasked(t *testing.T) {
	const six, four = "[2001:db8::1]:443", "192.0.2.2:443"
	target, path, host, unknown := sched.FaultTarget, sched.FaultPath, sched.FaultHost, sched.FaultUnknown
	unbegun := tried(six, sched.OutcomeCancelled, 0, unknown)
	unbegun.Attempts[0].Begun = false
	for _, c := range []struct {
		name     string
		loser    Candidate
		masked   bool
		families bool // IPv6 is called broken
	}{
		{"refused before", tried(six, sched.OutcomeFailed, 0, target), true, true},
		{"refused after", tried(six, sched.OutcomeFailed, 150*ms, target), true, true},
		{"unreachable", tried(six, sched.OutcomeFailed, 0, path), true, true},
		{"failed for unknown reasons", tried(six, sched.OutcomeFailed, 0, unknown), true, true},
		{"timed out", tried(six, sched.OutcomeTimedOut, 0, target), true, true},
		{"this host's trouble", tried(six, sched.OutcomeFailed, 0, host), false, false},
		{"silent from long before", tried(six, sched.OutcomeCancelled, 0, unknown), true, true},
		{"silent from 10 ms before", tried(six, sched.OutcomeCancelled, 90*ms, unknown), true, true},
		{"silent from just before", tried(six, sched.OutcomeCancelled, 90*ms+1, unknown), false, false},
		{"silent from the same moment", tried(six, sched.OutcomeCancelled, 100*ms, unknown), false, false},
		{"silent from later", tried(six, sched.OutcomeCancelled, 150*ms, unknown), false, false},
		{"never left this host", unbegun, false, false},
		{"connected late", tried(six, sched.OutcomeConnectedLate, 0, unknown), false, false},
		{"never started", Candidate{Endpoint: netip.MustParseAddrPort(six)}, false, false},
		{"twice silent from long before", twice(tried(six, sched.OutcomeCancelled, 0, unknown), sched.OutcomeCancelled, 200*ms), true, true},
		{"silent, and its backup refused", twice(tried(six, sched.OutcomeCancelled, 0, unknown), sched.OutcomeFailed, 50*ms), true, true},
		{"refused, and its backup silent", twice(tried(six, sched.OutcomeFailed, 0, target), sched.OutcomeCancelled, 50*ms), true, true},
		{"silent, and connected late by its backup", twice(late(six), sched.OutcomeConnectedLate, 50*ms), false, false},
		{"skipped", Candidate{Endpoint: netip.MustParseAddrPort(six), Outcome: sched.OutcomeSkipped}, false, false},
		{"refused, of the winner's family", tried(four, sched.OutcomeFailed, 0, target), true, false},
		{"silent, of the winner's family", tried(four, sched.OutcomeCancelled, 0, unknown), true, false},
	} {
		cs := []Candidate{c.loser, tried("192.0.2.1:443", sched.OutcomeWon, 100*ms, unknown)}
		m := maskedBy(cs, &cs[1])
		if got := len(m.Addresses) == 1; got != c.masked {
			t.Errorf("%s: masked are %v", c.name, m.Addresses)
		}
		if got := slices.Equal(m.Families, []addrsel.Family{addrsel.FamilyIPv6}); got != c.families {
			t.Errorf("%s: broken families are %v", c.name, m.Families)
		}
		if got := m.Summary(&cs[1]) != ""; got != c.masked {
			t.Errorf("%s: the summary is %q", c.name, m.Summary(&cs[1]))
		}
	}
}

// twice is a candidate that has a backup too.
func twice(c Candidate, o sched.Outcome, start time.Duration) Candidate {
	backup := tried(c.Endpoint.String(), o, start, sched.FaultTarget).Attempts[0]
	backup.Trigger = sched.TriggerBackup
	c.Attempts = append(c.Attempts, backup)
	return c
}

// late is a candidate whose first attempt was cancelled, and that connected late.
func late(endpoint string) Candidate {
	c := tried(endpoint, sched.OutcomeCancelled, 0, sched.FaultUnknown)
	c.Outcome = sched.OutcomeConnectedLate
	return c
}

// A winner by its backup started when the backup did: who has been silent from
// before that is masked, and its own first attempt is not.
func TestMaskedByAWinningBackup(t *testing.T) {
	won := twice(tried("192.0.2.1:443", sched.OutcomeCancelled, 0, sched.FaultUnknown), sched.OutcomeWon, 250*ms)
	won.Outcome = sched.OutcomeWon
	for start, masked := range map[time.Duration]bool{100 * ms: true, 240 * ms: true, 240*ms + 1: false, 250 * ms: false} {
		cs := []Candidate{won, tried("[2001:db8::1]:443", sched.OutcomeCancelled, start, sched.FaultUnknown)}
		m := maskedBy(cs, &cs[0])
		if len(m.Addresses) > 1 || (len(m.Addresses) == 1) != masked || (len(m.Families) == 1) != masked {
			t.Errorf("silent from %v: masked are %+v", start, m)
		}
	}
}

// A family is broken when all of it that was tried is.
func TestMaskedFamilyNeedsEveryAddressTried(t *testing.T) {
	won := tried("192.0.2.1:443", sched.OutcomeWon, 100*ms, sched.FaultUnknown)
	refused := tried("[2001:db8::1]:443", sched.OutcomeFailed, 0, sched.FaultTarget)
	for _, c := range []struct {
		name   string
		other  Candidate
		broken bool
	}{
		{"refused as well", tried("[2001:db8::2]:443", sched.OutcomeTimedOut, 0, sched.FaultTarget), true},
		{"merely slower", tried("[2001:db8::2]:443", sched.OutcomeCancelled, 100*ms, sched.FaultUnknown), false},
		{"connected late", tried("[2001:db8::2]:443", sched.OutcomeConnectedLate, 0, sched.FaultUnknown), false},
		{"this host's trouble", tried("[2001:db8::2]:443", sched.OutcomeFailed, 0, sched.FaultHost), false},
		{"never started", Candidate{Endpoint: netip.MustParseAddrPort("[2001:db8::2]:443")}, true},
	} {
		cs := []Candidate{refused, c.other, won}
		if m := maskedBy(cs, &cs[2]); (len(m.Families) == 1) != c.broken {
			t.Errorf("the other %s: broken families are %v", c.name, m.Families)
		}
	}
}

func TestNothingIsMaskedWithoutWinner(t *testing.T) {
	cs := []Candidate{tried("192.0.2.1:443", sched.OutcomeFailed, 0, sched.FaultTarget)}
	m := maskedBy(cs, nil)
	if len(m.Addresses)+len(m.Families) > 0 || m.Summary(nil) != "" {
		t.Errorf("masked are %v: %q", m, m.Summary(nil))
	}
}

// RFC 8305 section 9.3: Happy Eyeballs hides a broken IPv6 from its operators, so
// a result tells them (H2-43).
func TestMaskedIPv6IsInTheResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.resolves("two.example", sched.AAAA, 5*ms, "2001:db8::1")
		n.resolves("two.example", sched.A, 6*ms, "192.0.2.1")
		n.host("[2001:db8::1]:443", silent)
		n.host("192.0.2.1:443", connects(20*ms))
		result, err := n.racer().Race(t.Context(), RaceRequest{Target: Target{Name: "two.example:443"}})
		must(t, err)
		if !slices.Equal(result.Masked.Families, []addrsel.Family{addrsel.FamilyIPv6}) {
			t.Errorf("broken families are %v", result.Masked.Families)
		}
		want := []MaskedAddress{{
			Position: 1, Endpoint: netip.MustParseAddrPort("[2001:db8::1]:443"),
			Outcome: sched.OutcomeCancelled, Phase: sched.PhaseTCP, Duration: 270 * ms,
		}}
		if !slices.Equal(result.Masked.Addresses, want) {
			t.Errorf("masked are %+v, want %+v", result.Masked.Addresses, want)
		}
		const sentence = "won over IPv4; IPv6 did not work: [2001:db8::1]:443 (silent for 270ms)"
		if got := result.Masked.Summary(result.Winner); got != sentence {
			t.Errorf("the summary is %q, want %q", got, sentence)
		}
	})
}
