package admit

import (
	"fmt"
	"net/netip"

	"github.com/connrace/connrace/racer/sched"
)

// Race is one race in a room. Its methods may be called from any goroutine, but not
// from the callback.
type Race struct {
	room     *Room
	caller   *caller
	granted  func(id int)
	attempts []*attempt // by id; nil: neither in flight nor waiting
	inline   [8]*attempt
	inFlight int
	waiting  int
	turn     uint64 // of the latest of its attempts in the line
	left     bool
}

// Enter takes a race in, on behalf of a caller. Granted is called with the id of an
// attempt that had to wait and now holds its place: from any goroutine, at any time
// until Leave or Done of that id returns, with the room locked, so it must be quick
// and not call the room. The error is an *OverloadedError.
func (r *Room) Enter(name string, granted func(id int)) (*Race, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.advance(now)
	c := r.callers[name]
	if err := r.overload(c, now); err != nil {
		return nil, err
	}
	race := &Race{room: r, caller: r.visit(c, name), granted: granted}
	race.attempts = race.inline[:0]
	return race, nil
}

// visit counts one more race of a caller.
func (r *Room) visit(c *caller, name string) *caller {
	if c == nil {
		c = &caller{name: name}
		c.budget = meter{quota: &r.quotas[ofCaller], scope: ofCaller, owner: c}
		c.budget.budget, c.forEldest.budget = &c.budget, &c.budget
		c.line = node{parent: &r.line, gate: &c.budget.gate, turns: true}
		r.callers[name] = c
	} else if c.budget.users == 0 {
		r.idle[ofCaller].remove(&c.budget)
	}
	c.budget.users++
	return c
}

// Ask wants to start an attempt now. When it is not granted it waits, because of why,
// until the callback is called with its id, or Done. Ids are numbered from 0 in each
// race; one that is done may be used again.
func (v *Race) Ask(id int, to netip.AddrPort) (why sched.DeferReason, granted bool) {
	r := v.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if v.left || v.get(id) != nil {
		panic(fmt.Sprintf("admit: attempt %d asks twice, or after its race has left", id))
	}
	now := r.now()
	r.advance(now)
	r.sweep(now, 2)
	a := r.attempts.get()
	a.race, a.id, a.leaf.is = v, id, a
	r.assign(a, to)
	v.set(id, a)
	for _, m := range a.budgets {
		if m == nil {
			continue
		}
		if why := m.forbids(now); why != 0 {
			r.await(a, why, now)
			return why, false
		}
	}
	r.grant(a, now)
	return 0, true
}

// assign finds the budgets an attempt needs. An IPv4-mapped address is the IPv4
// address in it.
func (r *Room) assign(a *attempt, to netip.AddrPort) {
	addr := to.Addr().Unmap().WithZone("")
	a.budgets[wholeRoom], a.budgets[ofCaller] = &r.whole, &a.race.caller.budget
	to = netip.AddrPortFrom(addr, to.Port())
	if m := use(r, r.destinations, to, ofDestination); m != nil {
		m.to = to
		a.budgets[ofDestination] = m
	}
	prefix := prefixOf(addr)
	if m := use(r, r.prefixes, prefix, ofPrefix); m != nil {
		m.net = prefix
		a.budgets[ofPrefix] = m
	}
}

// prefixOf returns what one site is likely to have: a /24 or a /48.
func prefixOf(addr netip.Addr) netip.Prefix {
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	prefix, _ := addr.Prefix(bits) // the zero Prefix if addr is none
	return prefix
}

// Done gives back the place of an attempt whose outcome is there, or that was not
// started after all. One that waits leaves the line; the callback is not called for
// it any more.
func (v *Race) Done(id int) {
	r := v.room
	r.mu.Lock()
	defer r.mu.Unlock()
	a := v.get(id)
	if a == nil {
		panic(fmt.Sprintf("admit: attempt %d is done, and has not asked", id))
	}
	now := r.now()
	v.attempts[id] = nil
	r.giveBack(a, now)
	r.advance(now)
}

// Leave gives back all that the race has or waits for. After it the callback is not
// called any more, and only Leave may be.
func (v *Race) Leave() {
	r := v.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if v.left {
		return
	}
	v.left = true
	now := r.now()
	for _, a := range v.attempts {
		if a != nil {
			r.giveBack(a, now)
		}
	}
	v.attempts = nil
	r.advance(now)
	r.release(&v.caller.budget, now)
}

func (v *Race) get(id int) *attempt {
	if id >= len(v.attempts) {
		return nil
	}
	return v.attempts[id]
}

func (v *Race) set(id int, a *attempt) {
	for id >= len(v.attempts) {
		v.attempts = append(v.attempts, nil)
	}
	v.attempts[id] = a
}
