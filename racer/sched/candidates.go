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
	}
	bounded := r.cfg.MaxPerAnswer > 0 && e.Question != NoQuestion
	for i := range e.Candidates {
		r.learn(e.Candidates[i], e.Question, bounded && i >= r.cfg.MaxPerAnswer)
	}
	r.stale = true
}

func (r *Race) answered(e *Event) {
	if e.Question < 0 || e.Question >= len(r.questions) {
		panic(fmt.Sprintf("sched: unknown question %d", e.Question))
	}
	q := &r.questions[e.Question]
	if !q.answered {
		r.open--
	}
	q.answered, q.answer = true, e.Answer
}

// learn adds a candidate, or sees one again. tooMany says that its answer has
// enough others before it.
func (r *Race) learn(c Candidate, question int, tooMany bool) {
	switch {
	case c.ID == len(r.candidates):
		c.Endpoint = netip.AddrPortFrom(c.Endpoint.Addr().Unmap(), c.Endpoint.Port())
		r.candidates = append(r.candidates, candidate{Candidate: c, question: question, known: r.now, attempt: none})
	case c.ID >= 0 && c.ID < len(r.candidates) && r.candidates[c.ID].question == question:
		if r.candidates[c.ID].withdrawn {
			r.candidates[c.ID].withdrawn, r.candidates[c.ID].known = false, r.now
		}
	default:
		panic(fmt.Sprintf("sched: candidate %d is not the next one and no earlier answer to question %d had it", c.ID, question))
	}
	if r.candidates[c.ID].attempt != none {
		return // nothing changes for what has begun
	}
	r.candidates[c.ID].tooMany = tooMany
	if tooMany {
		r.candidates[c.ID].duplicate = false
		r.release(c.ID)
		return
	}
	r.claim(c.ID)
}

// claim makes a candidate the one that is tried at its endpoint, or a duplicate
// of the one that already is. The first usable one opens the wait of the gate.
func (r *Race) claim(id int) {
	c := &r.candidates[id]
	if c.Skip != SkipNone {
		return
	}
	if first, taken := r.byEndpoint[c.Endpoint]; taken && first != id {
		c.duplicate = true
		return
	}
	c.duplicate = false
	r.byEndpoint[c.Endpoint] = id
	if !r.hasAddress {
		r.hasAddress, r.firstAddress = true, r.now
	}
}

// withdrawMissing drops what the new answer no longer has, but never an attempt
// that has begun: RFC 8305 section 6.
func (r *Race) withdrawMissing(e *Event) {
	for id := range r.candidates {
		c := &r.candidates[id]
		if c.question != e.Question || c.withdrawn || c.attempt != none || has(e.Candidates, id) {
			continue
		}
		c.withdrawn = true
		r.release(id)
	}
}

// release takes a candidate's endpoint away and gives it to a duplicate that
// another answer still has.
func (r *Race) release(id int) {
	endpoint := r.candidates[id].Endpoint
	if first, taken := r.byEndpoint[endpoint]; !taken || first != id {
		return
	}
	delete(r.byEndpoint, endpoint)
	for heir := range r.candidates {
		c := &r.candidates[heir]
		if c.duplicate && !c.withdrawn && c.Endpoint == endpoint {
			r.claim(heir)
			return
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
// all had been known from the start.
func (r *Race) rank() {
	r.dests, r.ids, r.order = r.dests[:0], r.ids[:0], r.order[:0]
	for id := range r.candidates {
		if c := &r.candidates[id]; c.skip() == SkipNone && !c.withdrawn {
			r.ids = append(r.ids, id)
		}
	}
	// RFC 6724 rule 10 keeps the order of the list, which is not the order in
	// which its parts came in.
	slices.SortStableFunc(r.ids, func(a, b int) int {
		return cmp.Compare(r.candidates[a].Place, r.candidates[b].Place)
	})
	for _, id := range r.ids {
		c := &r.candidates[id]
		r.dests = append(r.dests, addrsel.Destination{
			Addr: c.Endpoint.Addr(), Source: c.Source, SourceBits: c.SourceBits,
		})
	}
	for _, p := range r.ranker.Rank(r.dests, r.cfg.Ranking) {
		r.order = append(r.order, place{candidate: r.ids[p.Index], reason: p.Reason})
	}
	r.cursor, r.stale = 0, false
}

// next returns the first candidate in ranked order whose turn has not come yet.
func (r *Race) next() int {
	for ; r.cursor < len(r.order); r.cursor++ {
		if id := r.order[r.cursor].candidate; r.candidates[id].attempt == none {
			return id
		}
	}
	return none
}

// settle tells every candidate's outcome: in ranked order, then those that were
// never in it.
func (r *Race) settle(out []Action) []Action {
	for _, p := range r.order {
		out = append(out, r.settled(p.candidate, p.reason))
	}
	for id := range r.candidates {
		if c := &r.candidates[id]; c.skip() != SkipNone || c.withdrawn {
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
		a.Outcome = r.attemptOutcome(c.attempt)
	case c.withdrawn:
		a.Outcome = OutcomeWithdrawn
	case c.skip() != SkipNone:
		a.Outcome, a.Skip = OutcomeSkipped, c.skip()
	default:
		a.Outcome = OutcomeNotStarted
	}
	return a
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
	case a.cause == CauseTimeout:
		return OutcomeTimedOut
	case a.cause == CauseLost:
		return OutcomeCancelled
	default:
		return OutcomeRunning
	}
}
