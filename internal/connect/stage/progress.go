package stage

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// Progress tells how far a run has come, while it goes on and to any goroutine. The
// zero value: it has not begun.
type Progress struct{ latest atomic.Pointer[sched.Stages] }

// underWay is the duration of a phase that has not ended.
const underWay = time.Duration(math.MaxInt64)

// Stages returns a copy of the stages as they stand at that time since the race began;
// the one under way lasts until then. nil: none had begun.
func (p *Progress) Stages(at time.Duration) *sched.Stages {
	latest := p.latest.Load()
	if latest == nil {
		return nil
	}
	stages := *latest
	stages.Phases = nil
	for _, phase := range latest.Phases {
		if phase.Start > at { // it has begun since the question was asked
			break
		}
		phase.Duration = min(phase.Duration, at-phase.Start)
		stages.Phases = append(stages.Phases, phase)
	}
	if len(stages.Phases) == 0 {
		return nil
	}
	return &stages
}

// tell publishes a copy of the stages so far, of which nobody changes anything any
// more, and the phases that are under way. nil: nobody wants to know.
func (p *Progress) tell(stages *sched.Stages, more ...sched.Phase) {
	if p == nil {
		return
	}
	latest := *stages
	latest.Phases = slices.Concat(stages.Phases, more)
	p.latest.Store(&latest)
}
