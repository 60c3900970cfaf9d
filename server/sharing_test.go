package server_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// gate is a host that lets nobody through until it is opened: connections come up, and
// their first byte is sent then. It counts them.
type gate struct {
	net.Listener

	opened chan struct{}
	came   atomic.Int32
}

func newGate(t *testing.T) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	g := &gate{Listener: l, opened: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			g.came.Add(1)
			go g.greet(c)
		}
	}()
	t.Cleanup(func() { must(t, l.Close()); <-done })
	return g
}

func (g *gate) greet(c net.Conn) {
	defer c.Close()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		io.Copy(io.Discard, c) // until the peer closes
	}()
	select {
	case <-g.opened:
		io.WriteString(c, "S")
	case <-gone:
	}
	<-gone
}

// asked is a race that ends when the gate is opened.
func (g *gate) asked(share bool) *connracev1.RaceRequest {
	return &connracev1.RaceRequest{
		Target: g.Addr().String(), Share: share,
		Options: &connracev1.RaceOptions{
			Criterion: byFirstByte(), MaxBackupAttempts: proto.Int32(0),
			AttemptTimeout: durationpb.New(time.Minute), Timeout: durationpb.New(time.Minute),
		},
	}
}

// outcome is what became of a call.
type outcome struct {
	reply *connracev1.RaceResponse
	err   error
}

func race(ctx context.Context, d *daemon, req *connracev1.RaceRequest) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		reply, err := d.rpc.Race(ctx, req)
		done <- outcome{reply, err}
	}()
	return done
}

// Two callers that ask for the same share one set of attempts, the first may leave,
// and who can't wait gets how it stands. Which of them joined is known by a third, who
// counts them.
func TestSharedRace(t *testing.T) {
	t.Parallel()
	d, g := serve(t, plain()), newGate(t)
	ctx := patient(t)
	leaving, leave := context.WithCancel(ctx)
	first := race(leaving, d, g.asked(true))
	eventually(t, "the first caller's attempt is up", func() bool { return g.came.Load() == 1 })
	second := race(ctx, d, g.asked(true))

	// Each look is a caller too, who has a deadline: one that keeps half a second back
	// for the reply's way on a busy machine.
	var looks int32
	look := func() *connracev1.RaceResponse {
		looks++
		soon, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		reply, err := d.rpc.Race(soon, g.asked(true))
		must(t, err)
		if reply.GetRun().GetEndReason() != connracev1.EndReason_END_REASON_DEADLINE_NEAR || reply.GetWinner() != nil {
			t.Errorf("a look is %v", reply)
		}
		if theOnly(t, reply).GetOutcome() != connracev1.Outcome_OUTCOME_RUNNING || reply.GetSharing().GetJoinOffset().AsDuration() <= 0 {
			t.Errorf("a look has joined by %v and sees %v", reply.GetSharing(), reply.GetCandidates())
		}
		return reply
	}
	eventually(t, "the second caller has joined", func() bool { return look().GetSharing().GetCallerCount() == 2+looks })
	leave()
	if o := <-first; o.err == nil {
		t.Errorf("who has left gets %v", o.reply)
	}
	close(g.opened)
	o := <-second
	must(t, o.err)
	if o.reply.GetWinner().GetEndpoint() != g.Addr().String() || o.reply.GetSharing().GetCallerCount() != 2+looks || o.reply.GetSharing().GetJoinOffset().AsDuration() <= 0 {
		t.Errorf("the second caller gets %v", o.reply)
	}
	if n := g.came.Load(); n != 1 || o.reply.GetCost().GetAttemptCount() != 1 {
		t.Errorf("%d connections came, and the reply counts %d attempts, want 1", n, o.reply.GetCost().GetAttemptCount())
	}

	// What is over is not joined, and who begins a race has joined at 0.
	again, err := d.rpc.Race(ctx, g.asked(true))
	must(t, err)
	if s := again.GetSharing(); s.GetCallerCount() != 1 || s.GetJoinOffset() == nil || s.GetJoinOffset().AsDuration() != 0 {
		t.Errorf("a race of its own is shared by %v", s)
	}
	alone, err := d.rpc.Race(ctx, g.asked(false))
	must(t, err)
	if alone.GetSharing() != nil {
		t.Errorf("a race that was not to be shared is, by %v", alone.GetSharing())
	}
}

// A race that was asked for otherwise is another race.
func TestOtherRacesAreNotShared(t *testing.T) {
	t.Parallel()
	d, g := serve(t, plain()), newGate(t)
	ctx := patient(t)
	calls := []<-chan outcome{race(ctx, d, g.asked(true)), race(ctx, d, g.asked(false))}
	for _, change := range []func(*connracev1.RaceRequest){
		func(r *connracev1.RaceRequest) { r.Options.CloseWithFin = true },
		func(r *connracev1.RaceRequest) {
			r.Options.Source = &connracev1.SourceOptions{BindAddresses: []string{"127.0.0.1"}}
		},
		func(r *connracev1.RaceRequest) { r.Options.AttemptTimeout = durationpb.New(59 * time.Second) },
		func(r *connracev1.RaceRequest) {
			r.Selection = &connracev1.SelectionOptions{FirstAddressFamilyCount: 2}
		},
	} {
		other := g.asked(true)
		change(other)
		calls = append(calls, race(ctx, d, other))
	}
	eventually(t, "each has an attempt of its own", func() bool { return int(g.came.Load()) == len(calls) })
	close(g.opened)
	for i, call := range calls {
		o := <-call
		must(t, o.err)
		if n := o.reply.GetSharing().GetCallerCount(); o.reply.GetWinner() == nil || n > 1 {
			t.Errorf("call %d is shared by %d and has the winner %v", i, n, o.reply.GetWinner())
		}
	}
}
