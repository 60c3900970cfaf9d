package sim

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// crowdOf are so many clients at two backends, one a second, each staying for ever.
func crowdOf(clients int, order Order, backends ...Backend) Crowd {
	for i := range backends {
		backends[i] = v4(i+1, backends[i])
	}
	return Crowd{World: plain(backends...), Clients: clients, Every: time.Second, Hold: time.Hour * 1000, Order: order}
}

// What a plain client does with each order of DNS, and all at once with any: worked
// out by hand.
func TestCrowds(t *testing.T) {
	plainly := Racing("plainly", Defaults(sched.Sequential))
	atOnce := Racing("at once", Defaults(sched.AllAtOnce))
	for _, c := range []struct {
		about              string
		crowd              Crowd
		dialer             Dialer
		shares             string
		effective, largest float64
	}{
		{"all go where DNS says", crowdOf(100, FixedOrder, up(30*ms), up(20*ms)), plainly, "[1.00 0.00]", 1, 2},
		{"in turns", crowdOf(100, RotatedOrder, up(30*ms), up(20*ms), up(10*ms), up(40*ms)), plainly, "[0.25 0.25 0.25 0.25]", 4, 1},
		{"all go to the fastest", crowdOf(100, RotatedOrder, up(30*ms), up(20*ms)), atOnce, "[0.00 1.00]", 1, 2},
		// The second backend is 10 ms slower, so the first one gets its 11th connection
		// (ties go to the one that DNS has first) before the other one gets any. From
		// then on they take turns: 10 + 45 of 100.
		{
			"until that is slower", crowdOf(100, FixedOrder, Backend{RTT: 20 * ms, Slowdown: ms}, Backend{RTT: 30 * ms, Slowdown: ms}),
			atOnce, "[0.55 0.45]", 1 / (0.55*0.55 + 0.45*0.45), 1.1,
		},
		// Of three answers one begins with the first, one with the last, and one with the
		// dead one, then the last.
		{
			"the dead have no part in what is fair", crowdOf(100, RotatedOrder, up(20*ms), Backend{State: Refusing}, up(20*ms)),
			plainly, "[0.34 0.00 0.66]", 1 / (0.34*0.34 + 0.66*0.66), 2 * 0.66,
		},
		{"nobody connects", crowdOf(100, RotatedOrder, Backend{State: Refusing}), atOnce, "[0.00]", 0, 0},
	} {
		t.Run(c.about, func(t *testing.T) {
			s := c.crowd.Run(c.dialer)[0]
			if got := fmt.Sprintf("%.2f", s.Shares); got != c.shares {
				t.Errorf("shares are %s, want %s", got, c.shares)
			}
			if math.Abs(s.Effective-c.effective) > 0.02 || math.Abs(s.Largest-c.largest) > 0.02 {
				t.Errorf("effective are %v and the largest is %v, want %v and %v", s.Effective, s.Largest, c.effective, c.largest)
			}
			if s.Dialer != c.dialer.Name || s.Row.Dialer != c.dialer.Name || s.Row.World != c.crowd.Order.String() {
				t.Errorf("names are %q, %q and %q", s.Dialer, s.Row.Dialer, s.Row.World)
			}
		})
	}
}

// Each client has an order of its own.
func TestShuffledOrder(t *testing.T) {
	c := crowdOf(2000, ShuffledOrder, up(20*ms), up(20*ms), up(20*ms))
	for i, share := range c.Run(Racing("", Defaults(sched.Sequential)))[0].Shares {
		if math.Abs(share-1.0/3) > 0.04 {
			t.Errorf("share of backend %d is %v, want a third", i, share)
		}
	}
}

// Each connection that a backend holds slows its answers, and a connection is held
// from its establishment on.
func TestLoad(t *testing.T) {
	w := plain(v4(1, Backend{RTT: 20 * ms, Slowdown: 5 * ms}))
	c := newCrowd(Crowd{World: w, Hold: time.Second})
	c.held[0] = 3
	got := Run(w, Dialer{Dial: func(h *Host) {
		h.crowd = c
		first.Dial(h)
	}})
	if got.Time != 35*ms || c.held[0] != 4 {
		t.Errorf("connected after %v, %d are held then; want 35ms and 4", got.Time, c.held[0])
	}
	// One that was in vain is held until it is closed.
	held := 0
	Run(w, Dialer{Dial: func(h *Host) {
		h.crowd = c
		h.Connect(address4(1), func(error) { held = c.held[0] })
		h.After(time.Second, h.Failed)
	}})
	if held != 5 || c.held[0] != 4 {
		t.Errorf("%d and then %d are held, want 5 and 4", held, c.held[0])
	}
}

// When all have gone, nobody holds anything, and all have stayed for about as long
// as they were meant to.
func TestCrowdGoesHome(t *testing.T) {
	c := DefaultCrowd(1, ShuffledOrder)
	for _, strategy := range []sched.Strategy{sched.Staggered, sched.AllAtOnce} {
		q := newCrowd(c)
		results := q.run(Racing("", Defaults(strategy)))
		for backend, held := range q.held {
			if held != 0 {
				t.Errorf("%v: backend %d holds %d connections", strategy, backend, held)
			}
		}
		for i, r := range results {
			if !r.Connected || r.Time < 18*ms {
				t.Fatalf("%v: client %d: %+v", strategy, i, r)
			}
		}
		// 4,000 clients come in 40 s; the last one stays for a few seconds.
		if end := q.clock.now; end < 38*time.Second || end > 60*time.Second {
			t.Errorf("%v: it was over after %v", strategy, end)
		}
	}
}

// The default crowd holds about a hundred connections: that is what its numbers are
// for.
func TestDefaultCrowd(t *testing.T) {
	q := newCrowd(DefaultCrowd(1, FixedOrder))
	var seen []int
	q.clock.schedule(20*time.Second, news, &q.street).f = func() { seen = slices.Clone(q.held) }
	q.run(Racing("", Defaults(sched.Sequential)))
	if len(seen) != 4 || seen[0] < 60 || seen[0] > 140 || seen[1]+seen[2]+seen[3] != 0 {
		t.Errorf("after 20 s %v are held", seen)
	}
}

// The same crowd does the same, also beside others.
func TestCrowdIsAFunction(t *testing.T) {
	c := DefaultCrowd(1, ShuffledOrder)
	c.Clients = 300
	d := Racing("d", Defaults(sched.AllAtOnce))
	spreads := c.Run(d, Racing("e", Defaults(sched.Staggered)), d)
	if fmt.Sprint(spreads[0]) != fmt.Sprint(spreads[2]) || fmt.Sprint(c.Run(d)[0]) != fmt.Sprint(spreads[0]) {
		t.Error("the same crowd does not do the same")
	}
	c.World.Seed = 2
	if fmt.Sprint(c.Run(d)[0]) == fmt.Sprint(spreads[0]) {
		t.Error("the seed has no effect")
	}
}
