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
	// settled is when all tokens taken have come in again (GCRA's theoretical arrival
	// time); until then some are owed.
	settled time.Duration

	// users are the attempts that hold or await a place, of a caller its races. A
	// meter nobody uses is forgotten as soon as it owes nothing.
	users      int
	next, prev *meter // in the list of those nobody uses

	parked    []*node // lines that may not go on before this budget allows it
	due       time.Duration
	scheduled bool // it stands in Room.due, at position, because of due
	position  int
}

func (m *meter) before(other *meter) bool { return m.due < other.due }
func (m *meter) index() *int              { return &m.position }

// forbids returns why nothing may start now, or 0.
func (m *meter) forbids(now time.Duration) sched.DeferReason {
	switch q := m.quota; {
	case q.descriptors > 0 && m.inFlight >= q.descriptors:
		return sched.DeferDescriptors
	case q.inFlight > 0 && m.inFlight >= q.inFlight:
		return q.byCount
	case q.interval > 0 && now < m.nextToken():
		return q.byRate
	}
	return 0
}

// nextToken is when the rate allows the next attempt.
func (m *meter) nextToken() time.Duration { return m.settled - m.quota.slack }

func (m *meter) take(now time.Duration) {
	m.inFlight++
	if m.quota.interval > 0 {
		m.settled = max(m.settled, now) + m.quota.interval
	}
}

// idle are the meters nobody uses that still owe tokens, roughly in the order in
// which they will have paid.
type idle struct{ first, last *meter }

func (l *idle) add(m *meter) {
	m.prev = l.last
	if l.last == nil {
		l.first = m
	} else {
		l.last.next = m
	}
	l.last = m
}

func (l *idle) remove(m *meter) {
	if m.prev == nil {
		l.first = m.next
	} else {
		m.prev.next = m.next
	}
	if m.next == nil {
		l.last = m.prev
	} else {
		m.next.prev = m.prev
	}
	m.next, m.prev = nil, nil
}

// use returns the meter of a key with one more user. No quota: no meter.
func use[K comparable](r *Room, all map[K]*meter, key K, s scope) *meter {
	if r.quotas[s].unlimited() {
		return nil
	}
	m := all[key]
	if m == nil {
		m = r.meters.get()
		m.quota, m.scope = &r.quotas[s], s
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
	*m = meter{parked: m.parked[:0]}
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
