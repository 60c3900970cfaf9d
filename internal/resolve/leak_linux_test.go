package resolve

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/racer/sched"
)

// A caller who leaves does not wait either, and leaves no socket behind: Go's own
// limit for one question is 5 s, and a race that is won without an answer may be
// one of many.
func TestCancelEndsALookup(t *testing.T) {
	d, r := startDNS(t, "127.0.0.1:0")
	d.Set("lost.example", netlab.Answers{A: netlab.Answer{Drop: true}})
	before := sockets(t)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Millisecond, cancel)
		if got := r.Lookup(ctx, sched.Question{Name: "lost.example.", Type: sched.A}, func() {}); got.Status != sched.Broken {
			t.Errorf("answer is %+v", got)
		}
	}
	const soon = 3 * time.Second
	for began := time.Now(); sockets(t) > before; time.Sleep(time.Millisecond) {
		if time.Since(began) > soon {
			t.Fatalf("%d sockets are left after %v", sockets(t)-before, soon)
		}
	}
}

// sockets counts this process's.
func sockets(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	n := 0
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, "socket:") {
			n++
		}
	}
	return n
}
