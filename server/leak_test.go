package server_test

import (
	"context"
	"os"
	"runtime"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// Not parallel, so that nobody else starts anything: the parallel tests wait.
func TestNothingIsLeft(t *testing.T) {
	for _, c := range []struct {
		name string
		live func(t *testing.T)
	}{
		{"calls of all kinds", everyCall},
		{"a caller leaves", func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			r := inFlight(ctx, t)
			leave()
			r.wait(t)
		}},
		{"a caller leaves in a stage", func(t *testing.T) {
			d, g := serve(t, plain()), newGate(t)
			ctx, leave := context.WithCancel(t.Context())
			calls := []<-chan outcome{race(ctx, d, g.asked(true)), race(ctx, d, g.asked(false))}
			eventually(t, "both wait for a byte", func() bool { return g.came.Load() == 2 })
			leave()
			for _, call := range calls {
				<-call
			}
		}},
		{"a race is cut off", func(t *testing.T) {
			r := inFlight(t.Context(), t)
			now, cancel := context.WithCancel(t.Context())
			cancel()
			r.Shutdown(now)
			r.wait(t)
		}},
		{"a watch is ended", func(t *testing.T) {
			d, good := serve(t, plain()), host(t, netlab.Accept).Addr()
			stream := watch(t, d, &connracev1.WatchProbeRequest{Target: good.String(), Interval: often()})
			receive(t, stream)
			d.shutdown(t)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Run("warm up", c.live) // Go's poller and the like open once
			before := inUse(t)
			for range 3 {
				t.Run("round", c.live)
			}
			eventually(t, "no more goroutines and descriptors than before", func() bool {
				now := inUse(t)
				return now.goroutines <= before.goroutines && now.descriptors <= before.descriptors
			})
		})
	}
}

func everyCall(t *testing.T) {
	d, good := serve(t, plain()), host(t, netlab.Accept).Addr().String()
	ctx := patient(t)
	specs := candidates(good, host(t, netlab.Refuse).Addr().String(), host(t, netlab.Swallow).Addr().String())
	_, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Candidates: specs, Options: &connracev1.RaceOptions{
		Strategy: connracev1.Strategy_STRATEGY_ALL_AT_ONCE,
	}})
	must(t, err)
	_, err = d.rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Candidates: specs})
	must(t, err)
	everyStage(t, d)
	_, err = d.rpc.Probe(ctx, &connracev1.ProbeRequest{Target: good, Rounds: 2, Interval: often()})
	must(t, err)
	_, err = d.rpc.Race(ctx, &connracev1.RaceRequest{})
	violates(t, err, wrong("target"))
	receive(t, watch(t, d, &connracev1.WatchProbeRequest{Target: good}))
}

// everyStage is a shared race whose losers fail in a stage, or are given up in it.
func everyStage(t *testing.T, d *daemon) {
	t.Helper()
	l := newLab(t)
	service := l.trusting(byHealth(nil))
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Candidates: candidates(
			behaving(t, netlab.Garbage()).Addr().String(),
			behaving(t, netlab.StallTLS()).Addr().String(),
			behaving(t, l.tls(l.cert, netlab.Hang(), "h2")).Addr().String(),
			behaving(t, l.tls(l.cert, netlab.Health(netlab.NewHealthServer()), "h2")).Addr().String(),
		),
		Options: &connracev1.RaceOptions{Strategy: allAtOnce, Criterion: service, CloseWithFin: true},
		Share:   true,
	})
	must(t, err)
	if reply.GetWinner().GetPosition() != 4 {
		t.Errorf("the winner is %v, want the one that serves", reply.GetWinner())
	}
}

type usage struct{ goroutines, descriptors int }

func inUse(t *testing.T) usage {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return usage{runtime.NumGoroutine(), len(entries)}
}
