package sched

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/connrace/connrace/racer/addrsel"
)

// door is what must not be opened twice: an endpoint, with the protocol of its
// group. What has been tried stays where it was tried.
type door struct {
	endpoint netip.AddrPort
	protocol uint8
}

func (a *account) door(id, step int) door {
	return door{unmapped(a.found[id].Endpoint), a.group(id, step).Protocol}
}

// hasDoor says that some answer still had a candidate's door, so that it may be
// tried.
func (a *account) hasDoor(id, step int) bool {
	if a.listed(id, step) {
		return true
	}
	for other := range a.found {
		if other != id && a.mayTry(other, step) && a.door(other, step) == a.door(id, step) {
			return true
		}
	}
	return false
}

// begun says that a candidate had been tried before a step.
func (a *account) begun(id, step int) bool {
	tried := a.found[id].attempts
	return len(tried) > 0 && a.tries[tried[0]].asked < step
}

// mayTry says that nothing but a duplicate stood against trying a candidate, or
// that it had been tried.
func (a *account) mayTry(id, step int) bool {
	return a.begun(id, step) || a.skip(id, step) == SkipNone && !a.tooMany(id, step) && a.listed(id, step)
}

// ranked is a door in ranked order, and why it stands before the next.
type ranked struct {
	door
	candidate int
	reason    addrsel.Reason
}

// view is what a ranking is made of: what was known in a step, without what had been
// tried before another one.
type view struct{ step, untriedBefore int }

// ranking sorts each door that may be tried, what has been tried included.
func (a *account) ranking(step int) []ranked { return a.rankingOf(view{step: step}) }

// line is the order in which the next attempts start. Version 3 sorts the complete
// list, version 2 what has not been tried when an answer comes.
func (a *account) line(step int) []ranked {
	if a.cfg.Version == V3 {
		return a.ranking(step)
	}
	latest := 0
	for n, e := range a.events(step) {
		if e.Kind == Resolved {
			latest = n
		}
	}
	return a.rankingOf(view{step: latest, untriedBefore: latest})
}

func (a *account) rankingOf(v view) []ranked {
	order, known := a.rankings[v]
	if !known {
		order = a.rank(a.standing(v), v.step)
		a.rankings[v] = order
	}
	return order
}

// standing returns the candidate that stands for each door: the one that has been
// tried, else the first of the best group.
func (a *account) standing(v view) []int {
	best := map[door]int{}
	for id := range a.found {
		if !a.mayTry(id, v.step) {
			continue
		}
		d := a.door(id, v.step)
		other, taken := best[d]
		if !taken || a.begun(id, v.step) || !a.begun(other, v.step) && before(a.group(id, v.step), a.group(other, v.step)) {
			best[d] = id
		}
	}
	var ids []int
	for id := range a.found {
		if d := a.door(id, v.step); a.mayTry(id, v.step) && best[d] == id && !a.opened(d, a.askedBefore(v.untriedBefore)) {
			ids = append(ids, id)
		}
	}
	return ids
}

// rank sorts by groups, and within a group as if there were no other.
func (a *account) rank(ids []int, step int) []ranked {
	groups := map[Group][]int{}
	var sorted []Group
	for _, id := range ids {
		g := a.group(id, step)
		if groups[g] == nil {
			sorted = append(sorted, g)
		}
		groups[g] = append(groups[g], id)
	}
	slices.SortFunc(sorted, func(g, h Group) int {
		if before(g, h) {
			return -1
		}
		return 1
	})
	var order []ranked
	for i, g := range sorted {
		order = append(order, a.rankGroup(groups[g], step)...)
		if i+1 < len(sorted) {
			order[len(order)-1].reason = reasonOf(g, sorted[i+1])
		}
	}
	return order
}

func (a *account) rankGroup(ids []int, step int) []ranked {
	slices.SortStableFunc(ids, func(x, y int) int { return cmp.Compare(a.place(x, step), a.place(y, step)) })
	var dests []addrsel.Destination
	for _, id := range ids {
		c := &a.found[id]
		dests = append(dests, addrsel.Destination{Addr: c.Endpoint.Addr(), Source: c.Source, SourceBits: c.SourceBits})
	}
	var ranker addrsel.Ranker
	var order []ranked
	for _, p := range ranker.Rank(dests, a.cfg.Ranking) {
		order = append(order, ranked{a.door(ids[p.Index], step), ids[p.Index], p.Reason})
	}
	return order
}

func (a *account) place(id, step int) int {
	s, _ := a.sight(id, step)
	return s.place
}

// group returns a candidate's group. What has been tried keeps its protocol.
func (a *account) group(id, step int) Group {
	s, _ := a.sight(id, step)
	if a.begun(id, step) {
		was, _ := a.sight(id, a.tries[a.found[id].attempts[0]].asked)
		s.group.Protocol = was.group.Protocol
	}
	return s.group
}

// before says that all of one group start before all of another.
func before(g, h Group) bool {
	switch {
	case g.Protocol != h.Protocol:
		return g.Protocol < h.Protocol
	case g.Priority != h.Priority:
		return g.Priority < h.Priority
	}
	return g.Draw < h.Draw
}

func reasonOf(g, h Group) addrsel.Reason {
	if g.Protocol == h.Protocol {
		return addrsel.ReasonService
	}
	return addrsel.ReasonProtocol
}

// opened says that one of the first attempts went to a door.
func (a *account) opened(d door, attempts int) bool {
	for _, f := range a.tries[:attempts] {
		if a.door(f.Candidate, f.asked) == d {
			return true
		}
	}
	return false
}

// waiting returns what may be tried in a step and is not among the first attempts,
// in ranked order: of a family, or of all with FamilyAny.
func (a *account) waiting(step, attempts int, f addrsel.Family) []ranked {
	var waiting []ranked
	for _, r := range a.ranking(step) {
		if !a.opened(r.door, attempts) && (f == addrsel.FamilyAny || addrsel.FamilyOf(r.endpoint.Addr()) == f) {
			waiting = append(waiting, r)
		}
	}
	return waiting
}

// somethingWaits says that a candidate had not been tried after a step.
func (a *account) somethingWaits(step int) bool {
	return len(a.waiting(step, a.askedBefore(step+1), addrsel.FamilyAny)) > 0
}
