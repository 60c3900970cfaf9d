package sched

import "time"

// delay returns how long an attempt at a candidate is left alone before the next
// one starts beside it: the Connection Attempt Delay, which may differ from one to
// the next (RFC 8305 section 5).
func (r *Race) delay(id int) (time.Duration, Basis) {
	switch r.cfg.Strategy {
	case Staggered:
		return r.grown(r.cfg.AttemptDelay), BasisConfigured
	case Adaptive:
		learned, basis := r.cfg.learned(&r.candidates[id].Expect)
		return r.grown(learned), basis
	case FirstThenAll, FamilyFallback:
		if len(r.attempts) == 0 {
			return r.cfg.AttemptDelay, BasisConfigured
		}
	}
	return 0, BasisNone
}

// grown multiplies a delay by Multiplier for each live attempt. One that has failed
// does not make the race more careful.
func (r *Race) grown(d time.Duration) time.Duration {
	if r.cfg.Multiplier <= 1 {
		return d
	}
	for _, id := range r.flying {
		if r.attempts[id].alone() {
			d = min(time.Duration(float64(d)*r.cfg.Multiplier), MaxAttemptDelay)
		}
	}
	return d
}

// learned is the delay that fits what is known, within 10 ms and 2 s.
func (c *Config) learned(e *Expectation) (time.Duration, Basis) {
	switch {
	case c.Quantile > 0 && len(e.Past) > 0:
		return withinBounds(Quantile(e.Past, c.Quantile)), BasisQuantile
	case e.RTT > 0:
		return withinBounds(e.rto()), BasisRTO
	default:
		return c.AttemptDelay, BasisNothingKnown
	}
}

func withinBounds(d time.Duration) time.Duration {
	return min(max(d, MinAttemptDelay), MaxAttemptDelay)
}
