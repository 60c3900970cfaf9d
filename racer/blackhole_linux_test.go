package racer

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/racer/sched"
)

// The address that ranks first is a black hole, the second one a server that
// accepts and never speaks: the handshake is what counts (H2-23b, H3-46).
func blackholedFirst(t *testing.T) (*world, Target) {
	t.Helper()
	w := newWorld(t)
	must(t, w.SetPath(here6, link.Path{State: link.Blackhole}))
	must(t, w.SetPath(here4, link.Path{Delay: 5 * ms}))
	_, err := w.Serve(netip.AddrPortFrom(here4, 80), netlab.Hang())
	must(t, err)
	return w, at80Each(here6, here4)
}

// at80Each are candidates at port 80.
func at80Each(addrs ...netip.Addr) (target Target) {
	for _, a := range addrs {
		target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: netip.AddrPortFrom(a, 80).String()})
	}
	return target
}

func raceFor(t *testing.T, target Target, o Options) *RaceResult {
	t.Helper()
	racer := New(Config{})
	defer racer.Close()
	r, err := racer.Race(t.Context(), RaceRequest{Target: target, Options: o})
	must(t, err)
	checkRace(t, r)
	return r
}

// wantWon holds that the first candidate came to that, and that the second won.
func wantWon(t *testing.T, r *RaceResult, target Target, first sched.Outcome) {
	t.Helper()
	if r.End != sched.EndWon || r.Winner.Endpoint.String() != target.Candidates[1].Endpoint {
		t.Fatalf("%s, the winner is %+v", r.End, r.Winner)
	}
	if got := r.Candidates[0].Outcome; got != first {
		t.Errorf("the black hole is %s, want %s", got, first)
	}
}

// H2-22, H2-28: one attempt delay, not less.
func TestStaggeredPastABlackHole(t *testing.T) {
	netlabtest.Punctually(t, staggeredPastABlackHole)
}

func staggeredPastABlackHole(t *testing.T, watch *netlabtest.Watch) {
	w, target := blackholedFirst(t)
	r := raceFor(t, target, Options{})
	wantWon(t, r, target, sched.OutcomeCancelled)
	hole, won := r.Candidates[0].Attempts[0], r.Winner.Attempts[0]
	watch.Near("the second attempt after the first", won.Start-hole.Start, sched.DefaultAttemptDelay)
	if len(r.Masked.Addresses) != 1 {
		t.Errorf("masked are %v", r.Masked.Addresses)
	}
	switch syns := w.syns(t, &r.Run); {
	case len(syns) > 2 && (r.Cost.Backups > 0 || r.Duration >= sched.SecondSYN):
		watch.Doubt(fmt.Sprintf("the race took %v, so that a backup has started or a kernel repeated a SYN", r.Duration))
	case len(syns) != 2 || syns[0].to.Addr() != here6:
		t.Errorf("the wire saw %v", syns)
	}
}

func TestSequentialPastABlackHole(t *testing.T) {
	netlabtest.Punctually(t, sequentialPastABlackHole)
}

func sequentialPastABlackHole(t *testing.T, watch *netlabtest.Watch) {
	const limit = time.Second // the winner's too, on a busy machine
	_, target := blackholedFirst(t)
	r := raceFor(t, target, Options{Strategy: sched.Sequential, AttemptTimeout: limit})
	wantWon(t, r, target, sched.OutcomeTimedOut)
	hole, won := r.Candidates[0].Attempts[0], r.Winner.Attempts[0]
	watch.Near("the second attempt after the first", won.Start-hole.Start, limit)
	if hole.Duration() < limit {
		t.Errorf("the black hole was given up after %v", hole.Duration())
	}
}

// Of an attempt that goes on, a caller who can't wait is told how often its SYN was
// lost, also where others share the race.
func TestLostSYNsOfAPendingAttempt(t *testing.T) {
	w := newWorld(t)
	must(t, w.SetPath(here4, link.Path{State: link.Blackhole}))
	for _, share := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), 1600*ms) // the SYN is repeated after 1000, and a tick
		defer cancel()
		r, err := w.racer.Race(ctx, RaceRequest{Target: at80Each(here4), Share: share, Options: Options{MaxBackups: new(0)}})
		must(t, err)
		checkRace(t, r)
		a := r.Candidates[0].Attempts[0]
		if a.Outcome != sched.OutcomeRunning || a.Kernel.SYNRepeats < 1 || a.Local.Port() == 0 {
			t.Errorf("share %t: after %v it is %s, %+v from %s", share, r.Duration, a.Outcome, a.Kernel, a.Local)
		}
	}
}

// All at once waits for nobody.
func TestAllAtOncePastABlackHole(t *testing.T) {
	netlabtest.Punctually(t, allAtOncePastABlackHole)
}

func allAtOncePastABlackHole(t *testing.T, watch *netlabtest.Watch) {
	_, target := blackholedFirst(t)
	r := raceFor(t, target, Options{Strategy: sched.AllAtOnce})
	wantWon(t, r, target, sched.OutcomeCancelled)
	watch.Near("the win", r.Winner.Attempts[0].End, 10*ms)
	if len(r.Masked.Families) > 0 {
		t.Errorf("what was merely slower is called broken: %v", r.Masked)
	}
}

// RFC 8305 section 5: on success all others are cancelled (H2-24). The connection
// that is handed over is the only one that stays.
func TestDialLeavesOneConnectionOpen(t *testing.T) {
	w := newWorld(t)
	var hosts []*netlab.Host
	var target Target
	for i := range byte(4) {
		h := w.host(t, netip.AddrFrom4([4]byte{198, 51, 100, 1 + i}), link.Path{Delay: time.Duration(i) * ms})
		hosts = append(hosts, h)
		target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: h.Addr().String()})
	}
	before := resources(t)
	racer := New(Config{})
	defer func() {
		racer.Close()
		checkNothingLeft(t, before, hosts)
	}()
	for range 20 {
		conn, r, err := racer.Dial(t.Context(), RaceRequest{Target: target, Options: Options{Strategy: sched.AllAtOnce}})
		must(t, err)
		checkRace(t, r)
		if got, want := conn.RemoteAddr().String(), r.Winner.Endpoint.String(); got != want {
			t.Errorf("the connection is to %s, the winner is %s", got, want)
		}
		eventually(t, "one connection is open", func() bool {
			open := 0
			for _, h := range hosts {
				open += h.Open()
			}
			return open == 1
		})
		must(t, conn.Close())
	}
}
