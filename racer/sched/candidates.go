package sched

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/connrace/connrace/racer/addrsel"
)

// resolved takes in an answer. A later answer to the same question replaces the
// earlier one: RFC 8305 section 6.
func (r *Race) resolved(e *Event) {
	if e.Question != NoQuestion {
		r.answered(e)
	}
	if e.Question != NoQuestion && e.Answer != Broken { // an error takes nothing back
		r.withdrawMissing(e)
		r.withdrawHints(&r.questions[e.Question])
	}
	bounded := r.cfg.MaxPerAnswer > 0 && e.Question != NoQuestion
	for i := range e.Candidates {
		r.learn(&e.Candidates[i], e.Question, bounded && i >= r.cfg.MaxPerAnswer)
	}
	for _, q := range e.Follow {
		r.add(q)
	}
	r.stale = true
}

func (r *Race) answered(e *Event) {
	q := r.question(e.Question)
	if !q.asked {
		panic(fmt.Sprintf("sched: question %d has not been asked", e.Question))
	}
	if !q.answered {
		r.open--
	}
	q.answered, q.answer = true, e.Answer
}

// learn adds a candidate, or sees one again. tooMany says that its answer has
// enough others before it.
func (r *Race) learn(found *Candidate, question int, tooMany bool) {
	id := found.ID
	switch {
	case id == len(r.candidates):
		r.candidates = append(r.candidates, candidate{
			Candidate: *found, question: question, known: r.now, attempt: none, backup: none,
		})
		r.candidates[id].Endpoint = netip.AddrPortFrom(found.Endpoint.Addr().Unmap(), found.Endpoint.Port())
	case id >= 0 && id < len(r.candidates) && r.candidates[id].question == question:
		r.seeAgain(found)
	default:
		panic(fmt.Sprintf("sched: candidate %d is not the next one and no earlier answer to question %d had it", id, question))
	}
	c := &r.candidates[id]
	c.gone = r.replaced(c)
	switch {
	case c.attempt != none:
		return // nothing changes for what has begun
	case c.gone:
		c.withdrawn = true
		return
	}
	c.tooMany = tooMany
	if tooMany {
		c.duplicate = false
		r.release(id)
		return
	}
	r.claim(id)
}

// seeAgain takes over what may have changed about a candidate since an earlier
// answer: service information can come later than an address it bears on, and a
// name server may give another order.
func (r *Race) seeAgain(found *Candidate) {
	c := &r.candidates[found.ID]
	if c.withdrawn {
		c.withdrawn, c.known = false, r.now
	}
	group := found.Group
	switch {
	case c.attempt != none:
		group.Protocol = c.Group.Protocol // it has been dialled as that
	case group != c.Group || found.Skip != c.Skip:
		r.release(found.ID) // a duplicate may have the better claim now
	}
	if c.attempt == none {
		c.Skip = found.Skip
		c.duplicate = c.duplicate && c.Skip == SkipNone
	}
	c.Group, c.Place, c.Expect = group, found.Place, found.Expect
}

// claim makes a candidate the one that is tried at its endpoint, or a duplicate
// of the one that already is. The first usable one opens the wait of the gate.
func (r *Race) claim(id int) {
	c := &r.candidates[id]
	if c.Skip != SkipNone {
		return
	}
	if first, taken := r.holders[c.spot()]; taken && first != id {
		if c.duplicate = !r.outranks(id, first); c.duplicate {
			return
		}
		r.candidates[first].duplicate = true
	}
	c.duplicate = false
	r.holders[c.spot()] = id
	if !r.hasAddress {
		r.hasAddress, r.firstAddress = true, r.now
	}
}

// outranks says that a candidate is in a better group than the one that is tried at
// its endpoint, whose turn has not come yet, or was known before in the same.
func (r *Race) outranks(id, holder int) bool {
	c, h := &r.candidates[id], &r.candidates[holder]
	return h.attempt == none && cmp.Or(compareGroups(c.Group, h.Group), cmp.Compare(id, holder)) < 0
}

// withdrawMissing drops what the new answer no longer has.
func (r *Race) withdrawMissing(e *Event) {
	for id := range r.candidates {
		if r.candidates[id].question == e.Question && !has(e.Candidates, id) {
			r.withdraw(id)
		}
	}
}

// withdrawHints drops the address hints that the answer to a question replaces: RFC
// 9460 section 7.3, draft v3, section 7.
func (r *Race) withdrawHints(q *question) {
	for id := range r.candidates {
		if q.replaces(&r.candidates[id]) {
			r.withdraw(id)
		}
	}
}

// withdraw drops a candidate, but never an attempt that has begun: RFC 8305 section
// 6.
func (r *Race) withdraw(id int) {
	c := &r.candidates[id]
	c.gone = true
	if c.withdrawn || c.attempt != none {
		return
	}
	c.withdrawn = true
	r.release(id)
}

// listed says that some answer has the endpoint of a candidate.
func (r *Race) listed(c *candidate) bool {
	if !c.gone {
		return true
	}
	for id := range r.candidates {
		if other := &r.candidates[id]; other.duplicate && !other.gone && other.spot() == c.spot() {
			return true
		}
	}
	return false
}

// replaced says that a candidate is a hint that came later than what replaces it.
func (r *Race) replaced(c *candidate) bool {
	if c.Hint == "" {
		return false
	}
	for i := range r.questions {
		if q := &r.questions[i]; q.answered && q.answer != Broken && q.replaces(c) {
			return true
		}
	}
	return false
}

func (q *question) replaces(c *candidate) bool {
	return c.Hint != "" && q.Name == c.Hint && q.Type.Family() == addrsel.FamilyOf(c.Endpoint.Addr())
}

// release takes a candidate's endpoint away and gives it to the best of its
// duplicates that another answer still has.
func (r *Race) release(id int) {
	spot := r.candidates[id].spot()
	if first, taken := r.holders[spot]; !taken || first != id {
		return
	}
	delete(r.holders, spot)
	for heir := range r.candidates {
		c := &r.candidates[heir]
		if c.duplicate && !c.withdrawn && c.spot() == spot {
			r.claim(heir)
		}
	}
}

func has(cs []Candidate, id int) bool {
	for i := range cs {
		if cs[i].ID == id {
			return true
		}
	}
	return false
}

// skip says why the candidate is not to be tried.
func (c *candidate) skip() SkipReason {
	switch {
	case c.duplicate:
		return SkipDuplicate
	case c.tooMany && c.Skip == SkipNone:
		return SkipTooMany
	default:
		return c.Skip
	}
}

// rank sorts everything that may be tried, what has been tried included, as if
// all had been known from the start: draft v3, section 7. RFC 8305 section 6 sorts
// a new address among those that have not been tried.
func (r *Race) rank() {
	r.ids, r.order = r.ids[:0], r.order[:0]
	for id := range r.candidates {
		if r.candidates[id].mayBeTried() {
			r.ids = append(r.ids, id)
		}
	}
	r.order = r.sorted(r.order)
	r.queue = r.queue[:0]
	if r.cfg.Version == V2 {
		r.ids = slices.DeleteFunc(r.ids, func(id int) bool { return r.candidates[id].attempt != none })
		r.queue = r.sorted(r.queue)
	}
	r.cursor, r.stale = [3]int{}, false
}

// sorted appends the candidates of r.ids in ranked order: group by group.
func (r *Race) sorted(order []place) []place {
	// RFC 6724 rule 10 keeps the order of the list, which is not the order in
	// which its parts came in.
	slices.SortStableFunc(r.ids, func(a, b int) int {
		x, y := &r.candidates[a], &r.candidates[b]
		return cmp.Or(compareGroups(x.Group, y.Group), cmp.Compare(x.Place, y.Place))
	})
	for rest := r.ids; len(rest) > 0; {
		group := r.candidates[rest[0]].Group
		n := 1
		for n < len(rest) && r.candidates[rest[n]].Group == group {
			n++
		}
		order = r.rankGroup(rest[:n], order)
		if rest = rest[n:]; len(rest) > 0 {
			order[len(order)-1].reason = betweenGroups(group, r.candidates[rest[0]].Group)
		}
	}
	return order
}

// rankGroup appends the candidates of one group.
func (r *Race) rankGroup(ids []int, order []place) []place {
	r.dests = r.dests[:0]
	for _, id := range ids {
		c := &r.candidates[id]
		r.dests = append(r.dests, addrsel.Destination{
			Addr: c.Endpoint.Addr(), Source: c.Source, SourceBits: c.SourceBits,
		})
	}
	for _, p := range r.ranker.Rank(r.dests, r.cfg.Ranking) {
		order = append(order, place{candidate: ids[p.Index], reason: p.Reason})
	}
	return order
}

func betweenGroups(a, b Group) addrsel.Reason {
	if a.Protocol != b.Protocol {
		return addrsel.ReasonProtocol
	}
	return addrsel.ReasonService
}

// next returns the first candidate whose turn has not come yet: of a family, or of
// all with FamilyAny.
func (r *Race) next(f addrsel.Family) int {
	queue := r.order
	if r.cfg.Version == V2 {
		queue = r.queue
	}
	for cursor := &r.cursor[f]; *cursor < len(queue); *cursor++ {
		id := queue[*cursor].candidate
		c := &r.candidates[id]
		if c.attempt == none && (f == addrsel.FamilyAny || c.family() == f) {
			return id
		}
	}
	return none
}

func (c *candidate) mayBeTried() bool { return c.skip() == SkipNone && !c.withdrawn }

func (c *candidate) family() addrsel.Family { return addrsel.FamilyOf(c.Endpoint.Addr()) }

func (c *candidate) spot() spot { return spot{c.Endpoint, c.Group.Protocol} }

// settle tells every candidate's outcome: in ranked order, then those that were
// never in it.
func (r *Race) settle(out []Action) []Action {
	for _, p := range r.order {
		out = append(out, r.settled(p.candidate, p.reason))
	}
	for id := range r.candidates {
		if !r.candidates[id].mayBeTried() {
			out = append(out, r.settled(id, addrsel.ReasonLast))
		}
	}
	return out
}

func (r *Race) settled(id int, reason addrsel.Reason) Action {
	c := &r.candidates[id]
	a := Action{Kind: Settle, Candidate: id, Reason: reason}
	switch {
	case c.attempt != none:
		a.Outcome, a.Outcomes = r.triedOutcome(c)
	case c.withdrawn:
		a.Outcome = OutcomeWithdrawn
	case c.skip() != SkipNone:
		a.Outcome, a.Skip = OutcomeSkipped, c.skip()
	default:
		a.Outcome = OutcomeNotStarted
	}
	return a
}

// triedOutcome is that of the first attempt, unless the backup connected and it
// did not, or did so too late. It comes with the outcome of each. A first attempt that
// never started has no backup.
func (r *Race) triedOutcome(c *candidate) (Outcome, [2]Outcome) {
	first := r.attemptOutcome(c.attempt)
	if c.backup == none {
		return first, [2]Outcome{first}
	}
	second := r.attemptOutcome(c.backup)
	both := [2]Outcome{first, second}
	switch {
	case first == OutcomeWon || first == OutcomeConnected:
		return first, both
	case second == OutcomeWon || second == OutcomeConnected || second == OutcomeConnectedLate:
		return second, both
	default:
		return first, both
	}
}

func (r *Race) attemptOutcome(id int) Outcome {
	a := &r.attempts[id]
	switch {
	case id == r.winner:
		return OutcomeWon
	case a.state == connected && a.cause == CauseNone && r.cfg.Goal == Every:
		return OutcomeConnected
	case a.state == connected:
		return OutcomeConnectedLate
	case a.state == failed:
		return OutcomeFailed
	case !a.started:
		return OutcomeNotStarted
	case a.cause == CauseTimeout:
		return OutcomeTimedOut
	case a.cause == CauseLost:
		return OutcomeCancelled
	default:
		return OutcomeRunning
	}
}
