package sim

import (
	"slices"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// Learn is what a history says after it has seen these times to connect to one
// address, in the order of time: the smoothed round trip and its deviation of RFC
// 6298 section 2, and all of the times.
func Learn(times ...time.Duration) sched.Expectation {
	var known sched.Expectation
	for i, t := range times {
		if i == 0 {
			known.RTT, known.Deviation = t, t/2
			continue
		}
		known.Deviation = (3*known.Deviation + (known.RTT - t).Abs()) / 4
		known.RTT = (7*known.RTT + t) / 8
	}
	known.Past = slices.Sorted(slices.Values(times))
	return known
}
