package sched

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// delaysAreTrue: H2-29, H3-40 and H3-44, and H2-33 as far as a delay is learned or
// multiplied. It is worked out here in seconds, as the RFCs do, and may be a rounding
// error off.
func delaysAreTrue(a *account) error {
	for i := range a.tries {
		f := &a.tries[i]
		seconds, basis := a.delay(f)
		if math.Abs(f.Delay.Seconds()-seconds) > 1e-6 || f.Basis != basis {
			return fmt.Errorf("attempt %d has %v (%v), want %v s (%v)", i, f.Delay, f.Basis, seconds, basis)
		}
	}
	return nil
}

func (a *account) delay(f *try) (seconds float64, basis Basis) {
	configured := a.cfg.AttemptDelay.Seconds()
	s, _ := a.sight(f.Candidate, f.asked)
	switch a.cfg.Strategy {
	case Staggered:
		return a.multiplied(f, configured), BasisConfigured
	case Adaptive:
		seconds, basis = learned(s.expect, a.cfg.Quantile)
		if basis == BasisNothingKnown {
			seconds = configured
		}
		return a.multiplied(f, seconds), basis
	case FirstThenAll, FamilyFallback:
		if f.Attempt == 0 {
			return configured, BasisConfigured
		}
	}
	return 0, BasisNone
}

// multiplied makes a delay longer for each other attempt that runs.
func (a *account) multiplied(f *try, seconds float64) float64 {
	others := 0
	for i := range a.tries[:f.Attempt] {
		if a.tries[i].runs(f.asked) {
			others++
		}
	}
	if others == 0 || a.cfg.Multiplier <= 1 {
		return seconds
	}
	return min(seconds*math.Pow(a.cfg.Multiplier, float64(others)), 2)
}

// learned is what is known of a connect's time, from 10 ms to 2 s.
func learned(e Expectation, q float64) (seconds float64, basis Basis) {
	switch {
	case q > 0 && len(e.Past) > 0:
		return min(max(nearestRank(e.Past, q), 0.010), 2), BasisQuantile
	case e.RTT > 0:
		return timeout(e), BasisRTO
	}
	return 0, BasisNothingKnown
}

// timeout is the retransmission timeout of RFC 6298 sections 2.2 and 2.3, with a G of
// 1 ms, from 10 ms to 2 s.
func timeout(e Expectation) float64 {
	srtt, rttvar := e.RTT.Seconds(), e.Deviation.Seconds()
	if rttvar == 0 {
		rttvar = srtt / 2
	}
	return min(max(srtt+max(0.001, 4*rttvar), 0.010), 2)
}

// nearestRank is the smallest time that at least a share q of all does not exceed.
func nearestRank(times []time.Duration, q float64) float64 {
	longest := slices.Max(times)
	best := longest
	for _, candidate := range times {
		covered := 0
		for _, t := range times {
			if t <= candidate {
				covered++
			}
		}
		if float64(covered) >= q*float64(len(times))-1e-6 {
			best = min(best, candidate)
		}
	}
	return best.Seconds()
}
