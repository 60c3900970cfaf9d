//go:build linux

package netlabtest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Slack is what a busy machine may add to a time in a lab.
const Slack = 25 * time.Millisecond

// tries is how often a test may be late for want of a processor.
const tries = 5

// Watch holds times to what the lab's delays make of them. [Punctually] makes one.
type Watch struct {
	t    *testing.T
	late []string
}

// Near holds that got is want at least, and [Slack] more at most.
func (w *Watch) Near(what string, got, want time.Duration) {
	w.t.Helper()
	w.Between(what, got, want, want+Slack)
}

// Between holds that got is least at least, and most at most.
func (w *Watch) Between(what string, got, least, most time.Duration) {
	w.t.Helper()
	switch {
	case got < least:
		w.t.Errorf("%s is %v, less than %v", what, got, least)
	case got > most:
		w.late = append(w.late, fmt.Sprintf("%s is %v, more than %v", what, got, most))
	}
}

// Doubt holds it against the program that something is wrong, unless another try is
// better: a busy machine may have done that.
func (w *Watch) Doubt(what string) { w.late = append(w.late, what) }

// Punctually runs f as a subtest until nothing in it was late, five times at most:
// a busy machine is late now and then, and a wrong program each time. What is
// early, or wrong in any other way, fails at once.
func Punctually(t *testing.T, f func(t *testing.T, w *Watch)) {
	t.Helper()
	var late []string
	for try := 1; try <= tries; try++ {
		w := new(Watch)
		ok := t.Run(fmt.Sprint("try ", try), func(t *testing.T) {
			w.t = t
			f(t, w)
		})
		if late = w.late; !ok || len(late) == 0 {
			return
		}
		t.Logf("late: %s", strings.Join(late, "; "))
	}
	t.Errorf("late each of %d times; at last: %s", tries, strings.Join(late, "; "))
}
