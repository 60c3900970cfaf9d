package admit

import (
	"fmt"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

const (
	// MinRetryAfter bounds OverloadedError.RetryAfter from below.
	MinRetryAfter = 100 * time.Millisecond
	// MaxRetryAfter bounds it from above.
	MaxRetryAfter = 30 * time.Second
)

// OverloadedError says that too many attempts wait for another race to come in.
type OverloadedError struct {
	// Own says whose attempts take most of the places: those of the caller that is
	// refused (true), or of others.
	Own bool
	// Budget is what most of these attempts wait for.
	Budget sched.DeferReason
	// RetryAfter is how long it takes until enough attempts have left the line, as fast
	// as they did lately: the caller's own where that is enough. When none has for
	// longer than that, it is as long again. MinRetryAfter to MaxRetryAfter.
	RetryAfter time.Duration
}

// Error names whose attempts wait, the budget and the time.
func (e *OverloadedError) Error() string {
	whose := "other callers"
	if e.Own {
		whose = "this caller"
	}
	return fmt.Sprintf("too many attempts of %s wait for %s; retry in %v", whose, e.Budget, e.RetryAfter)
}

// shareOf is how many of the places the waiting attempts of one caller take from others
// at most. With a quarter it takes four callers to shut out one that has none waiting,
// and what may wait in all stays bounded, however many callers there are.
func shareOf(places int) int { return max(1, places/4) }

// overload refuses a race whose caller has as many attempts waiting as places are
// still free for it. A nil caller has none.
func (r *Room) overload(c *caller, now time.Duration) error {
	if c == nil {
		c = new(caller)
	}
	others := r.taken - min(c.waiting, r.share)
	if c.waiting < r.places-others-c.waiting {
		return nil
	}
	own, budget := c.waiting >= others, most(c.waitingFor)
	if !own {
		budget = most(without(r.waitingFor, c.waitingFor))
	}
	wait := r.retryAfter(c, others, budget, now)
	return &OverloadedError{Own: own, Budget: budget, RetryAfter: min(max(wait, MinRetryAfter), MaxRetryAfter)}
}

// retryAfter is how long it takes until a caller's race may come in. Where the others
// leave it a place it is enough that its own attempts go, whoever else comes, and how fast
// they do is known when one has, or from a rate. Otherwise all in line count.
func (r *Room) retryAfter(c *caller, others int, budget sched.DeferReason, now time.Duration) time.Duration {
	unmeasured := r.slowest(budget)
	if others < r.places && (c.pulse.left > 0 || unmeasured > 0) {
		mayHave := (r.places - others - 1) / 2
		return c.pulse.lasts(c.waiting-mayHave, now, unmeasured)
	}
	return r.pulse.lasts(c.waiting+r.waiting-r.places+1, now, unmeasured)
}

// without are the reasons of all but some.
func without(all, some [reasons]int) [reasons]int {
	for why, n := range some {
		all[why] -= n
	}
	return all
}

// most returns the reason that counts most.
func most(counts [reasons]int) sched.DeferReason {
	best := sched.DeferNone
	for why, n := range counts {
		if n > counts[best] {
			best = sched.DeferReason(why)
		}
	}
	return best
}

// slowest is how long one token of a budget takes to come; 0 if that is not what its
// attempts wait for.
func (r *Room) slowest(budget sched.DeferReason) time.Duration {
	for _, q := range r.quotas {
		if q.byRate == budget {
			return q.interval
		}
	}
	return 0
}

// pulse measures how fast a line moves: the room's, or that of one caller. Whoever leaves
// it counts, also those that give up, because that frees a place as well.
type pulse struct {
	last time.Duration // when an attempt left, or the line began
	took time.Duration // by those that left lately
	left int           // how many these are; below lately
}

// lately is over how many attempts a pulse averages at most; at least over half of it.
// Those of a race may leave all at once, and that must not look like a fast line.
const lately = 256

// begin is called when the line was empty, and time had no meaning for it.
func (p *pulse) begin(now time.Duration) { p.last = now }

func (p *pulse) beat(now time.Duration) {
	p.took += now - p.last
	p.last = now
	p.left++
	if p.left == lately {
		p.took, p.left = p.took/2, p.left/2
	}
}

// lasts is how long n attempts take to leave, and as long as none has if that is longer.
// While none ever did, each takes as long as unmeasured.
func (p *pulse) lasts(n int, now, unmeasured time.Duration) time.Duration {
	each := unmeasured
	if p.left > 0 {
		each = p.took / time.Duration(p.left)
	}
	return max(time.Duration(n)*min(each, MaxRetryAfter), now-p.last)
}
