package connect

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/racer/sched"
)

// crowd is how many attempts are pending at once, and maxPending what each may cost
// of this process's memory, in bytes.
const (
	crowd      = 12_000
	maxPending = 512
)

// Twelve thousand attempts wait for nobody, in little memory, and are all given up:
// nothing is left of them.
func TestRawCrowd(t *testing.T) {
	needDescriptors(t, crowd+500)
	lab := netlabtest.Start(t, netlab.Config{})
	must(t, lab.SetPath(far4.Addr(), link.Path{State: link.Blackhole}))
	hole := allowed(t, far4.String())
	for _, end := range []string{"cancelled", "closed"} {
		e := newEngine(t)
		before, memory := descriptors(t), heap()
		states := make([]sched.EventKind, crowd)
		a := e.Attempts(Race{Now: noTime, Post: func(e sched.Event) { states[e.Attempt] = e.Kind }}).(*raw)
		for id := range crowd {
			a.Start(id, hole)
			if id%8 == 0 {
				a.Wait(0, true)
			}
		}
		if got := (heap() - memory - crowd) / crowd; got > maxPending {
			t.Errorf("a pending attempt costs %d bytes, want %d at most", got, maxPending)
		} else {
			t.Logf("a pending attempt costs %d bytes", got)
		}
		all(t, states, sched.Started)
		if end == "cancelled" {
			for id := range crowd {
				a.Cancel(id)
			}
			all(t, states, sched.Cancelled)
		}
		a.Close()
		all(t, states, sched.Cancelled)
		if n := descriptors(t); n > before+maxIdleSockets+pollerDescriptors {
			t.Errorf("%d descriptors before, %d after", before, n)
		}
	}
}

// needDescriptors raises the limit, or skips the test where nobody may.
func needDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	if limit.Cur < n {
		err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: max(n, limit.Max)})
		if errors.Is(err, unix.EPERM) {
			t.Skipf("SKIPPED: it takes %d descriptors, and there may be %d; raise the hard limit (ulimit -Hn)", n, limit.Max)
		}
		must(t, err)
		t.Cleanup(func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) })
	}
}

// heap is how much memory is in use, in bytes.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

func all(t *testing.T, states []sched.EventKind, want sched.EventKind) {
	t.Helper()
	for id, got := range states {
		if got != want {
			t.Fatalf("attempt %d is %s, want %s", id, got, want)
		}
	}
}
