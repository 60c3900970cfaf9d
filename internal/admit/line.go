package admit

import "time"

// The line is a tree of heaps: the room's callers, a caller's prefixes, a prefix's
// destinations, a destination's attempts of this caller. All attempts below a node
// share its budget, the node's gate. When a node stands first and its gate forbids
// it, it is parked there with all below it, and put back when the budget may allow
// an attempt again. An eldest that keeps its turn (see eldest.go) is in the same
// tree: in lines of the room's own for prefix and destination, and its caller's
// budget is the gate of the attempt itself.
//
// So what a wake-up costs does not depend on how many attempts wait, but on how many
// lines wait at the budget that opened: at a destination one for each caller with
// attempts to it, at a prefix likewise, at a caller or the room one; and a logarithm
// for each of them.

// node is one line, or at the end of the tree one attempt.
type node struct {
	key    key
	parent *node
	gate   *gate // of the budget all below share; nil: none
	ready  heap[*node]
	below  int // attempts that wait here
	place  place
	at     int      // the index in that place
	is     *attempt // of a leaf
	turns  bool     // a caller: its key is its turn, and not that of its first attempt
}

// key orders attempts of a caller, and callers. Its turn makes races take turns; its
// number is unique.
type key struct{ turn, number uint64 }

func (k key) before(other key) bool {
	return k.turn < other.turn || k.turn == other.turn && k.number < other.number
}

// place is where a node stands.
type place uint8

const (
	nowhere place = iota // nothing below it is ready
	inLine               // in its parent's heap
	parked               // at its gate
)

func (n *node) before(other *node) bool { return n.key.before(other.key) }
func (n *node) index() *int             { return &n.at }

// due returns the key n should have.
func (n *node) due() key {
	if n.turns || len(n.ready) == 0 {
		return n.key
	}
	return n.ready[0].key
}

// stand puts n into its parent's heap, and its parents into theirs.
func (n *node) stand() {
	n.place = inLine
	n.parent.ready.push(n)
	n.parent.adjust()
}

// adjust restores the order above n when what is ready in it has changed.
func (n *node) adjust() {
	for ; n.parent != nil; n = n.parent {
		before := n.key
		n.key = n.due()
		switch {
		case n.place == parked:
			return
		case n.place == nowhere && len(n.ready) == 0:
			return
		case n.place == nowhere:
			n.stand()
			return
		case len(n.ready) == 0:
			n.place = nowhere
			n.parent.ready.remove(n)
		case n.key == before:
			return
		default:
			n.parent.ready.fix(n.at)
		}
	}
}

// branch is the key of a node below a caller: a gate within a parent.
type branch struct {
	parent *node
	gate   *gate
}

// child returns the line of a gate within parent.
func (r *Room) child(parent *node, gate *gate) *node {
	n := r.branches[branch{parent, gate}]
	if n == nil {
		n = r.nodes.get()
		n.parent, n.gate = parent, gate
		r.branches[branch{parent, gate}] = n
	}
	return n
}

// join lets an attempt wait.
func (r *Room) join(a *attempt) {
	within := &a.race.caller.line
	if a.keepsTurn() {
		within = &r.line
	}
	a.leaf.parent = r.child(r.child(within, gateOf(a.budgets[ofPrefix])), gateOf(a.budgets[ofDestination]))
	for n := a.leaf.parent; n != nil; n = n.parent {
		n.below++
	}
	a.leaf.stand()
}

// quit takes an attempt out of the line, and lines without attempts with it.
func (r *Room) quit(a *attempt) {
	line := a.leaf.parent
	if a.leaf.place == parked {
		r.unpark(&a.leaf)
	} else {
		a.leaf.place = nowhere
		line.ready.remove(&a.leaf)
		line.adjust()
	}
	for line != nil {
		parent := line.parent
		line.below--
		if line.below == 0 {
			r.close(line)
		}
		line = parent
	}
}

// close ends a line in which nothing waits any more. Those of the room and of the
// callers stay.
func (r *Room) close(n *node) {
	if n.place == parked {
		r.unpark(n)
	}
	if n.turns || n.parent == nil {
		return
	}
	delete(r.branches, branch{n.parent, n.gate})
	*n = node{ready: n.ready}
	r.nodes.put(n)
}

// first returns the attempt whose turn it is, nil if none may start now.
func (r *Room) first(now time.Duration) *attempt {
	n := &r.line
	if n.place == parked || n.below == 0 {
		return nil
	}
	if n.gate.forbids(now) != 0 {
		r.park(n, now)
		return nil
	}
	r.settle(n, now)
	for n.is == nil {
		if len(n.ready) == 0 {
			return nil
		}
		n = n.ready[0]
	}
	return n.is
}

// settle parks what stands first in n and may not start, until what stands first may.
func (r *Room) settle(n *node, now time.Duration) {
	for len(n.ready) > 0 {
		c := n.ready[0]
		if c.gate != nil && c.gate.forbids(now) != 0 {
			n.ready.remove(c)
			r.park(c, now)
			if c.is != nil {
				c.is.keepPlace()
			}
			continue
		}
		r.settle(c, now)
		before := c.key
		c.key = c.due()
		switch {
		case c.is == nil && len(c.ready) == 0:
			c.place = nowhere
			n.ready.remove(c)
		case c.key == before:
			return
		default:
			n.ready.fix(c.at)
		}
	}
}
