package connect

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
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

// These tests hold for both engines, on real sockets.

func TestEngineConnects(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		for _, addr := range loopbacks(t) {
			_, to := start(t, netlab.Accept, addr)
			r := newRace(t, attempts, true)
			before := r.now()
			r.Start(0, to)
			r.until(t, 0, sched.Started, sched.Connected)
			checkConnected(t, r, addr, before)
			if conn := r.Take(0); conn == nil || conn.LocalAddr().String() != r.of(0)[1].Local.String() {
				t.Errorf("taken is %v, reported %s", conn, r.of(0)[1].Local)
			} else {
				must(t, conn.Close())
			}
			r.Close()
		}
	})
}

// checkConnected holds that the events of attempt 0 are those of one that began
// after that moment.
func checkConnected(t *testing.T, r *race, addr netip.Addr, before time.Duration) {
	t.Helper()
	e := r.of(0)
	started, connected, after := e[0], e[1], r.now()
	if before > started.At || started.At > connected.At || connected.At > after {
		t.Errorf("of %v to %v it started at %v and connected at %v", before, after, started.At, connected.At)
	}
	if n := connected.Noticed; n != 0 && (n < connected.At || n > after) {
		t.Errorf("it connected at %v and that was noticed at %v", connected.At, n)
	}
	if connected.Local.Addr() != addr || connected.Local.Port() == 0 {
		t.Errorf("it is from %s", connected.Local)
	}
	if connected.Failure != (sched.Failure{}) {
		t.Errorf("it failed: %+v", connected.Failure)
	}
}

func TestEngineIsRefused(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		for _, addr := range loopbacks(t) {
			_, to := start(t, netlab.Refuse, addr)
			r := newRace(t, attempts, true)
			r.Start(0, to)
			e := r.until(t, 0, sched.Started, sched.Failed)
			if e.Failure.Errno != "ECONNREFUSED" || e.Failure.Fault != sched.FaultTarget || e.At < r.of(0)[0].At {
				t.Errorf("posted is %+v", e)
			}
			if l := e.Local; l.IsValid() && (l.Addr() != addr || l.Port() == 0) {
				t.Errorf("it is from %s", l)
			}
			if c := r.Take(0); c != nil {
				t.Errorf("%v can be taken", c)
			}
			r.Cancel(0) // may cross the failure
			r.Close()
			r.want(t, 0, sched.Started, sched.Failed)
		}
	})
}

func TestEngineGivesUp(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		for _, addr := range loopbacks(t) {
			_, to := start(t, netlab.Swallow, addr)
			r := newRace(t, attempts, true)
			r.Start(0, to)
			r.Start(1, to)
			r.until(t, 0, sched.Started)
			r.until(t, 1, sched.Started)
			at := r.now()
			r.Cancel(0)
			if e := r.until(t, 0, sched.Started, sched.Cancelled); e.At < at {
				t.Errorf("cancelled at %v, posted at %v", at, e.At)
			}
			r.Cancel(0)
			r.want(t, 1, sched.Started)
			r.Close()
			r.want(t, 0, sched.Started, sched.Cancelled)
			r.want(t, 1, sched.Started, sched.Cancelled)
		}
	})
}

// What has not passed the policy is not connected to.
func TestEngineOfNothingChecked(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		r := newRace(t, attempts, true)
		r.Start(0, policy.Allowed{})
		if e := r.until(t, 0, sched.Failed); !strings.HasPrefix(e.Failure.Text, errUnchecked.Error()+"; ") {
			t.Errorf("posted is %+v", e)
		}
		r.Cancel(0)
		r.Close()
		r.want(t, 0, sched.Failed)
	})
}

// Cancel in the moment after Start, when nothing has been waited for.
func TestEngineCancelsRightAfterStart(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		good, toGood := start(t, netlab.Accept, v4)
		_, toClosed := start(t, netlab.Refuse, v4)
		_, toHole := start(t, netlab.Swallow, v4)
		r := newRace(t, attempts, true)
		for id := range 30 {
			r.Start(id, []policy.Allowed{toGood, toClosed, toHole}[id%3])
			r.Cancel(id)
		}
		for id := range 30 {
			e := r.outcome(t, id)
			switch {
			case e.Kind == sched.Cancelled:
			case e.Kind == sched.Connected && id%3 == 0, e.Kind == sched.Failed && id%3 == 1:
			default:
				t.Errorf("attempt %d posted %v", id, r.kinds(id))
			}
		}
		r.Close()
		eventually(t, "no connection is open", func() bool { return good.Open() == 0 })
		if n := timeWaits(t, good.Addr().Port()); n > 0 {
			t.Errorf("%d are in TIME_WAIT", n)
		}
	})
}

// A taken connection is an ordinary one, also when the attempts and the engine are
// gone: data flows both ways, deadlines work, and it ends with FIN.
func TestEngineTakenConnectionWorks(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		for _, addr := range loopbacks(t) {
			takenConnectionWorks(t, attempts, addr)
		}
	})
}

func takenConnectionWorks(t *testing.T, attempts func(Race) Attempts, addr netip.Addr) {
	ln, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
	must(t, err)
	defer ln.Close()
	r := newRace(t, attempts, true)
	r.Start(0, allowed(t, ln.Addr().String()))
	r.until(t, 0, sched.Started, sched.Connected)
	conn := r.Take(0)
	peer, err := ln.Accept()
	must(t, err)
	defer peer.Close()
	checkOrdinary(t, conn)
	exchange(t, conn, peer)
	r.Close()
	exchange(t, conn, peer)
	must(t, conn.SetReadDeadline(time.Now().Add(10*ms)))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading past a deadline says %v", err)
	}
	_, err = conn.Write([]byte("good bye"))
	must(t, err)
	must(t, conn.Close())
	if got, err := io.ReadAll(peer); string(got) != "good bye" || err != nil {
		t.Errorf("the peer reads %q, %v", got, err)
	}
}

// checkOrdinary holds that a connection is set up like any other of Go's.
func checkOrdinary(t *testing.T, conn net.Conn) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		for name, option := range map[string][3]int{
			"keep-alive":      {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			"no delay":        {unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			"idle seconds":    {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
			"probes":          {unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9},
			"seconds between": {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
			"pending error":   {unix.SOL_SOCKET, unix.SO_ERROR, 0},
		} {
			if got, err := unix.GetsockoptInt(int(fd), option[0], option[1]); err != nil || got != option[2] {
				t.Errorf("%s is %d, %v, want %d", name, got, err, option[2])
			}
		}
	}))
}

// exchange sends a word each way.
func exchange(t *testing.T, a, b net.Conn) {
	t.Helper()
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		_, err := way[0].Write([]byte("hello"))
		must(t, err)
		got := make([]byte, 5)
		must(t, way[1].SetReadDeadline(time.Now().Add(patience)))
		if _, err := io.ReadFull(way[1], got); err != nil || string(got) != "hello" {
			t.Fatalf("%q arrived, %v", got, err)
		}
		must(t, way[1].SetReadDeadline(time.Time{}))
	}
}

// What happens to a connection after it was reported is its owner's to find out.
func TestEngineConnectionThatBreaksBeforeItIsTaken(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		to, reset := resetter(t)
		r := newRace(t, attempts, true)
		r.Start(0, to)
		r.until(t, 0, sched.Started, sched.Connected)
		reset()
		r.Wait(r.now()+ms, true)
		r.Wait(r.now()+ms, true)
		r.want(t, 0, sched.Started, sched.Connected)
		conn := r.Take(0)
		if conn == nil {
			t.Fatal("it can't be taken")
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("reading from it says %v", err)
		}
		must(t, conn.Close())
		r.want(t, 0, sched.Started, sched.Connected)
	})
}

// resetter is a server that resets its one connection when it is told, not after some
// time: that might pass before a late engine has looked, and the connect would fail.
func resetter(t *testing.T) (to policy.Allowed, reset func()) {
	t.Helper()
	ln, err := net.Listen("tcp", netip.AddrPortFrom(v4, 0).String())
	must(t, err)
	t.Cleanup(func() { must(t, ln.Close()) })
	return allowed(t, ln.Addr().String()), func() {
		t.Helper()
		peer, err := ln.Accept()
		must(t, err)
		must(t, peer.(*net.TCPConn).SetLinger(0))
		must(t, peer.Close())
	}
}

// A connection that is reset before it is taken still knows whom it was to: who logs
// that must not fall over it.
func TestEngineConnectionThatWasResetKnowsItsPeer(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		to, reset := resetter(t)
		r := newRace(t, attempts, true)
		defer r.Close()
		r.Start(0, to)
		local := r.until(t, 0, sched.Started, sched.Connected).Local
		reset()
		conn := r.Take(0)
		defer conn.Close()
		if conn.RemoteAddr() == nil || conn.RemoteAddr().String() != to.Endpoint().String() || conn.LocalAddr().String() != local.String() {
			t.Errorf("it is from %v to %v, want from %v to %v", conn.LocalAddr(), conn.RemoteAddr(), local, to.Endpoint())
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("reading says %v", err)
		}
	})
}

// There is one winner: the others are closed, with RST, also one that connects later.
func TestEngineTakeClosesTheOthers(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		h, to := start(t, netlab.Accept, v4)
		r := newRace(t, attempts, true)
		for id := range 5 {
			r.Start(id, to)
		}
		for id := range 5 {
			r.until(t, id, sched.Started, sched.Connected)
		}
		eventually(t, "all are open", func() bool { return h.Open() == 5 })
		conn := r.Take(3)
		eventually(t, "one is open", func() bool { return h.Open() == 1 })
		r.Start(5, to)
		r.until(t, 5, sched.Started, sched.Connected)
		for id := range 6 {
			if c := r.Take(id); c != nil {
				t.Errorf("a second connection can be taken: %v", c)
			}
		}
		eventually(t, "the late one is closed", func() bool { return h.Accepted() == 6 && h.Open() == 1 })
		r.Close()
		if h.Open() != 1 {
			t.Error("Close has closed the winner")
		}
		if n := timeWaits(t, h.Addr().Port()); n > 0 {
			t.Errorf("%d are in TIME_WAIT", n)
		}
		must(t, conn.Close())
	})
}

// A connection nobody wants leaves no port in TIME_WAIT, whoever might have taken it.
func TestEngineLeavesNoTimeWait(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		for _, addr := range loopbacks(t) {
			for _, keep := range []bool{false, true} {
				h, to := start(t, netlab.Accept, addr)
				r := newRace(t, attempts, keep)
				for id := range 20 {
					r.Start(id, to)
				}
				for id := range 20 {
					r.until(t, id, sched.Started, sched.Connected)
				}
				r.Close()
				eventually(t, "all are closed", func() bool { return h.Accepted() == 20 && h.Open() == 0 })
				if n := timeWaits(t, h.Addr().Port()); n > 0 {
					t.Errorf("with Keep %v %d connections to %s are in TIME_WAIT", keep, n, h.Addr())
				}
			}
		}
	})
}

// Two that have connected when the race looks up are both reported, and either can
// be taken.
func TestEngineTwoWinnersAtOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		h, to := start(t, netlab.Accept, v4)
		for winner := range 2 {
			r := newRace(t, attempts, true)
			r.Start(0, to)
			r.Start(1, to)
			eventually(t, "the server has both", func() bool { return h.Open() == 2 })
			for id := range 2 {
				r.until(t, id, sched.Started, sched.Connected)
			}
			conn := r.Take(winner)
			if conn == nil {
				t.Fatalf("attempt %d can't be taken", winner)
			}
			eventually(t, "one is open", func() bool { return h.Open() == 1 })
			must(t, conn.Close())
			r.Close()
			eventually(t, "none is open", func() bool { return h.Open() == 0 })
		}
	})
}

func TestEngineWaitIsPunctual(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
			r := newRace(t, attempts, true)
			for _, due := range []time.Duration{-ms, 0, 5 * ms, 30 * ms} {
				began := r.now()
				r.Wait(began+due, true)
				watch.Near(fmt.Sprint("a wait of ", due), r.now()-began, max(0, due))
			}
		})
	})
}

// Wake ends a wait, before it begins too; one Wake ends one wait.
func TestEngineWakes(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		r := newRace(t, attempts, true)
		for range 20 {
			r.Wake()
			r.Wake()
			r.Wait(0, false)
			began := r.now()
			if r.Wait(began+2*ms, true); r.now()-began < 2*ms {
				t.Errorf("a second wait ended after %v: the Wakes were those of the first", r.now()-began)
			}
		}
		for _, bounded := range []bool{false, true} {
			var waker sync.WaitGroup
			began := r.now()
			waker.Go(func() {
				time.Sleep(10 * ms)
				r.Wake()
			})
			r.Wait(began+patience, bounded)
			if took := r.now() - began; took < 10*ms || took >= patience {
				t.Errorf("bounded %v: it was woken after %v, want 10ms", bounded, took)
			}
			waker.Wait()
		}
	})
}

// News end a wait that has no bound: of an attempt that is refused while it waits.
func TestEngineWaitsForNews(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	far := netip.MustParseAddr("198.51.100.1")
	must(t, lab.SetPath(far, link.Path{Delay: 20 * ms}))
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		r := newRace(t, attempts, true)
		r.Start(0, allowed(t, netip.AddrPortFrom(far, 9).String()))
		for len(r.of(0)) < 1 {
			r.Wait(0, false)
		}
		for len(r.of(0)) < 2 {
			r.Wait(0, false)
		}
		r.until(t, 0, sched.Started, sched.Failed)
		if took := r.of(0)[1].At - r.of(0)[0].At; took < 40*ms {
			t.Errorf("it failed after %v, the path takes 40ms", took)
		}
	})
}

// Wake may come when everything is over: it must not reach a race that works with
// the same sockets by then.
func TestEngineWakeAfterClose(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		first := newRace(t, attempts, true)
		first.Wake()
		first.Close()
		second := newRace(t, attempts, true)
		first.Wake()
		first.Close()
		began := second.now()
		if second.Wait(began+10*ms, true); second.now()-began < 10*ms {
			t.Errorf("the Wake of a race that is over has reached another after %v", second.now()-began)
		}
		third := newRace(t, attempts, true)
		second.Wake()
		began = third.now()
		if third.Wait(began+10*ms, true); third.now()-began < 10*ms {
			t.Errorf("the Wake of one race has reached another after %v", third.now()-began)
		}
	})
}

// Wake from many goroutines, also around Close (for the race detector).
func TestEngineWakesFromEverywhere(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		_, to := start(t, netlab.Accept, v4)
		for range 20 {
			r := newRace(t, attempts, false)
			var wakers sync.WaitGroup
			for range 4 {
				wakers.Go(func() {
					for range 50 {
						r.Wake()
					}
				})
			}
			r.Start(0, to)
			r.until(t, 0, sched.Started, sched.Connected)
			r.Close()
			wakers.Wait()
		}
	})
}

func TestEngineClosesWithAttemptsPending(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		good, toGood := start(t, netlab.Accept, v4)
		_, toHole := start(t, netlab.Swallow, v4)
		r := newRace(t, attempts, true)
		for id := range 20 {
			r.Start(id, []policy.Allowed{toGood, toHole}[id%2])
		}
		for id := range 20 {
			eventually(t, "it has started", func() bool { r.Wait(r.now(), true); return len(r.of(id)) >= 1 })
		}
		r.Close()
		for id := range 20 {
			if kinds := r.kinds(id); len(kinds) != 2 || id%2 == 1 && kinds[1] != sched.Cancelled {
				t.Errorf("attempt %d posted %v", id, kinds)
			}
			if c := r.Take(id); c != nil {
				t.Errorf("%v can be taken after Close", c)
			}
		}
		eventually(t, "no connection is open", func() bool { return good.Open() == 0 })
		if n := timeWaits(t, good.Addr().Port()); n > 0 {
			t.Errorf("%d are in TIME_WAIT", n)
		}
	})
}

// Many races at once with the same engine, each with all that can become of an
// attempt: nobody gets another's outcome, and nothing is left.
func TestEngineRacesSideBySide(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		good, toGood := start(t, netlab.Accept, v4)
		_, toClosed := start(t, netlab.Refuse, v4)
		_, toHole := start(t, netlab.Swallow, v4)
		var races sync.WaitGroup
		for n := range 8 {
			races.Go(func() {
				for range 25 {
					oneOfMany(t, attempts, n%2 == 0, toGood, toClosed, toHole)
				}
			})
		}
		races.Wait()
		eventually(t, "no connection is open", func() bool { return good.Open() == 0 })
	})
}

func oneOfMany(t *testing.T, attempts func(Race) Attempts, keep bool, good, closed, hole policy.Allowed) {
	began, l := time.Now(), new(log)
	now := func() time.Duration { return time.Since(began) }
	r := &race{Attempts: attempts(Race{Now: now, Post: l.post, Keep: keep}), log: l, now: now}
	for id, to := range []policy.Allowed{hole, closed, good, hole, good, closed} {
		r.Start(id, to)
	}
	for id, events := range []int{1, 2, 2, 1, 2, 2} { // what is swallowed has only started
		for len(r.of(id)) < events && now() < patience {
			r.Wait(now()+100*ms, true)
		}
	}
	r.Cancel(0)
	if conn := r.Take(4); (conn != nil) != keep {
		t.Errorf("with Keep %v the connection is %v", keep, conn)
	} else if conn != nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	r.Close()
	for id, last := range []sched.EventKind{sched.Cancelled, sched.Failed, sched.Connected, sched.Cancelled, sched.Connected, sched.Failed} {
		r.want(t, id, sched.Started, last)
	}
}
