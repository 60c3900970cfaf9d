package racer

import (
	"fmt"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// expectation turns what a caller knows of a candidate into what the race must know.
func expectation(spec CandidateSpec) sched.Expectation {
	e := smoothed(spec.PastConnects)
	if spec.ExpectedRTT != 0 {
		e = sched.Expectation{RTT: spec.ExpectedRTT}
	}
	e.Past = slices.Sorted(slices.Values(spec.PastConnects))
	return e
}

// smoothed follows the samples as RFC 6298 section 2 does, the oldest first: each
// counts an eighth in the mean, and its distance to it a quarter in the deviation.
func smoothed(samples []time.Duration) sched.Expectation {
	var e sched.Expectation
	for i, sample := range samples {
		if i == 0 {
			e.RTT, e.Deviation = sample, sample/2
			continue
		}
		e.Deviation = (3*e.Deviation + (e.RTT - sample).Abs()) / 4
		e.RTT = (7*e.RTT + sample) / 8
	}
	return e
}

// nothingKnown is the warning of an adaptive race that had nothing to go by, or not
// everywhere. bases are those of its attempts.
func nothingKnown(delay time.Duration, bases []sched.Basis) []Warning {
	unknown := 0
	for _, b := range bases {
		if b == sched.BasisNothingKnown {
			unknown++
		}
	}
	const field = "options.strategy"
	milliseconds := float64(delay) / float64(time.Millisecond)
	switch {
	case unknown == 0:
		return nil
	case unknown == len(bases):
		return []Warning{{field, fmt.Sprintf("adaptive: nothing known, %g ms used", milliseconds)}}
	default:
		return []Warning{{field, fmt.Sprintf("adaptive: nothing known for %d of %d attempts, %g ms used for these", unknown, len(bases), milliseconds)}}
	}
}
