package connect

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/racer/sched"
)

// A race has a poller while it has attempts in flight, and no descriptor before, between
// and after them: it may wait long for DNS, or for its place among others.
func TestRaceThatOnlyWaitsHasNoDescriptors(t *testing.T) {
	_, hole := start(t, netlab.Swallow, v4)
	e := newEngine(t)
	e.tried.Do(func() {})
	e.once.Do(func() {}) // keeps nothing
	before := descriptors(t)
	r := newRace(t, e.Attempts, false)
	defer r.Close()
	for id := range 3 {
		r.Wait(r.now()+ms, true)
		if n := descriptors(t); n != before {
			t.Errorf("before attempt %d it has %d descriptors", id, n-before)
		}
		r.Start(id, hole)
		r.Wait(r.now()+ms, true) // for Started
		r.Wait(r.now()+ms, true)
		if n := descriptors(t); n != before+pollerDescriptors+1 {
			t.Errorf("during attempt %d it has %d descriptors, want %d", id, n-before, pollerDescriptors+1)
		}
		r.Cancel(id)
		r.Wait(r.now()+ms, true) // for Cancelled
	}
	r.Wait(r.now()+ms, true)
	if n := descriptors(t); n != before {
		t.Errorf("after all of them it has %d descriptors", n-before)
	}
}

// No call of Wake is lost while a race lets its poller go.
func TestNoWakeIsLostBetweenPollers(t *testing.T) {
	_, closed := start(t, netlab.Refuse, v4)
	_, hole := start(t, netlab.Swallow, v4)
	r := newRace(t, newEngine(t).Attempts, false)
	defer r.Close()
	random := rand.New(rand.NewPCG(1, 2))
	slept := func(what string) {
		t.Helper()
		var waker sync.WaitGroup
		after := random.IntN(2000)
		waker.Go(func() {
			for range after { // some microseconds, or none
				runtime.KeepAlive(after)
			}
			r.Wake()
		})
		began := r.now()
		if r.Wait(began+patience, true); r.now()-began >= patience {
			t.Fatalf("%s a Wake was lost", what)
		}
		waker.Wait()
	}
	for id := range 400 {
		r.Start(id, closed)
		r.until(t, id, sched.Started, sched.Failed)
		slept("after an attempt")
		slept("without a poller")
	}
	r.Start(400, hole)
	r.Wait(r.now()+ms, true) // for Started
	for range 400 {
		slept("during an attempt")
	}
}
