package connect

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
)

// watch says how often a poller has called on Go's: it looks at the gate as that does,
// at edges.
func watch(t *testing.T, p *poller) (calls func() int) {
	t.Helper()
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	must(t, err)
	t.Cleanup(func() { must(t, unix.Close(fd)) })
	must(t, unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, p.gate.outer, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}))
	return func() int {
		var events [4]unix.EpollEvent
		n, err := unix.EpollWait(fd, events[:], 0)
		must(t, err)
		return n
	}
}

// What happens while nobody waits wakes no thread of Go's: neither connects over
// loopback, which are answered before they return, nor giving them up.
func TestEventsOfARaceThatRunsWakeNobody(t *testing.T) {
	_, good := start(t, netlab.Accept, v4)
	_, closed := start(t, netlab.Refuse, v4)
	_, hole := start(t, netlab.Swallow, v4)
	for _, keep := range []bool{false, true} {
		r, a := rawRace(t, newEngine(t), keep)
		calls := watch(t, a.poller)
		r.Start(15, hole) // without any a race has no poller to wait in
		quiet := func(what string, f func()) {
			t.Helper()
			eventually(t, "before "+what+" somebody has waited in Go's poller", func() bool {
				r.Wait(r.now()+ms, true) // not in there when there is news, or when the ms is over before
				return a.poller.gate.open
			})
			calls()
			if f(); calls() != 0 || a.poller.gate.open { // the call of one that is closed then can't be seen
				t.Errorf("with Keep %v %s calls Go's poller", keep, what)
			}
		}
		for next := 0; next < 15; next += 3 {
			quiet("starting", func() {
				r.Start(next, hole)
				r.Start(next+1, good)
				r.Start(next+2, closed)
			})
			quiet("giving up what is silent", func() { r.Cancel(next) })
			if keep {
				quiet("closing what has connected", func() { r.Cancel(next + 1) })
			}
		}
		r.Close()
	}
}

// An event that comes between two waits is seen by the second, wherever the gate was.
func TestGateHidesNothing(t *testing.T) {
	for _, open := range []bool{false, true} {
		p := newTestPoller(t)
		calls := watch(t, p)
		for range 3 {
			p.gate.let(open)
			p.wake()
			if n := calls(); (n == 1) != open {
				t.Errorf("a gate that is open (%v) lets %d events through", open, n)
			}
			p.wait(patience, func(uintptr) bool { return len(p.collect()) > 0 })
			p.woken()
			if len(p.collect()) != 0 {
				t.Error("the event is still there")
			}
		}
	}
}

func newTestPoller(t *testing.T) *poller {
	t.Helper()
	p, err := newPoller(&stock{most: maxIdleSockets})
	must(t, err)
	t.Cleanup(p.close)
	return p
}

// No call of Wake is lost, whenever it comes: between two looks, while the gate is
// opened or shut, while an earlier call is taken in, or while an alarm rings.
func TestNoWakeIsLost(t *testing.T) {
	const rounds, wakers = 4000, 3
	_, hole := start(t, netlab.Swallow, v4)
	r, _ := rawRace(t, newEngine(t), false)
	var answers atomic.Int64
	var all sync.WaitGroup
	begin := make(chan int, wakers) // and wake after so many steps
	for range wakers {
		all.Go(func() {
			for steps := range begin {
				for range steps {
					_ = answers.Load()
				}
				answers.Add(1)
				r.Wake()
			}
		})
	}
	rng, next := rand.New(rand.NewPCG(7, 99)), 0
	for i := int64(1); i <= rounds && !t.Failed(); i++ {
		for range wakers {
			begin <- rng.IntN(20_000) // 10 µs
		}
		for begun := r.now(); answers.Load() < i*wakers; {
			if rng.IntN(4) == 0 { // shuts the gate
				r.Start(next, hole)
				r.Cancel(next)
				next++
			}
			due := begun + patience
			if rng.IntN(8) == 0 {
				due = r.now() + time.Duration(rng.IntN(30))*time.Microsecond
			}
			if r.Wait(due, true); r.now()-begun >= patience {
				t.Errorf("of %d calls of Wake only %d have been noticed within %v", wakers, answers.Load()-(i-1)*wakers, patience)
				break
			}
		}
	}
	close(begin)
	all.Wait()
}

// The alarm of an earlier wait neither ends a later one, nor keeps it, nor is it heard
// over and over.
func TestAlarmsOfEarlierWaits(t *testing.T) {
	const none = -1
	for _, test := range []struct {
		name         string
		first, later time.Duration
	}{
		{"later", 10 * ms, 30 * ms},
		{"the same again", 10 * ms, 10 * ms},
		{"sooner", time.Hour, 10 * ms},
		{"none before", none, 10 * ms},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, looks := newTestPoller(t), 0
			if !p.wait(test.first, func(uintptr) bool { return true }) {
				t.Error("what ended it was not the alarm")
			}
			for range 2 { // the second time with an alarm that has rung
				began := time.Now()
				if p.wait(test.later, func(uintptr) bool { looks++; return false }) {
					t.Error("what ended it was the alarm")
				}
				if took := time.Since(began); took < test.later || took > test.later+patience/2 {
					t.Errorf("it waited for %v, want %v", took, test.later)
				}
			}
			if looks > 4 {
				t.Errorf("it looked %d times while nothing happened", looks)
			}
		})
	}
	t.Run("without bound", func(t *testing.T) {
		p, began, looks := newTestPoller(t), time.Now(), 0
		p.wait(5*ms, func(uintptr) bool { return true })
		timer := time.AfterFunc(20*ms, p.wake)
		defer timer.Stop()
		p.wait(none, func(uintptr) bool { looks++; return len(p.collect()) > 0 })
		if took := time.Since(began); took < 20*ms || looks > 3 {
			t.Errorf("it waited for %v and looked %d times, want 20ms and 3", took, looks)
		}
	})
}

// An alarm is not set again while the one there is will do.
func TestAlarmIsLeftAlone(t *testing.T) {
	p := newTestPoller(t)
	p.wait(time.Hour, func(uintptr) bool { return true })
	before := p.gate.alarm
	p.wait(2*time.Hour, func(uintptr) bool { return true })
	p.wait(-1, func(uintptr) bool { return true })
	if p.gate.alarm != before {
		t.Errorf("it was to ring at %v and is to ring at %v", before, p.gate.alarm)
	}
	p.wait(time.Minute, func(uintptr) bool { return true })
	if !p.gate.alarm.Before(before) {
		t.Errorf("it is to ring at %v, after a minute is over", p.gate.alarm)
	}
}

// An event that has been taken in, and one that nobody takes in, each end a sleep
// once: the wait does not spin.
func TestGateDoesNotSpin(t *testing.T) {
	for _, take := range []bool{false, true} {
		p, looks := newTestPoller(t), 0
		look := func(uintptr) bool {
			looks++
			if take && len(p.collect()) > 0 {
				p.woken()
			}
			return false
		}
		p.wait(ms, look)
		p.wake() // into an open gate
		p.wait(20*ms, look)
		p.gate.shut()
		p.wait(20*ms, look)
		if looks > 8 {
			t.Errorf("it looked %d times at the one event (taken in: %v)", looks, take)
		}
	}
}

// Calls of Wake that come before the first is taken in make one event.
func TestWakesAreOneEvent(t *testing.T) {
	p := newTestPoller(t)
	for range 3 {
		p.wake()
		p.wake()
		if n := len(p.collect()); n != 1 {
			t.Errorf("%d events, want 1", n)
		}
		p.woken()
		if n := len(p.collect()); n != 0 || p.rung.Load() {
			t.Errorf("%d events are left, and rung is %v", n, p.rung.Load())
		}
	}
}
