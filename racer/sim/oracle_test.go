package sim

import (
	"testing"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// The soonest answer that brings a backend and its fastest round trip, over all
// that can be connected to.
func TestOracle(t *testing.T) {
	for _, c := range []struct {
		about  string
		world  World
		change func(w *World)
		want   time.Duration // 0: nothing connects
	}{
		{"the fastest", plain(v6(1, up(30*ms)), v4(1, up(20*ms))), nil, 20 * ms},
		{"DNS counts", plain(v6(1, up(30*ms)), v4(1, up(20*ms))), func(w *World) { w.A.Delay = 11 * ms }, 30 * ms},
		{"without loss", plain(v4(1, Backend{RTT: 20 * ms, Loss: 0.9, LoseSYN: []int{1}})), nil, 20 * ms},
		{"at its luckiest", plain(v4(1, Backend{RTT: 20 * ms, Jitter: 3 * ms})), nil, 14 * ms},
		{"what is dead does not count", plain(
			v4(1, Backend{State: Silent, RTT: 1}), v4(2, Backend{State: Refusing, RTT: 1}), v4(3, Backend{State: Unreachable, RTT: 1}),
			v4(4, Backend{Loss: 1, RTT: 1}), v4(5, up(80*ms)),
		), nil, 80 * ms},
		{"what has no route does not count", plain(v6(1, up(1)), v4(1, up(20*ms))), func(w *World) { w.Client = clientNetworks[:1] }, 20 * ms},
		{"what DNS does not have does not count", plain(v4(1, up(1)), v4(2, up(20*ms))), func(w *World) { w.A.Addrs = w.A.Addrs[1:] }, 20 * ms},
		{"a dropped question brings nothing", plain(v4(1, up(1)), v6(1, up(20*ms))), func(w *World) { w.A.Dropped = true }, 20 * ms},
		{"an address of nobody", plain(), func(w *World) { w.A.Addrs = append(w.A.Addrs, address4(1)) }, 0},
		{"nothing", plain(), nil, 0},
		{"as long as the patience", plain(v4(1, up(30*time.Second))), nil, 30 * time.Second},
		{"longer than the patience", plain(v4(1, up(30*time.Second+1))), nil, 0},
	} {
		t.Run(c.about, func(t *testing.T) {
			if c.change != nil {
				c.change(&c.world)
			}
			got, ok := c.world.Oracle()
			if ok != (c.want > 0) || ok && got != c.want {
				t.Errorf("got %v, %v, want %v", got, ok, c.want)
			}
		})
	}
}

// No dialer is ever faster than the oracle, or connects where it does not. The bound
// is a close one: without luck, and with both answers at once, all at once reaches it.
func TestOracleIsABound(t *testing.T) {
	reached := 0
	for number := range 1200 {
		w := Random(7, Kinds()...)(number)
		if number%3 == 0 {
			w.A.Delay = w.AAAA.Delay
			for i := range w.Backends {
				w.Backends[i].Loss, w.Backends[i].Jitter = 0, 0
			}
		}
		best, possible := w.Oracle()
		for _, d := range Strategies() {
			r := Run(w, d)
			if r.Connected && (!possible || r.Time < best) {
				t.Fatalf("world %d: %s connects after %v, the oracle after %v (%v)", number, d.Name, r.Time, best, possible)
			}
			if number%3 == 0 && d.Name == sched.AllAtOnce.String() && possible {
				if reached++; r.Time != best {
					t.Fatalf("world %d without luck: all at once needs %v, the oracle %v", number, r.Time, best)
				}
			}
		}
	}
	if reached < 300 {
		t.Errorf("the bound was tried in %d worlds only", reached)
	}
}
