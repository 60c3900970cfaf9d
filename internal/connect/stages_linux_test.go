package connect

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

// proceeded starts an attempt and lets it go on when TCP is up.
func (r *race) proceeded(t *testing.T, id int, to policy.Allowed) sched.Event {
	t.Helper()
	r.Start(id, to)
	e := r.until(t, id, sched.Started, sched.Progressed)
	r.Proceed(id)
	return e
}

// checkHandshake holds that an outcome still has what is known of the handshake.
func checkHandshake(t *testing.T, progressed, outcome sched.Event) {
	t.Helper()
	if progressed.Local.Port() == 0 || outcome.Local != progressed.Local || outcome.Kernel != progressed.Kernel {
		t.Errorf("TCP was %+v, the outcome is %+v", progressed, outcome)
	}
	if outcome.At < progressed.At {
		t.Errorf("TCP was up at %v, the outcome is of %v", progressed.At, outcome.At)
	}
}

// What a stage has still to read when the alarm of a process that stood still rings is
// told before Wait returns, also while the race has no poller.
func TestStageCatchesUp(t *testing.T) {
	const alarm = 100 * ms
	engine := newEngine(t)
	engine.tried.Do(engine.try) // descriptors are none of a bubble's
	synctest.Test(t, func(t *testing.T) {
		l := new(log)
		stage := func(context.Context, int, net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
			time.Sleep(alarm + moment/2)
			return nil, begun, sched.Failure{Type: other}, false
		}
		a := engine.Attempts(Race{Now: stalled(alarm, time.Second), Post: l.post, Stage: stage}).(*raw)
		a.crew.wg.Go(func() { a.crew.carryOut(t.Context(), 0, handshake{}) })
		a.Wait(alarm, true)
		l.want(t, 0, sched.Failed)
		a.Close()
	})
}

// TCP is reported, nothing happens until Proceed, and the stage's connection is the
// one to take: an ordinary one.
func TestStageSucceeds(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		for _, addr := range loopbacks(t) {
			stageSucceeds(t, attempts, net.JoinHostPort(addr.String(), "0"))
		}
	})
}

func stageSucceeds(t *testing.T, attempts func(Race) Attempts, at string) {
	ln, err := net.Listen("tcp", at)
	must(t, err)
	defer ln.Close()
	ran := make(chan int, 1)
	r := newRaceOf(t, attempts, Race{Keep: true, Stage: func(ctx context.Context, id int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
		ran <- id
		return succeed(ctx, id, conn)
	}})
	r.Start(5, allowed(t, ln.Addr().String()))
	progressed := r.until(t, 5, sched.Started, sched.Progressed)
	r.Wait(r.now()+5*ms, true)
	if len(ran) > 0 {
		t.Error("the stage began before Proceed")
	}
	if c := r.Take(5); c != nil {
		t.Errorf("%v can be taken before the stage", c)
	}
	r.Proceed(5)
	e := r.until(t, 5, sched.Started, sched.Progressed, sched.Connected)
	checkHandshake(t, progressed, e)
	if id := <-ran; id != 5 || e.Stages != begun || !reflect.DeepEqual(e.Failure, sched.Failure{}) {
		t.Errorf("the stage of %d, it is %+v", id, e)
	}
	r.Proceed(5) // says nothing new
	conn := r.Take(5)
	if r.Take(5) != nil {
		t.Error("it can be taken twice")
	}
	peer, err := ln.Accept()
	must(t, err)
	defer peer.Close()
	checkOrdinary(t, conn.(*wrapped).Conn)
	r.Close()
	exchange(t, conn, peer)
	must(t, conn.Close())
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the peer reads %v, want an orderly end", err)
	}
	r.want(t, 5, sched.Started, sched.Progressed, sched.Connected)
}

// The round trip is that of TCP, whatever comes after it.
func TestStageKeepsTheKernelsFacts(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	to := far(t, lab, far4, link.Path{Delay: 10 * ms})
	r := newRaceOf(t, newEngine(t).Attempts, Race{Stage: succeed})
	progressed := r.proceeded(t, 0, to)
	if k := progressed.Kernel; k.RTT < 20*ms || k.MSS == 0 || progressed.At != r.of(0)[0].At+k.RTT || progressed.Noticed < progressed.At {
		t.Errorf("TCP is %+v", progressed)
	}
	checkHandshake(t, progressed, r.until(t, 0, sched.Started, sched.Progressed, sched.Connected))
}

// What becomes of a stage, with and without Keep, given up or not: one outcome, and
// the connection is closed.
func TestStageOutcomes(t *testing.T) {
	for _, c := range []struct {
		name    string
		stage   Stage
		cancel  bool
		kind    sched.EventKind
		failure sched.Failure
		stages  *sched.Stages
	}{
		{"succeeds", succeed, false, sched.Connected, sched.Failure{}, begun},
		{"fails", failing, false, sched.Failed, badCertificate, begun},
		{"given up", hang, true, sched.Cancelled, sched.Failure{}, begun},
		{"fails when given up", failsLate, true, sched.Failed, badCertificate, begun},
		{"succeeds when given up", stubborn, true, sched.Connected, sched.Failure{}, begun},
		{"panics", panicking, false, sched.Failed, broken, nil},
		{"panics when given up", panicsLate, true, sched.Failed, broken, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
				for _, keep := range []bool{false, true} {
					h, to := start(t, netlab.Accept, v4)
					var panics atomic.Int32
					r := newRaceOf(t, attempts, Race{Keep: keep, Stage: c.stage, Panicked: func(value any, stack []byte) {
						panics.Add(1)
						if value != "out of order" || !strings.Contains(string(stack), "panicking(") {
							t.Errorf("of the panic it is told %v and %s", value, stack)
						}
					}})
					progressed := r.proceeded(t, 0, to)
					if c.cancel {
						r.Wait(r.now()+2*ms, true)
						r.Cancel(0)
					}
					e := r.until(t, 0, sched.Started, sched.Progressed, c.kind)
					checkHandshake(t, progressed, e)
					if e.Failure != c.failure || e.Stages != c.stages {
						t.Errorf("it is %+v", e)
					}
					if told := panics.Load() == 1; told != (c.failure == broken) {
						t.Errorf("%d panics were told of", panics.Load())
					}
					if c.name == "succeeds" && keep {
						eventually(t, "it is accepted", func() bool { return h.Accepted() == 1 })
						r.Wait(r.now()+2*ms, true)
						if h.Open() != 1 {
							t.Error("it was closed before Close")
						}
						r.Close()
					}
					eventually(t, "it is closed", func() bool { return h.Accepted() == 1 && h.Open() == 0 })
					if c := r.Take(0); c != nil {
						t.Errorf("%v can be taken", c)
					}
					r.Close()
					r.want(t, 0, sched.Started, sched.Progressed, c.kind)
					if n := timeWaits(t, h.Addr().Port()); n > 0 {
						t.Errorf("%d are in TIME_WAIT", n)
					}
				}
			})
		})
	}
}

// Nobody need be told of a panic, and the attempts beside it go on.
func TestStagePanicIsItsAttemptsOnly(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		_, to := start(t, netlab.Accept, v4)
		r := newRaceOf(t, attempts, Race{Keep: true, Stage: func(ctx context.Context, id int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
			if id == 0 {
				return panicking(ctx, id, conn)
			}
			return succeed(ctx, id, conn)
		}})
		r.proceeded(t, 0, to)
		r.proceeded(t, 1, to)
		e := r.until(t, 0, sched.Started, sched.Progressed, sched.Failed)
		if f := e.Failure; f.Type != "_OTHER" || f.Fault != sched.FaultHost || strings.Contains(f.Text, "out of order") || strings.Contains(f.Text, ".go") {
			t.Errorf("it failed with %+v", f)
		}
		r.until(t, 1, sched.Started, sched.Progressed, sched.Connected)
		conn := r.Take(1)
		if conn == nil {
			t.Fatal("the other can't be taken")
		}
		must(t, conn.Close())
	})
}

// An attempt given up before Proceed never gets to its stage.
func TestStageCancelBeforeProceed(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		h, to := start(t, netlab.Accept, v4)
		r := newRaceOf(t, attempts, Race{Keep: true, Stage: func(context.Context, int, net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
			t.Error("the stage was begun")
			return nil, nil, sched.Failure{}, false
		}})
		r.Start(0, to)
		r.Start(1, to)
		progressed := r.until(t, 0, sched.Started, sched.Progressed)
		r.until(t, 1, sched.Started, sched.Progressed)
		r.Cancel(0)
		e := r.until(t, 0, sched.Started, sched.Progressed, sched.Cancelled)
		checkHandshake(t, progressed, e)
		eventually(t, "one is open", func() bool { return h.Open() == 1 })
		r.Proceed(0)
		r.Cancel(0)
		r.Close()
		r.want(t, 0, sched.Started, sched.Progressed, sched.Cancelled)
		r.want(t, 1, sched.Started, sched.Progressed, sched.Cancelled)
		eventually(t, "none is open", func() bool { return h.Open() == 0 })
		if n := timeWaits(t, h.Addr().Port()); n > 0 {
			t.Errorf("%d are in TIME_WAIT", n)
		}
	})
}

// What becomes of a connection that waits for Proceed is its stage's to find out.
func TestStageConnectionThatBreaksBefore(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		to, reset := resetter(t)
		r := newRaceOf(t, attempts, Race{Stage: func(ctx context.Context, id int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("reading from it says %v", err)
			}
			return failing(ctx, id, conn)
		}})
		r.Start(0, to)
		r.until(t, 0, sched.Started, sched.Progressed)
		reset()
		r.Wait(r.now()+ms, true)
		r.Wait(r.now()+ms, true)
		r.want(t, 0, sched.Started, sched.Progressed)
		r.Proceed(0)
		r.until(t, 0, sched.Started, sched.Progressed, sched.Failed)
	})
}

// A Cancel that crosses TCP's handshake: TCP was up, and nothing came after it.
func TestStageCancelCrossesTheHandshake(t *testing.T) {
	h, to := start(t, netlab.Accept, v4)
	r := newRaceOf(t, newEngine(t).Attempts, Race{Keep: true, Stage: succeed})
	for id := range 20 {
		r.Start(id, to)
		r.Cancel(id)
		r.want(t, id, sched.Started, sched.Progressed, sched.Cancelled)
		if k := r.of(id)[2].Kernel; k.RTT == 0 || k != r.of(id)[1].Kernel {
			t.Errorf("of the handshake it knows %+v", k)
		}
	}
	eventually(t, "none is open", func() bool { return h.Open() == 0 })
}

// There is one winner; a loser whose stage is done is closed, and so is one that gets
// there later.
func TestStageTakeClosesTheOthers(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		h, to := start(t, netlab.Accept, v4)
		var results [3]wrapped
		r := newRaceOf(t, attempts, Race{Keep: true, Stage: func(_ context.Context, id int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
			results[id].Conn = conn
			return &results[id], begun, sched.Failure{}, true
		}})
		for id := range 2 {
			r.proceeded(t, id, to)
		}
		r.Start(2, to)
		for id := range 2 {
			r.until(t, id, sched.Started, sched.Progressed, sched.Connected)
		}
		r.until(t, 2, sched.Started, sched.Progressed)
		conn := r.Take(1)
		eventually(t, "the loser is closed", func() bool { return h.Open() == 2 })
		r.Proceed(2)
		r.until(t, 2, sched.Started, sched.Progressed, sched.Connected)
		eventually(t, "the late one is closed", func() bool { return h.Open() == 1 })
		r.Close()
		for id, want := range []int32{1, 0, 1} {
			if got := results[id].closed.Load(); got != want {
				t.Errorf("what is above connection %d was closed %d times, want %d", id, got, want)
			}
		}
		if n := timeWaits(t, h.Addr().Port()); n > 0 {
			t.Errorf("%d are in TIME_WAIT", n)
		}
		must(t, conn.Close())
	})
}

// Close waits for stages, however slow they are to give up, and each reports.
func TestStageCloseWaits(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		h, to := start(t, netlab.Accept, v4)
		before := runtime.NumGoroutine()
		r := newRaceOf(t, attempts, Race{Keep: true, Stage: func(ctx context.Context, id int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
			<-ctx.Done()
			time.Sleep(time.Duration(id) * 10 * ms)
			return hang(ctx, id, conn)
		}})
		for id := range 4 {
			r.proceeded(t, id, to)
		}
		began := r.now()
		r.Close()
		if took := r.now() - began; took < 30*ms {
			t.Errorf("Close took %v, the slowest stage takes 30ms", took)
		}
		for id := range 4 {
			r.want(t, id, sched.Started, sched.Progressed, sched.Cancelled)
		}
		eventually(t, "none is open", func() bool { return h.Open() == 0 })
		eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
	})
}

// A stage that ends wakes the loop, which waits without bound.
func TestStageWakesTheLoop(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		_, to := start(t, netlab.Accept, v4)
		r := newRaceOf(t, attempts, Race{Stage: func(ctx context.Context, id int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
			time.Sleep(20 * ms)
			return succeed(ctx, id, conn)
		}})
		r.proceeded(t, 0, to)
		for len(r.of(0)) < 3 {
			r.Wait(0, false)
		}
		r.want(t, 0, sched.Started, sched.Progressed, sched.Connected)
	})
}

// Thousands of attempts with every kind of stage, given up at random moments: each
// has one outcome that its stage can have, and nothing is left: no descriptor, no
// goroutine, no connection, no port. The sockets serve nobody else.
func TestStageCancelledAtAnyMoment(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		h, to := start(t, netlab.Accept, v4)
		before, goroutines := descriptors(t), runtime.NumGoroutine()
		rng := rand.New(rand.NewPCG(7, 8))
		seen := make(map[sched.EventKind]int)
		for range 60 {
			raceOfStages(t, attempts, rng, to, seen)
		}
		for _, kind := range []sched.EventKind{sched.Connected, sched.Failed, sched.Cancelled} {
			if seen[kind] < 20 {
				t.Errorf("outcomes are %v, want all kinds", seen)
			}
		}
		eventually(t, "none is open", func() bool { return h.Open() == 0 })
		eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
		eventually(t, "no descriptor is left", func() bool { return descriptors(t) <= before+pollerDescriptors })
		if n := timeWaits(t, h.Addr().Port()); n > 1 { // a winner's owner closes as he likes
			t.Errorf("%d are in TIME_WAIT", n)
		}
	})
}

func raceOfStages(t *testing.T, attempts func(Race) Attempts, rng *rand.Rand, to policy.Allowed, seen map[sched.EventKind]int) {
	const size = 12
	stages := []Stage{succeed, failing, hang, stubborn, panicking}
	r := newRaceOf(t, attempts, Race{Keep: rng.IntN(4) > 0, Stage: func(ctx context.Context, id int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
		time.Sleep(time.Duration(id%4) * 100 * time.Microsecond)
		return stages[id%5](ctx, id, conn)
	}})
	var cancelled, proceeded [size]bool
	for id := range size {
		r.Start(id, to)
	}
	for range 120 {
		id := rng.IntN(size)
		switch rng.IntN(4) {
		case 0:
			if rng.IntN(8) == 0 {
				r.Cancel(id)
				cancelled[id] = true
			}
		case 1:
			r.Wait(r.now()+time.Duration(rng.IntN(200))*time.Microsecond, true)
		default: // as a scheduler does: of an attempt that has progressed and was not given up
			if kinds := r.kinds(id); len(kinds) == 2 && kinds[1] == sched.Progressed && !cancelled[id] && !proceeded[id] {
				r.Proceed(id)
				proceeded[id] = true
			}
		}
	}
	if conn := r.Take(rng.IntN(size)); conn != nil {
		_ = conn.(*wrapped).Conn.(*net.TCPConn).SetLinger(0)
		must(t, conn.Close())
	}
	r.Close()
	for id := range size {
		kinds := r.kinds(id)
		last := kinds[len(kinds)-1]
		seen[last]++
		can := []sched.EventKind{sched.Connected, sched.Failed, sched.Cancelled, sched.Connected, sched.Failed}[id%5]
		switch {
		case !proceeded[id] && last != sched.Cancelled, last != can && last != sched.Cancelled:
			t.Errorf("attempt %d, to proceed %v, posted %v", id, proceeded[id], kinds)
		case len(kinds) > 3 || len(kinds) == 3 && kinds[1] != sched.Progressed || kinds[0] != sched.Started && len(kinds) > 1:
			t.Errorf("attempt %d posted %v", id, kinds)
		}
	}
}

// No socket of a race with stages serves another.
func TestStageSocketsAreNotPooled(t *testing.T) {
	_, good := start(t, netlab.Accept, v4)
	_, hole := start(t, netlab.Swallow, v4)
	_, closed := start(t, netlab.Refuse, v4)
	e := newEngine(t)
	plain, _ := rawRace(t, e, false)
	plain.Start(0, hole)
	plain.Close()
	r := newRaceOf(t, e.Attempts, Race{Stage: hang})
	a := r.Attempts.(*raw)
	r.Start(0, hole)
	r.Start(1, closed)
	r.proceeded(t, 2, good)
	if n := len(a.poller.idle[0]); n != 1 {
		t.Errorf("%d sockets are idle: that of the race before is used", n)
	}
	r.Close()
	if n := len(a.poller.idle[0]); n != 1 {
		t.Errorf("%d sockets are kept, want the one that was there", n)
	}
	if n := registered(t, a.poller); n != 2 {
		t.Errorf("the poller has %d descriptors, want those of its eventfd and of the socket that is kept", n)
	}
	if cap(a.poller.flights) < 3 || a.poller.flights[:3][2].stage != nil {
		t.Error("what a stage had is kept for the next race")
	}
}

// A host that has no descriptor for the moment a stage needs two is to blame.
func TestStageOutOfDescriptors(t *testing.T) {
	endpoints := strings.Fields(os.Getenv(starved))
	if len(endpoints) == 0 {
		_, good := start(t, netlab.Accept, v4)
		inOwnProcess(t, good.Endpoint().String())
		return
	}
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 40, Max: 40}))
	withFree(t, pollerDescriptors+2, func() {
		e := newEngine(t)
		defer e.Close()
		r := newRaceOf(t, e.Attempts, Race{Stage: succeed, Keep: true})
		defer r.Close()
		good := allowed(t, endpoints[0])
		r.Start(0, good)
		r.Start(1, good)
		r.until(t, 0, sched.Started, sched.Progressed)
		progressed := r.until(t, 1, sched.Started, sched.Progressed)
		rest := takeAll(t)
		r.Proceed(0) // has one to spare
		r.until(t, 0, sched.Started, sched.Progressed, sched.Connected)
		a := r.Attempts.(*raw)
		if a.poller.spare == absent {
			t.Error("the next one has none to spare")
		}
		a.poller.spend() // somebody else was faster
		rest = append(rest, takeAll(t)...)
		r.Proceed(1)
		outcome := r.until(t, 1, sched.Started, sched.Progressed, sched.Failed)
		checkStarved(t, outcome, sched.Failed)
		checkHandshake(t, progressed, outcome)
		for _, f := range rest {
			must(t, f.Close())
		}
	})
}
