package racer

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
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

// unknown warns of what an adaptive race, or its backups, could not go by. bases are those
// of its attempts.
func (e *engine) unknown(cfg *sched.Config, bases []sched.Basis) []Warning {
	if cfg.Strategy != sched.Adaptive && cfg.MaxBackups == 0 {
		return nil
	}
	return append(nothingKnown(cfg, bases), e.repeated()...)
}

// nothingKnown is the warning of an adaptive race that had nothing to go by, or not
// everywhere. bases are those of its attempts.
func nothingKnown(cfg *sched.Config, bases []sched.Basis) []Warning {
	unknown := 0
	for _, b := range bases {
		if b == sched.BasisNothingKnown {
			unknown++
		}
	}
	const field = "options.strategy"
	used := fmt.Sprintf("%g ms used", float64(cfg.AttemptDelay)/float64(time.Millisecond))
	times := ""
	if cfg.Multiplier > 1 {
		times = ", before the multiplier"
	}
	switch {
	case unknown == 0:
		return nil
	case unknown == len(bases):
		return []Warning{{field, "adaptive: nothing known, " + used + times}}
	default:
		return []Warning{{field, fmt.Sprintf("adaptive: nothing known for %d of %d attempts, %s for these%s", unknown, len(bases), used, times)}}
	}
}

// repeated warns, once, of what is known of a candidate whose endpoint is another one's,
// which is tried in its place and goes by what is known of that.
func (e *engine) repeated() []Warning {
	doubles := e.doubles()
	if len(doubles) == 0 {
		return nil
	}
	message := fmt.Sprintf("what is known of it has no effect at %s, which is tried as another candidate's", doubles[0].endpoint)
	if more := len(doubles) - 1; more > 0 {
		message += fmt.Sprintf("; nor has it at %d more of the addresses", more)
	}
	return []Warning{{fmt.Sprintf("candidates[%d]", doubles[0].index), message}}
}

// doubles are the duplicates of which something is known, and something else of the
// candidate that is tried in their place.
func (e *engine) doubles() []*fact {
	var known []*fact
	for f, a := range e.settles() {
		if a.Skip == sched.SkipDuplicate && f.expect.RTT > 0 {
			known = append(known, f)
		}
	}
	if known == nil {
		return nil
	}
	tried := make(map[netip.AddrPort]*fact)
	for f, a := range e.settles() {
		if a.Skip == sched.SkipNone {
			tried[f.endpoint] = f
		}
	}
	return slices.DeleteFunc(known, func(f *fact) bool {
		other := tried[f.endpoint]
		return other == nil || same(f.expect, other.expect)
	})
}

// settles are the candidates with what became of them, in ranked order.
func (e *engine) settles() iter.Seq2[*fact, *sched.Action] {
	return func(yield func(*fact, *sched.Action) bool) {
		for i := range e.log {
			if a := &e.log[i].Action; a.Kind == sched.Settle && !yield(&e.known[a.Candidate], a) {
				return
			}
		}
	}
}

func same(a, b sched.Expectation) bool {
	return a.RTT == b.RTT && a.Deviation == b.Deviation && slices.Equal(a.Past, b.Past)
}
