package racer

import (
	"fmt"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// expectation turns what a caller knows of a candidate into what the race must know.
func expectation(spec *CandidateSpec) sched.Expectation {
	e := sched.Learn(spec.PastConnects...)
	if spec.ExpectedRTT != 0 {
		e.RTT, e.Deviation = spec.ExpectedRTT, 0
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
