package admit

import (
	"net/netip"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// meter is one budget: of the room, of a caller, of a destination or of a prefix.
type meter struct {
	quota *quota
	scope scope
	to    netip.AddrPort // a destination's
	net   netip.Prefix   // a prefix's
	owner *caller        // a caller's

	inFlight int
	open     int // descriptors; of the room's budget only
	// settled is when all tokens taken have come in again (GCRA's theoretical arrival
	// time); until then some are owed.
	settled time.Duration

	// users are the attempts that hold or await a place, of a caller its races. A
	// meter nobody uses is forgotten as soon as it owes nothing.
	users      int
	neighbours links[*meter] // in the list of those nobody uses

	gate
}

func (m *meter) links() *links[*meter] { return &m.neighbours }

// gateOf returns where lines wait for a budget; nil if there is none.
func gateOf(m *meter) *gate {
	if m == nil {
		return nil
	}
	return &m.gate
}

func (m *meter) take(now time.Duration) {
	m.inFlight++
	if m.quota.interval > 0 {
		m.settled = max(m.settled, now) + m.quota.interval
	}
}

// use returns the meter of a key with one more user. No quota: no meter.
func use[K comparable](r *Room, all map[K]*meter, key K, s scope) *meter {
	if r.quotas[s].unlimited() {
		return nil
	}
	m := all[key]
	if m == nil {
		m = r.meters.get()
		m.quota, m.scope, m.budget = &r.quotas[s], s, m
		all[key] = m
	} else if m.users == 0 {
		r.idle[s].remove(m)
	}
	m.users++
	return m
}

// release takes one user away.
func (r *Room) release(m *meter, now time.Duration) {
	m.users--
	switch {
	case m.users > 0:
	case m.settled > now:
		r.idle[m.scope].add(m)
	default:
		r.forget(m)
	}
}

func (r *Room) forget(m *meter) {
	switch m.scope {
	case wholeRoom: // stays
	case ofCaller:
		delete(r.callers, m.owner.name)
	case ofDestination:
		delete(r.destinations, m.to)
		r.recycle(m)
	case ofPrefix:
		delete(r.prefixes, m.net)
		r.recycle(m)
	}
}

func (r *Room) recycle(m *meter) {
	*m = meter{gate: gate{parked: m.parked[:0]}}
	r.meters.put(m)
}

// sweep forgets up to most idle meters of each scope that have paid. An attempt may
// leave one in each scope and sweeps two, so they cannot pile up.
func (r *Room) sweep(now time.Duration, most int) {
	for s := range r.idle {
		for range most {
			m := r.idle[s].first
			if m == nil || m.settled > now {
				break
			}
			r.idle[s].remove(m)
			r.forget(m)
		}
	}
}

// reasons is the length of a table of what attempts wait for, with none of it first.
const reasons = int(sched.DeferPrefixRate) + 1
