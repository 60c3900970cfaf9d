package sched

import (
	"fmt"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// firstStartIsAtTheGate: RFC 8305 section 3 and draft v3, section 4.2. H2-03, H2-05
// to H2-08b; H3-07, H3-09, H3-10, H3-12, H3-14 and H3-15.
func firstStartIsAtTheGate(a *account) error {
	first := never
	if len(a.tries) > 0 {
		first = a.tries[0].asked
	}
	opens := a.gateOpens()
	over := a.overAt()
	switch {
	case a.cfg.Goal == Order && first != never:
		return fmt.Errorf("an attempt starts, but only the order was asked for")
	case a.cfg.Goal == Order || first == opens || first == never && opens >= over:
		return nil
	}
	return fmt.Errorf("first start in step %d, the gate opens in step %d, the race is over in step %d", first, opens, over)
}

// gateOpens returns the first step in which the first attempt may start.
func (a *account) gateOpens() int {
	for n, s := range a.steps {
		open := a.expectsNothing(n) || s.now >= a.resolutionDelayEnds(n)
		if open && len(a.ranking(n)) > 0 {
			return n
		}
	}
	return never
}

// expectsNothing says that the first attempt had no answer to wait for.
func (a *account) expectsNothing(step int) bool {
	return a.preferredAnswered(step) && (a.cfg.Version == V2 || a.allAnswered(step, forService))
}

// resolutionDelayEnds counts from the step that brought the first address.
func (a *account) resolutionDelayEnds(step int) time.Duration {
	if a.firstAddress > step {
		return time.Hour
	}
	return a.steps[a.firstAddress].now + a.cfg.ResolutionDelay
}

// preferredAnswered says that an address of the preferred family is known, or that
// each question for it has been answered that was asked at the beginning.
func (a *account) preferredAnswered(step int) bool {
	preferred := a.preferred()
	for _, r := range a.ranking(step) {
		if addrsel.FamilyOf(r.endpoint.Addr()) == preferred.Family() {
			return true
		}
	}
	for id, q := range a.cfg.Questions {
		if q.Type == preferred && !a.answered(id, step) {
			return false
		}
	}
	return true
}

func (a *account) preferred() RecordType {
	routed := addrsel.FamilyAny
	if a.cfg.Version == V3 {
		routed = a.cfg.OnlyRouted // H3-12
	}
	for _, f := range []addrsel.Family{a.cfg.Ranking.PreferredFamily, routed} {
		switch f {
		case addrsel.FamilyIPv4:
			return A
		case addrsel.FamilyIPv6:
			return AAAA
		}
	}
	return AAAA
}
