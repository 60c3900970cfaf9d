package sched

import (
	"math"
	"slices"
	"time"
)

// Expectation is what is known of how long a connect takes. The zero value is
// nothing.
type Expectation struct {
	// RTT is the smoothed round-trip time of RFC 6298. Zero: unknown.
	RTT time.Duration
	// Deviation is its mean deviation (RTTVAR). Zero: unknown; RFC 6298 section 2.2
	// begins with half the RTT.
	Deviation time.Duration
	// Past are connect times, the shortest first.
	Past []time.Duration
}

// Learn is what past connects say of the next one, the oldest first: RFC 6298 section
// 2, in which each counts an eighth in the mean, and its distance to it a quarter in
// the deviation. It changes nothing of past.
func Learn(past ...time.Duration) Expectation {
	var e Expectation
	for i, took := range past {
		if i == 0 {
			e.RTT, e.Deviation = took, took/2
			continue
		}
		e.Deviation = max((3*e.Deviation+(e.RTT-took).Abs())/4, 1) // zero would be unknown
		e.RTT = (7*e.RTT + took) / 8
	}
	e.Past = slices.Clone(past)
	slices.Sort(e.Past)
	return e
}

// granularity is the G of RFC 6298: what an answer may be late by though the times so
// far did not vary. RFC 9002 section 6.1.2 recommends 1 ms.
const granularity = time.Millisecond

// rto is the retransmission timeout of RFC 6298 section 2, without the lower bound
// of a second that keeps a sender from repeating too early: here nothing is
// repeated, and racing has a lower bound of its own. With 20 ms and nothing known of
// its variation: 20 + 4 * 10 = 60 ms.
func (e *Expectation) rto() time.Duration {
	deviation := e.Deviation
	if deviation == 0 {
		deviation = e.RTT / 2
	}
	return e.RTT + max(4*deviation, granularity)
}

// Quantile returns the smallest of the sorted times that a share q of them does not
// exceed (nearest rank), and 0 without any. q is from 0 to 1.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	rank := int(math.Ceil(q*float64(n) - 1e-9)) // 0.28 of 25 is 7, and a little more in binary
	return sorted[min(max(rank, 1), n)-1]
}
