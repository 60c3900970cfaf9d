package connect

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

// starved has what a process that runs out of descriptors must know, in its
// environment: endpoints.
const starved = "CONNRACE_TEST_STARVED"

// A host out of descriptors, at each point at which an engine needs one: that is
// this host's trouble and says so, nothing panics, and what could be opened is
// closed.
func TestOutOfDescriptors(t *testing.T) {
	endpoints := strings.Fields(os.Getenv(starved))
	if len(endpoints) == 0 {
		_, good := start(t, netlab.Accept, v4)
		_, hole := start(t, netlab.Swallow, v4)
		inOwnProcess(t, good.Endpoint().String(), hole.Endpoint().String())
		return
	}
	good, hole := allowed(t, endpoints[0]), allowed(t, endpoints[1])
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 40, Max: 40}))
	for _, keep := range []bool{false, true} {
		for free := range pollerDescriptors + 6 {
			withFree(t, free, func() { outOfDescriptors(t, keep, free, good, hole) })
		}
		withFree(t, 20, func() { outOfDescriptorsAtTheEnd(t, keep, good) })
		withFree(t, 9, func() { outOfDescriptorsInMidRace(t, keep, good, hole) })
		withFree(t, 20, func() { outOfDescriptorsForIdleSockets(t, keep, good, hole) })
	}
}

// inOwnProcess runs this test again, in a process of its own.
func inOwnProcess(t *testing.T, endpoints ...string) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	child := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	child.Env = append(os.Environ(), starved+"="+strings.Join(endpoints, " "))
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("the process of its own ended with %v and said\n%s", err, out)
	}
}

// withFree runs f with so many descriptors to be had, and holds that all are there
// again afterwards.
func withFree(t *testing.T, free int, f func()) {
	t.Helper()
	taken := takeAll(t)
	for _, file := range taken[:free] {
		must(t, file.Close())
	}
	f()
	rest := takeAll(t)
	if len(rest) != free {
		t.Errorf("of %d free descriptors %d are left", free, len(rest))
	}
	for _, file := range append(rest, taken[free:]...) {
		must(t, file.Close())
	}
}

// takeAll takes every descriptor there is.
func takeAll(t *testing.T) []*os.File {
	t.Helper()
	var taken []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, syscall.EMFILE) {
			return taken
		}
		must(t, err)
		taken = append(taken, f)
	}
}

// outOfDescriptors runs two attempts where a race with everything takes
// pollerDescriptors and two more.
func outOfDescriptors(t *testing.T, keep bool, free int, good, hole policy.Allowed) {
	e := newEngine(t)
	defer e.Close()
	r := newRace(t, e.Attempts, keep)
	defer r.Close()
	r.Start(0, good)
	checkStarved(t, r.outcome(t, 0), sched.Connected)
	r.Start(1, hole)
	r.Wait(r.now()+20*ms, true)
	r.Cancel(1)
	checkStarved(t, r.outcome(t, 1), sched.Cancelled)
	if n := len(r.kinds(1)); free > pollerDescriptors+2 && n != 2 {
		t.Errorf("with %d free it posted %v", free, r.kinds(1))
	}
	if free == 0 && r.kinds(0)[0] != sched.Failed {
		t.Errorf("with none free it posted %v", r.kinds(0))
	}
	// Whoever has connected can be taken, with not a single descriptor to be had.
	for _, f := range takeAll(t) {
		defer func() { must(t, f.Close()) }()
	}
	connected := r.outcome(t, 0).Kind == sched.Connected
	if conn := r.Take(0); (conn != nil) != (keep && connected) {
		t.Errorf("with %d free and Keep %v attempt 0 posted %v, and taken is %v", free, keep, r.kinds(0), conn)
	} else if conn != nil {
		must(t, conn.Close())
	}
}

// outOfDescriptorsAtTheEnd: also when somebody else has the one that was spared, what
// the engine keeps for later makes room for the winner.
func outOfDescriptorsAtTheEnd(t *testing.T, keep bool, good policy.Allowed) {
	e := newEngine(t)
	defer e.Close()
	e.once.Do(func() { e.pollers = 1 }) // a process with so few may keep none
	before, _ := rawRace(t, e, false)
	r, a := rawRace(t, e, keep)
	defer r.Close()
	r.Start(0, good)
	r.outcome(t, 0)
	before.Close() // its poller is kept
	a.poller.spend()
	for _, f := range takeAll(t) {
		defer func() { must(t, f.Close()) }()
	}
	if conn := r.Take(0); (conn != nil) != keep {
		t.Errorf("with Keep %v taken is %v", keep, conn)
	} else if conn != nil {
		must(t, conn.Close())
	}
}

// checkStarved holds that an attempt came to that, or failed for want of a
// descriptor.
func checkStarved(t *testing.T, e sched.Event, kind sched.EventKind) {
	t.Helper()
	if e.Kind != kind && (e.Kind != sched.Failed || e.Failure.Errno != "EMFILE" || e.Failure.Fault != sched.FaultHost) {
		t.Errorf("posted is %s with %+v", e.Kind, e.Failure)
	}
}

// outOfDescriptorsInMidRace: what is under way goes on, and what is given up makes
// room.
func outOfDescriptorsInMidRace(t *testing.T, keep bool, good, hole policy.Allowed) {
	e := newEngine(t)
	defer e.Close()
	r, _ := rawRace(t, e, keep)
	defer r.Close()
	const room = 9 - pollerDescriptors
	for id := range room + 3 {
		r.Start(id, hole)
	}
	for id := range room + 3 {
		if e := r.of(id)[0]; id < room != (e.Kind == sched.Started) {
			t.Errorf("attempt %d of %d that have room posted %+v", id, room, e)
		} else if id >= room {
			checkStarved(t, e, sched.Started)
		}
	}
	r.Cancel(2)
	r.Start(room+3, good)
	r.until(t, room+3, sched.Started, sched.Connected)
}

// outOfDescriptorsForIdleSockets: what earlier races have left makes room.
func outOfDescriptorsForIdleSockets(t *testing.T, keep bool, good, hole policy.Allowed) {
	e := newEngine(t)
	defer e.Close()
	const room = 20 - 2*pollerDescriptors
	e.once.Do(func() { e.stock.most, e.pollers = room, 1 }) // as if there had been many descriptors when it began
	crowded, a := rawRace(t, e, false)
	r, _ := rawRace(t, e, keep)
	defer r.Close()
	for id := range room {
		crowded.Start(id, hole)
	}
	crowded.Close()
	if n := len(a.poller.idle[0]); n != room {
		t.Errorf("%d sockets are idle, want %d", n, room)
	}
	r.Start(0, good)
	r.until(t, 0, sched.Started, sched.Connected)
}
