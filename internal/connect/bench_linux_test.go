package connect

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

// An attempt allocates nothing once its race has room for it, whatever it comes to,
// and however long it is waited for.
func TestRawAttemptAllocatesNothing(t *testing.T) {
	for _, addr := range loopbacks(t) {
		good := idleServer(t, addr)
		_, closed := start(t, netlab.Refuse, addr)
		_, hole := start(t, netlab.Swallow, addr)
		for want, to := range map[sched.EventKind]policy.Allowed{sched.Connected: good, sched.Failed: closed, sched.Cancelled: hole} {
			began, last := time.Now(), sched.EventKind(0)
			now := func() time.Duration { return time.Since(began) }
			a := newEngine(t).Attempts(Race{Now: now, Post: func(e sched.Event) { last = e.Kind }})
			n := testing.AllocsPerRun(100, func() {
				a.Start(0, to)
				a.Wait(0, false) // for Started
				if want == sched.Cancelled {
					a.Wait(now()+ms/10, true)
					a.Cancel(0)
				}
				for last == sched.Started {
					a.Wait(0, false)
				}
				if last != want {
					t.Errorf("it is %s, want %s", last, want)
				}
			})
			a.Close()
			if n > 0 {
				t.Errorf("%v, %s: %v allocations an attempt", addr, want, n)
			}
		}
	}
}

// idleServer is a server whose kernel does the handshakes, and which never accepts:
// it waits for data first.
func idleServer(t testing.TB, addr netip.Addr) policy.Allowed {
	t.Helper()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 60)
		}), err)
	}}
	ln, err := lc.Listen(t.Context(), "tcp", netip.AddrPortFrom(addr, 0).String())
	must(t, err)
	t.Cleanup(func() { must(t, ln.Close()) })
	return allowed(t, ln.Addr().String())
}

// The engines side by side: attempts that follow each other on loopback, races of 16
// over a link with a delay of 1 ms each way, and of 16 that are given up. Its cpu-µs
// are this process's: on loopback and over the link the server's half is in them, and
// over the link what the server allocates is counted too.
func BenchmarkAttempt(b *testing.B) {
	engine := newEngine(b)
	engines := []struct {
		name     string
		attempts func(Race) Attempts
	}{
		{"raw", engine.Attempts},
		{"portable", func(r Race) Attempts { return Portable(r, nil) }},
	}
	local := idleServer(b, v4)
	lab := netlabtest.Start(b, netlab.Config{})
	linked := far(b, lab, far4, link.Path{Delay: ms})
	must(b, lab.SetPath(far6.Addr(), link.Path{State: link.Blackhole}))
	for _, e := range engines {
		b.Run("loopback/"+e.name, func(b *testing.B) { bench(b, e.attempts, local, 1, false) })
	}
	for _, e := range engines {
		b.Run("link/"+e.name, func(b *testing.B) { bench(b, e.attempts, linked, 16, false) })
	}
	for _, e := range engines {
		b.Run("cancelled/"+e.name, func(b *testing.B) { bench(b, e.attempts, allowed(b, far6.String()), 16, true) })
	}
}

// bench runs races of some attempts to one host, until b.N attempts are made.
func bench(b *testing.B, attempts func(Race) Attempts, to policy.Allowed, size int, give bool) {
	b.ReportAllocs()
	var events tally
	before := processor(b)
	for done := 0; done < b.N; done += size {
		events.reset()
		a := attempts(Race{Now: noTime, Post: events.post})
		for id := range size {
			a.Start(id, to)
		}
		for give && events.started.Load() < int32(size) || !give && events.over.Load() < int32(size) {
			a.Wait(0, false)
		}
		a.Close()
		if got := events.over.Load(); got != int32(size) {
			b.Fatalf("%d outcomes, want %d", got, size)
		}
	}
	b.ReportMetric(float64((processor(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
}

// tally counts events.
type tally struct{ started, over atomic.Int32 }

func (c *tally) reset() {
	c.started.Store(0)
	c.over.Store(0)
}

func (c *tally) post(e sched.Event) {
	if e.Kind == sched.Started {
		c.started.Add(1)
	} else {
		c.over.Add(1)
	}
}

// noTime is the clock of a race that needs none.
func noTime() time.Duration { return 0 }

// processor is the time that this process has had of it.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
