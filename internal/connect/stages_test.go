package connect

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// begun is what the stages of these tests bring.
var begun = &sched.Stages{Phases: []sched.Phase{{Kind: sched.PhaseTLS, Start: ms}}}

// wrapped is a connection with something above TCP.
type wrapped struct {
	net.Conn

	closed atomic.Int32 // times
}

func (w *wrapped) Close() error {
	w.closed.Add(1)
	return w.Conn.Close()
}

// succeed wraps a connection.
func succeed(_ context.Context, _ int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
	return &wrapped{Conn: conn}, begun, sched.Failure{}, true
}

var badCertificate = sched.Failure{Type: "bad_certificate", Text: "it has expired", Fault: sched.FaultTarget}

func failing(_ context.Context, _ int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
	_ = conn.Close()
	return nil, begun, badCertificate, false
}

// hang ends with its context.
func hang(ctx context.Context, _ int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
	<-ctx.Done()
	_ = conn.Close()
	return nil, begun, sched.Failure{}, false
}

// failsLate fails in the moment in which it is given up.
func failsLate(ctx context.Context, id int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
	<-ctx.Done()
	return failing(ctx, id, conn)
}

// stubborn succeeds when it is given up.
func stubborn(ctx context.Context, id int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
	<-ctx.Done()
	return succeed(ctx, id, conn)
}

func panicking(context.Context, int, net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
	panic("out of order")
}

// panicsLate panics when it is given up.
func panicsLate(ctx context.Context, id int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
	<-ctx.Done()
	return panicking(ctx, id, conn)
}

// An attempt that was told to proceed and is given up in the same moment gets to its
// stage, which finds out; one that was given up first does not.
func TestPortableProceedsBeforeItIsGivenUp(t *testing.T) {
	for range 20 { // a select with two ways takes either
		synctest.Test(t, func(t *testing.T) {
			d, l, began := dialer{after: ms}, new(log), time.Now()
			now := func() time.Duration { return time.Since(began) }
			a := Portable(Race{Now: now, Post: l.post, Keep: true, Stage: stubborn}, d.dial)
			a.Start(0, allowed(t, "192.0.2.1:443"))
			a.Start(1, allowed(t, "192.0.2.2:443"))
			time.Sleep(2 * ms)
			a.Proceed(0)
			a.Cancel(0)
			a.Cancel(1)
			synctest.Wait()
			a.Proceed(1)
			l.want(t, 0, sched.Started, sched.Progressed, sched.Connected)
			l.want(t, 1, sched.Started, sched.Progressed, sched.Cancelled)
			a.Close()
		})
	}
}
