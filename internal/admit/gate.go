package admit

import (
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// gate is where lines wait for a budget. Each budget has one; that of a caller has
// another one for its eldest.
type gate struct {
	budget *meter
	kept   int     // 1: a place and a token of the budget are not for those who wait here
	parked []*node // lines that may not go on before the budget allows it

	due       time.Duration
	scheduled bool // it stands in Room.due, at position, because of due
	position  int
}

func (g *gate) before(other *gate) bool { return g.due < other.due }
func (g *gate) index() *int             { return &g.position }

// forbids returns why nothing may start now, or 0.
func (g *gate) forbids(now time.Duration) sched.DeferReason {
	m := g.budget
	switch q := m.quota; {
	case q.descriptors > 0 && m.open > 0 && m.open+OfARace+1 > q.descriptors: // as if for a race that has none yet
		return sched.DeferDescriptors
	case q.inFlight > 0 && m.inFlight+g.kept >= q.inFlight:
		return q.byCount
	case q.interval > 0 && now < g.nextToken():
		return q.byRate
	}
	return 0
}

// nextToken is when the rate allows the next attempt.
func (g *gate) nextToken() time.Duration {
	q := g.budget.quota
	return g.budget.settled - q.slack + time.Duration(g.kept)*q.interval
}

func (r *Room) park(n *node, now time.Duration) {
	g := n.gate
	n.place, n.at = parked, len(g.parked)
	g.parked = append(g.parked, n)
	r.open(g, now)
}

func (r *Room) unpark(n *node) {
	g := n.gate
	last := len(g.parked) - 1
	g.parked[n.at] = g.parked[last]
	g.parked[n.at].at = n.at
	g.parked[last] = nil
	g.parked = g.parked[:last]
	n.place = nowhere
	if last == 0 {
		r.unschedule(g)
	}
}

// open puts back what is parked at a gate that allows an attempt, and looks again
// when one that only lacks a token will have it.
func (r *Room) open(g *gate, now time.Duration) {
	if len(g.parked) == 0 {
		return
	}
	switch g.forbids(now) {
	case 0:
		r.unparkAll(g)
	case g.budget.quota.byRate:
		if !g.scheduled {
			g.scheduled, g.due = true, g.nextToken()
			r.due.push(g)
		}
	}
}

func (r *Room) unparkAll(g *gate) {
	for _, n := range g.parked {
		n.place = nowhere
		if n.is != nil || n.parent != nil && len(n.ready) > 0 {
			n.stand()
		}
	}
	clear(g.parked)
	g.parked = g.parked[:0]
}

func (r *Room) unschedule(g *gate) {
	if g.scheduled {
		g.scheduled = false
		r.due.remove(g)
	}
}
