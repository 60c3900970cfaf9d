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
	// Budget is what most of them wait for: of this caller's if it has any, of the
	// room's otherwise.
	Budget sched.DeferReason
	// RetryAfter is how long it takes until enough of them have been served, as fast
	// as they were lately: MinRetryAfter to MaxRetryAfter.
	RetryAfter time.Duration
}

// Error names the budget and the time.
func (e *OverloadedError) Error() string {
	return fmt.Sprintf("too many attempts wait for %s; retry in %v", e.Budget, e.RetryAfter)
}

// overload refuses a race whose caller has as many attempts waiting as places are
// still free. A nil caller has none.
func (r *Room) overload(c *caller, now time.Duration) error {
	own, reasonsOf := 0, &r.waitingFor
	if c != nil && c.waiting > 0 {
		own, reasonsOf = c.waiting, &c.waitingFor
	}
	excess := own + r.waiting - r.places + 1
	if excess <= 0 {
		return nil
	}
	budget := most(reasonsOf)
	wait := time.Duration(excess) * r.pulse.interval(now, r.slowest(budget))
	return &OverloadedError{Budget: budget, RetryAfter: min(max(wait, MinRetryAfter), MaxRetryAfter)}
}

// most returns the reason that counts most.
func most(counts *[reasons]int) sched.DeferReason {
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

// pulse measures how fast the line is served.
type pulse struct {
	last   time.Duration // when an attempt was served, or the line began
	smooth time.Duration // between two, averaged as RFC 6298 does: 1/8 of each new one
	known  bool
}

// begin is called when the line was empty, and time had no meaning for it.
func (p *pulse) begin(now time.Duration) { p.last = now }

func (p *pulse) beat(now time.Duration) {
	took := now - p.last
	p.last = now
	if !p.known {
		p.known, p.smooth = true, took
		return
	}
	p.smooth += (took - p.smooth) / 8
}

// interval is how long one attempt in the line takes to be served, and longer if the
// next has not been for longer than that. While none ever was: unmeasured.
func (p *pulse) interval(now, unmeasured time.Duration) time.Duration {
	if !p.known {
		return max(unmeasured, now-p.last)
	}
	return max(p.smooth, now-p.last)
}
