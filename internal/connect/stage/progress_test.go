package stage

import (
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// What is known of a run while it goes on: nothing before it begins, then the phase
// under way for as long as it takes, then how long it took. It is not asked about the
// future, and what it says of the past leaves out what came later.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		began := time.Now()
		now := func() time.Duration { return time.Since(began) }
		var p Progress
		standing := func(at time.Duration) string {
			s := p.Stages(at)
			if s == nil {
				return "nothing"
			}
			return fmt.Sprintf("%s %v+%v", s.Phases[0].Kind, s.Phases[0].Start, s.Phases[0].Duration)
		}
		wants := func(at time.Duration, want string) {
			t.Helper()
			if got := standing(at); got != want {
				t.Errorf("at %v of %v it is %s, want %s", at, now(), got, want)
			}
		}
		time.Sleep(10 * ms)
		wants(now(), "nothing")
		done := make(chan *sched.Stages)
		go func() {
			_, stages, _, _ := (&Criterion{FirstByte: true}).Run(t.Context(), Peer{Progress: &p}, near, now)
			done <- stages
		}()
		synctest.Wait()
		wants(10*ms, "first_byte 10ms+0s")
		wants(9*ms, "nothing")
		time.Sleep(30 * ms)
		wants(now(), "first_byte 10ms+30ms")
		_, err := far.Write([]byte("2"))
		must(t, err)
		if stages := <-done; stages.Phases[0].Duration != 30*ms {
			t.Errorf("stages are %+v", stages)
		}
		time.Sleep(10 * ms)
		wants(now(), "first_byte 10ms+30ms")
		wants(25*ms, "first_byte 10ms+15ms")
		must(t, near.Close())
		must(t, far.Close())
	})
}

// What was told is nobody's to change: neither the run's own stages nor a copy.
func TestProgressIsACopy(t *testing.T) {
	var p Progress
	mine := &sched.Stages{Phases: []sched.Phase{{Kind: sched.PhaseTLS, Start: ms, Duration: ms}}}
	p.tell(mine)
	mine.Phases[0].Failed = true
	p.Stages(time.Second).Phases[0].Kind = sched.PhaseHTTP
	if got := p.Stages(time.Second).Phases[0]; got != (sched.Phase{Kind: sched.PhaseTLS, Start: ms, Duration: ms}) {
		t.Errorf("it is %+v", got)
	}
}
