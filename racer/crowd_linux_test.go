package racer

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// refusers are endpoints in 127.0.0.0/8 that refuse: nobody listens on their
// port, and nobody can while the test runs.
func refusers(t *testing.T, count int) Target {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { must(t, syscall.Close(fd)) })
	must(t, syscall.Bind(fd, &syscall.SockaddrInet4{})) // any port, on every address
	sa, err := syscall.Getsockname(fd)
	must(t, err)
	var target Target
	for i := range count {
		endpoint := fmt.Sprintf("127.0.%d.%d:%d", 1+i/250, 1+i%250, sa.(*syscall.SockaddrInet4).Port)
		target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: endpoint})
	}
	return target
}

// wantRefused holds that so many at least were refused, and that the others had
// no turn or were cut short.
func wantRefused(t *testing.T, r *RaceResult, count, atLeast int) {
	t.Helper()
	refused := 0
	for i := range r.Candidates {
		c := &r.Candidates[i]
		switch c.Outcome {
		case sched.OutcomeFailed:
			if f := c.Attempts[0].Failure; f.Type != "connection_refused" || f.Fault != sched.FaultTarget {
				t.Errorf("%s failed with %+v", c.Endpoint, f)
			}
			refused++
		case sched.OutcomeNotStarted, sched.OutcomeRunning:
		default:
			t.Errorf("%s is %s", c.Endpoint, c.Outcome)
		}
	}
	if len(r.Candidates) != count || refused < atLeast {
		t.Errorf("of %d candidates %d were refused; want %d and at least %d", len(r.Candidates), refused, count, atLeast)
	}
}

// A thousand candidates that all refuse, all at once: the race is over when the
// last one has failed, and each has its reason.
func TestThousandRefusedAllAtOnce(t *testing.T) {
	before := resources(t)
	r := raceFor(t, refusers(t, 1000), Options{Strategy: sched.AllAtOnce})
	if r.End != sched.EndExhausted || r.Duration > patience {
		t.Errorf("%s after %v", r.End, r.Duration)
	}
	wantRefused(t, r, 1000, 1000)
	before.descriptors++ // the refusers' own
	checkNothingLeft(t, before, nil)
}

// A thousand candidates, one by one, and a caller with little time: each has its
// outcome when the time is up. Failures follow each other no closer than 10 ms
// (H2-31), which checkRace holds.
func TestThousandRefusedUntilTheDeadline(t *testing.T) {
	const limit = 1500 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	r, err := New(Config{}).Race(ctx, RaceRequest{Target: refusers(t, 1000)})
	must(t, err)
	checkRace(t, r)
	if took := time.Since(began); r.End != sched.EndDeadlineNear || took > limit+patience {
		t.Errorf("%s after %v", r.End, took)
	}
	wantRefused(t, r, 1000, 1)
	if most := int(r.Duration/sched.MinAttemptDelay) + 1; r.Cost.Attempts > most {
		t.Errorf("%d attempts in %v, want %d at most", r.Cost.Attempts, r.Duration, most)
	}
}

// A hundred candidates, one by one, to the end: 99 gaps of 10 ms.
func TestHundredRefusedStaggered(t *testing.T) {
	r := raceFor(t, refusers(t, 100), Options{})
	if r.End != sched.EndExhausted || r.Duration < 99*sched.MinAttemptDelay || r.Duration > patience {
		t.Errorf("%s after %v", r.End, r.Duration)
	}
	wantRefused(t, r, 100, 100)
}
