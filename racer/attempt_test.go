package racer

import (
	"testing"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// What is said of an attempt's times hangs on how far it came: whether it left, whether
// TCP was up, and whether there was a stage after that.
func TestTimesOfAnAttempt(t *testing.T) {
	stages := &sched.Stages{Phases: []sched.Phase{{Kind: sched.PhaseTLS, Start: 25 * ms, Duration: 15 * ms}}}
	refused := sched.Failure{Type: "connection_refused"}
	for what, c := range map[string]struct {
		a      Attempt
		took   time.Duration
		notice time.Duration
		phases string
	}{
		"never left":           {Attempt{End: 30 * ms, Failure: refused}, 0, 0, ""},
		"refused":              {Attempt{Begun: true, Start: 10 * ms, End: 30 * ms, Failure: refused}, 20 * ms, 0, "tcp_connect 10ms+20ms failed"},
		"given up":             {Attempt{Begun: true, Start: 10 * ms, End: 30 * ms}, 20 * ms, 0, "tcp_connect 10ms+20ms"},
		"connected":            {Attempt{Begun: true, Start: 10 * ms, End: 30 * ms, Noticed: 37 * ms}, 20 * ms, 7 * ms, "tcp_connect 10ms+20ms"},
		"noticed at once":      {Attempt{Begun: true, Start: 10 * ms, End: 30 * ms, Noticed: 30 * ms}, 20 * ms, 0, "tcp_connect 10ms+20ms"},
		"up, and then nothing": {Attempt{Begun: true, Start: 10 * ms, Up: 20 * ms, End: 50 * ms, Noticed: 23 * ms}, 40 * ms, 3 * ms, "tcp_connect 10ms+10ms"},
		"up, not noticed late": {Attempt{Begun: true, Start: 10 * ms, Up: 20 * ms, End: 50 * ms}, 40 * ms, 0, "tcp_connect 10ms+10ms"},
		"a stage after TCP": {
			Attempt{Begun: true, Start: 10 * ms, Up: 20 * ms, Noticed: 25 * ms, End: 40 * ms, Stages: stages},
			30 * ms, 5 * ms, "tcp_connect 10ms+10ms, tls_handshake 25ms+15ms",
		},
		"a stage that failed": {
			Attempt{Begun: true, Start: 10 * ms, Up: 20 * ms, Noticed: 25 * ms, End: 40 * ms, Stages: stages, Failure: refused},
			30 * ms, 5 * ms, "tcp_connect 10ms+10ms, tls_handshake 25ms+15ms failed",
		},
	} {
		if got := c.a.Duration(); got != c.took {
			t.Errorf("%s: it took %v, want %v", what, got, c.took)
		}
		if got := c.a.NoticeDelay(); got != c.notice {
			t.Errorf("%s: it was noticed %v late, want %v", what, got, c.notice)
		}
		if got := phasesOf(&c.a); got != c.phases {
			t.Errorf("%s: the phases are %q, want %q", what, got, c.phases)
		}
	}
	if stages.Phases[0].Failed {
		t.Error("the phases are those of the stages, which others read too")
	}
}
