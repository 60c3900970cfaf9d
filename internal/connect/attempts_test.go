package connect

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

func TestAttemptConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer{after: 20 * ms}
		a, l := newAttempts(true, d.dial)
		time.Sleep(5 * ms)
		a.Start(7, allowed(t, "192.0.2.1:443"))
		time.Sleep(30 * ms)
		want := []sched.Event{
			{Kind: sched.Started, At: 5 * ms, Attempt: 7},
			{Kind: sched.Connected, At: 25 * ms, Attempt: 7, Local: netip.MustParseAddrPort("192.0.2.99:40000")},
		}
		if got := l.of(7); !slices.EqualFunc(got, want, same) {
			t.Errorf("posted are %+v, want %+v", got, want)
		}
		a.Close()
		d.wantClosed(t, 1)
	})
}

func same(a, b sched.Event) bool {
	return a.Kind == b.Kind && a.At == b.At && a.Attempt == b.Attempt && a.Local == b.Local && a.Failure == b.Failure
}

func TestAttemptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer{after: 20 * ms, err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		a, l := newAttempts(true, d.dial)
		a.Start(0, allowed(t, "192.0.2.1:443"))
		time.Sleep(30 * ms)
		l.want(t, 0, sched.Started, sched.Failed)
		if e := l.of(0)[1]; e.At != 20*ms || e.Failure != Classify(d.err) {
			t.Errorf("posted is %+v", e)
		}
		if c := a.Take(0); c != nil {
			t.Errorf("a failed attempt has the connection %v", c)
		}
		a.Close()
	})
}

// A process that stood still is woken by its alarm first. The goroutines of attempts,
// which have what came meanwhile still to read, get a moment; without that the alarm is
// punctual.
func TestAttemptsCatchUp(t *testing.T) {
	const alarm = 100 * ms
	for _, stood := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			d, l, began := dialer{after: alarm + moment/2}, new(log), time.Now()
			a := Portable(Race{Now: stalled(alarm, stood), Post: l.post}, d.dial)
			a.Start(0, allowed(t, "192.0.2.1:443"))
			a.Wait(0, false) // for Started
			a.Wait(alarm, true)
			woke := time.Since(began)
			if stood == 0 {
				l.want(t, 0, sched.Started)
			} else {
				l.want(t, 0, sched.Started, sched.Connected)
			}
			if stood == 0 && woke != alarm {
				t.Errorf("punctual, it woke at %v", woke)
			}
			a.Wait(0, true) // what is overdue from the start has no alarm
			if again := time.Since(began); again != woke {
				t.Errorf("a wait that was over before it began took %v", again-woke)
			}
			a.Close()
		})
	}
}

// stalled is the clock of a process that stood still for that long when an alarm was due.
func stalled(alarm, stood time.Duration) func() time.Duration {
	began := time.Now()
	return func() time.Duration {
		at := time.Since(began)
		if at >= alarm {
			at += stood
		}
		return at
	}
}

// A host in trouble cannot even start.
func TestAttemptFailsBeforeItStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l := newAttempts(true, func(context.Context, policy.Allowed, func()) (net.Conn, error) {
			return nil, os.NewSyscallError("socket", syscall.EMFILE)
		})
		a.Start(0, allowed(t, "192.0.2.1:443"))
		synctest.Wait()
		l.want(t, 0, sched.Failed)
		if f := l.of(0)[0].Failure; f.Fault != sched.FaultHost {
			t.Errorf("the failure is %+v", f)
		}
		a.Close()
	})
}

// net.Dialer takes another socket, and calls its Control again, when the first
// has connected to itself or found no free port. A race must hear of one start:
// a second one would be a programmer's error, which panics.
func TestAttemptThatTakesAnotherSocketStartsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l := newAttempts(true, func(_ context.Context, _ policy.Allowed, starting func()) (net.Conn, error) {
			for range 3 {
				starting()
				time.Sleep(1 * ms)
			}
			return nil, os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)
		})
		a.Start(0, allowed(t, "192.0.2.1:443"))
		time.Sleep(10 * ms)
		l.want(t, 0, sched.Started, sched.Failed)
		if at := l.of(0)[0].At; at != 0 {
			t.Errorf("it started at %v, want the first time", at)
		}
		a.Close()
	})
}

func TestTakeHandsOutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer{after: 10 * ms}
		a, _ := newAttempts(true, d.dial)
		a.Start(0, allowed(t, "192.0.2.1:443"))
		if c := a.Take(0); c != nil {
			t.Errorf("%v is there before it has connected", c)
		}
		time.Sleep(20 * ms)
		if c := a.Take(0); c != net.Conn(&d.conn) {
			t.Errorf("%v was taken", c)
		}
		if c := a.Take(0); c != nil {
			t.Errorf("%v was taken a second time", c)
		}
		if c := a.Take(99); c != nil {
			t.Errorf("%v was taken of an attempt there is not", c)
		}
		a.Close()
		d.wantClosed(t, 0)
	})
}

// Without Keep a connection is closed as soon as it is there.
func TestConnectionsAreNotKeptUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer{after: 10 * ms}
		a, l := newAttempts(false, d.dial)
		a.Start(0, allowed(t, "192.0.2.1:443"))
		time.Sleep(20 * ms)
		l.want(t, 0, sched.Started, sched.Connected)
		d.wantClosed(t, 1)
		if c := a.Take(0); c != nil {
			t.Errorf("%v can be taken", c)
		}
		a.Close()
		d.wantClosed(t, 1)
	})
}

// When a connection has been taken nobody takes another: one that is there is
// closed, and so is one that comes while the race goes on.
func TestTakeClosesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ds := dialers{{after: 10 * ms}, {after: 10 * ms}, {after: 30 * ms}}
		a, l := newAttempts(true, ds.dial)
		for id := range ds {
			a.Start(id, allowed(t, fmt.Sprintf("192.0.2.1:%d", id+1)))
		}
		time.Sleep(20 * ms)
		if a.Take(1) == nil {
			t.Fatal("the winner's connection is not there")
		}
		ds[0].wantClosed(t, 1)
		time.Sleep(20 * ms)
		l.want(t, 2, sched.Started, sched.Connected)
		ds[2].wantClosed(t, 1)
		a.Close()
		for id, want := range []int32{1, 0, 1} {
			ds[id].wantClosed(t, want)
		}
	})
}
