package sched

import (
	"maps"
	"slices"

	"github.com/connrace/connrace/racer/addrsel"
)

// Clone returns a race that goes on from here by itself: what would follow can be
// tried out on it, and r knows nothing of that.
func (r *Race) Clone() *Race {
	c := *r
	c.questions = slices.Clone(r.questions)
	c.candidates = slices.Clone(r.candidates)
	c.holders = maps.Clone(r.holders)
	c.ranker = addrsel.Ranker{} // it holds nothing but memory
	c.dests = nil
	c.ids = nil
	c.order = slices.Clone(r.order)
	c.queue = slices.Clone(r.queue)
	c.attempts = slices.Clone(r.attempts)
	c.flying = slices.Clone(r.flying)
	return &c
}
