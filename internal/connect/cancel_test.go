package connect

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

func TestCancelDuringAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer{after: time.Hour}
		a, l := newAttempts(true, d.dial)
		a.Start(0, allowed(t, "192.0.2.1:443"))
		a.Start(1, allowed(t, "192.0.2.2:443"))
		time.Sleep(10 * ms)
		a.Cancel(0)
		a.Cancel(0)
		synctest.Wait()
		l.want(t, 0, sched.Started, sched.Cancelled)
		l.want(t, 1, sched.Started)
		if at := l.of(0)[1].At; at != 10*ms {
			t.Errorf("it is cancelled at %v", at)
		}
		a.Close()
		l.want(t, 1, sched.Started, sched.Cancelled)
	})
}

// A Cancel may come before the attempt has done anything: one outcome follows.
func TestCancelBeforeAnAttemptStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l := newAttempts(true, func(ctx context.Context, _ policy.Allowed, starting func()) (net.Conn, error) {
			if ctx.Err() == nil {
				starting()
				<-ctx.Done()
			}
			return nil, ctx.Err()
		})
		a.Start(0, allowed(t, "192.0.2.1:443"))
		a.Cancel(0)
		synctest.Wait()
		if got := l.kinds(0); got[len(got)-1] != sched.Cancelled {
			t.Errorf("posted are %v", got)
		}
		a.Close()
	})
}

func TestCancelAfterAnOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ds := dialers{{}, {err: syscall.ECONNREFUSED}}
		a, l := newAttempts(true, ds.dial)
		a.Start(0, allowed(t, "192.0.2.1:1"))
		a.Start(1, allowed(t, "192.0.2.1:2"))
		time.Sleep(10 * ms)
		a.Cancel(0)
		a.Cancel(1)
		synctest.Wait()
		l.want(t, 0, sched.Started, sched.Connected)
		l.want(t, 1, sched.Started, sched.Failed)
		if a.Take(0) == nil {
			t.Error("a connection is gone although it was there before the Cancel")
		}
		a.Close()
		ds[0].wantClosed(t, 0)
	})
}

// A failure that is not about the Cancel stays a failure.
func TestFailureThatCrossesACancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l := newAttempts(true, func(ctx context.Context, _ policy.Allowed, starting func()) (net.Conn, error) {
			starting()
			<-ctx.Done()
			return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
		})
		a.Start(0, allowed(t, "192.0.2.1:443"))
		synctest.Wait()
		a.Cancel(0)
		synctest.Wait()
		l.want(t, 0, sched.Started, sched.Failed)
		a.Close()
	})
}

// A loser that connects in the instant it is cancelled is reported and closed.
func TestConnectionThatCrossesACancelIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer{after: time.Hour, stubborn: true}
		a, l := newAttempts(true, d.dial)
		a.Start(0, allowed(t, "192.0.2.1:443"))
		synctest.Wait()
		a.Cancel(0)
		synctest.Wait()
		l.want(t, 0, sched.Started, sched.Connected)
		d.wantClosed(t, 1)
		if c := a.Take(0); c != nil {
			t.Errorf("%v can still be taken", c)
		}
		a.Close()
		d.wantClosed(t, 1)
	})
}

// Close waits until every attempt has reported, however slow it is to give up.
func TestCloseWaitsForReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conns [4]conn
		var next atomic.Int32
		a, l := newAttempts(true, func(ctx context.Context, _ policy.Allowed, starting func()) (net.Conn, error) {
			n := next.Add(1) - 1
			starting()
			<-ctx.Done()
			time.Sleep(time.Duration(n) * 10 * ms)
			return &conns[n], nil
		})
		for id := range conns {
			a.Start(id, allowed(t, "192.0.2.1:443"))
		}
		synctest.Wait()
		began := time.Now()
		a.Close()
		if took := time.Since(began); took != 30*ms {
			t.Errorf("Close took %v, want the 30ms of the slowest", took)
		}
		for id := range conns {
			l.want(t, id, sched.Started, sched.Connected)
			if n := conns[id].closed.Load(); n != 1 {
				t.Errorf("connection %d was closed %d times", id, n)
			}
		}
	})
}

func TestCloseOfNothing(t *testing.T) {
	a, _ := newAttempts(true, nil)
	a.Close()
	a.Close()
}

// Many attempts at once, of which many are given up at random moments: each
// reports one outcome, and each connection that was not taken is closed once.
func TestManyAttempts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		synctest.Test(t, func(t *testing.T) { manyAttempts(t, rng) })
	}
}

func manyAttempts(t *testing.T, rng *rand.Rand) {
	ds := make(dialers, 40)
	a, l := newAttempts(true, ds.dial)
	for id := range ds {
		d := &ds[id]
		d.after, d.stubborn = time.Duration(rng.IntN(5))*ms, rng.IntN(2) == 0
		if rng.IntN(4) == 0 {
			d.err = errors.New("out of luck")
		}
		a.Start(id, allowed(t, fmt.Sprintf("192.0.2.1:%d", id+1)))
	}
	taken := make(map[int]bool)
	for range 5 {
		a.Cancel(rng.IntN(len(ds)))
		time.Sleep(1 * ms)
		if id := rng.IntN(len(ds)); a.Take(id) != nil {
			taken[id] = true
		}
	}
	a.Close()
	for id := range ds {
		switch kinds := l.kinds(id); {
		case len(kinds) != 2 || kinds[0] != sched.Started:
			t.Errorf("attempt %d posted %v", id, kinds)
		case taken[id] || kinds[1] != sched.Connected:
			ds[id].wantClosed(t, 0)
		default:
			ds[id].wantClosed(t, 1)
		}
	}
}
