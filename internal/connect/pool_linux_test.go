package connect

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

// A crowded race leaves no more idle sockets than the pool's bound, and no more than an
// eighth of the descriptors there may be.
func TestIdleSocketsAreBounded(t *testing.T) {
	needDescriptors(t, 2*(maxIdleSockets+50)+100) // at most, over both families
	var holes []policy.Allowed
	for _, addr := range loopbacks(t) {
		_, to := start(t, netlab.Swallow, addr)
		holes = append(holes, to)
	}
	before := descriptors(t)
	e := newEngine(t)
	r, a := rawRace(t, e, false)
	next := 0
	for _, hole := range holes {
		for range maxIdleSockets + 50 {
			r.Start(next, hole)
			next++
		}
	}
	if got, want := descriptors(t)-before, next+pollerDescriptors; got != want {
		t.Errorf("%d attempts hold %d descriptors, want %d", next, got, want)
	}
	r.Close()
	for id := range next {
		r.want(t, id, sched.Started, sched.Cancelled)
	}
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	kept := min(maxIdleSockets, int(limit.Cur/8))
	if n := a.poller.idleSockets(); n != kept {
		t.Errorf("%d sockets are kept, want %d", n, kept)
	}
	if got, want := descriptors(t)-before, kept+pollerDescriptors; got != want {
		t.Errorf("%d descriptors are kept, want %d", got, want)
	}
	// All pollers together keep no more.
	full, _ := rawRace(t, e, false)
	other, _ := rawRace(t, e, false)
	for id := range kept {
		full.Start(id, holes[0])
		other.Start(id, holes[0])
	}
	full.Close()
	other.Close()
	if n := int(e.stock.idle.Load()); n != kept {
		t.Errorf("two races left %d sockets, want %d", n, kept)
	}
	if got, want := descriptors(t)-before, kept+2*pollerDescriptors; got != want {
		t.Errorf("two races left %d descriptors, want %d", got, want)
	}
	e.Close()
	// The places of sockets that were closed are used again.
	var places [2]int
	for i := range places {
		r, a = rawRace(t, e, false)
		for id := range maxIdleSockets + 50 {
			r.Start(id, holes[0])
		}
		places[i] = len(a.poller.sockets)
		r.Close()
	}
	if places[0] != places[1] {
		t.Errorf("%d places for sockets, and then %d", places[0], places[1])
	}
	e.Close()
	eventually(t, "no descriptor is left", func() bool { return descriptors(t) == before })
}

// pollerDescriptors are two epoll instances, an eventfd, and one to spare.
const pollerDescriptors = 4

// Many races side by side leave no more pollers than the engine's bound.
func TestIdlePollersAreBounded(t *testing.T) {
	_, hole := start(t, netlab.Swallow, v4)
	before := descriptors(t)
	e := newEngine(t)
	var races []*race
	for range maxIdlePollers + 8 {
		r, _ := rawRace(t, e, false)
		r.Start(0, hole)
		races = append(races, r)
	}
	for _, r := range races {
		r.Close()
		r.want(t, 0, sched.Started, sched.Cancelled)
	}
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	kept := min(maxIdlePollers, int(limit.Cur/64))
	if n := len(e.idle); n != kept {
		t.Errorf("%d pollers are kept, want %d", n, kept)
	}
	if got, want := descriptors(t)-before, kept*(pollerDescriptors+1); got != want {
		t.Errorf("%d descriptors are kept, want %d", got, want)
	}
	e.Close()
	e.Close()
	eventually(t, "no descriptor is left", func() bool { return descriptors(t) == before })
}

// Close of an engine closes what is kept and lets the races under way end in peace;
// a race may begin even later.
func TestEngineIsClosedDuringARace(t *testing.T) {
	h, good := start(t, netlab.Accept, v4)
	_, hole := start(t, netlab.Swallow, v4)
	before := descriptors(t)
	e := newEngine(t)
	idle, _ := rawRace(t, e, false)
	r, _ := rawRace(t, e, true)
	r.Start(0, hole)
	idle.Close()
	e.Close()
	r.Start(1, good)
	r.until(t, 1, sched.Started, sched.Connected)
	conn := r.Take(1)
	r.Close()
	r.want(t, 0, sched.Started, sched.Cancelled)
	late, _ := rawRace(t, e, false)
	late.Start(0, good)
	late.until(t, 0, sched.Started, sched.Connected)
	late.Close()
	e.Close()
	eventually(t, "the taken one is open", func() bool { return h.Accepted() == 2 && h.Open() == 1 })
	must(t, conn.Close())
	eventually(t, "no descriptor is left", func() bool { return descriptors(t) <= before })
}

// No descriptor is left to a program that is started meanwhile.
func TestRawDescriptorsCloseOnExec(t *testing.T) {
	_, good := start(t, netlab.Accept, v4)
	r, a := rawRace(t, newEngine(t), true)
	r.Start(0, good)
	r.until(t, 0, sched.Started, sched.Connected)
	for _, fd := range []int{a.poller.fd, a.poller.gate.outer, a.poller.wakeFD, a.poller.spare, a.poller.sockets[0].fd} {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		must(t, err)
		if flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d stays open on exec", fd)
		}
	}
}

// A spare descriptor that another has got is made up for in the next race.
func TestSpareDescriptorComesBack(t *testing.T) {
	e := newEngine(t)
	r, a := rawRace(t, e, true)
	a.poller.spend()
	r.Close()
	if _, b := rawRace(t, e, true); b.poller != a.poller || b.poller.spare == absent {
		t.Errorf("the poller is another, or still has none: %v", b.poller.spare)
	}
}
