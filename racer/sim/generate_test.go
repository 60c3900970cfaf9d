package sim

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// drawn are worlds of a kind; enough for shares to be within a percent or so.
func drawn(k Kind) []World {
	worlds := make([]World, 20_000)
	for i := range worlds {
		worlds[i] = Generate(k, 11, i)
	}
	return worlds
}

// The same seed and number make the same world, whatever else is drawn; another
// seed, kind or number makes another one.
func TestGenerateIsAFunction(t *testing.T) {
	both, alone := Random(1, Lossy, Healthy), Random(1, Healthy)
	for i := range 50 {
		w := Generate(Healthy, 1, i)
		if !reflect.DeepEqual(w, both(2*i+1)) || !reflect.DeepEqual(w, alone(i)) {
			t.Fatalf("world %d is not always the same", i)
		}
		for about, other := range map[string]World{
			"seed": Generate(Healthy, 2, i), "number": Generate(Healthy, 1, i+1), "kind": Generate(Lossy, 1, i),
		} {
			if other.Seed == w.Seed {
				t.Fatalf("world %d does not depend on the %s", i, about)
			}
		}
	}
}

// Every world can be: what DNS says is there, each number is in its range, and
// nobody is twice at one address.
func TestGeneratedWorldsAreSound(t *testing.T) {
	for _, k := range Kinds() {
		for i, w := range drawn(k)[:3000] {
			seen := make(map[netip.Addr]bool)
			for _, b := range w.Backends {
				if seen[b.Addr] || b.RTT <= 0 || b.RTT > 2*time.Second || b.Jitter < 0 || b.Jitter > b.RTT/2 || b.Loss < 0 || b.Loss > 0.1 {
					t.Fatalf("%v %d: backend %+v", k, i, b)
				}
				seen[b.Addr] = true
			}
			for _, c := range []struct {
				answer *Resolution
				family addrsel.Family
			}{{&w.A, addrsel.FamilyIPv4}, {&w.AAAA, addrsel.FamilyIPv6}} {
				if c.answer.Delay <= 0 || len(c.answer.Addrs) > 8 {
					t.Fatalf("%v %d: answer %+v", k, i, c.answer)
				}
				for _, addr := range c.answer.Addrs {
					if !seen[addr] || addrsel.FamilyOf(addr) != c.family {
						t.Fatalf("%v %d: the answer has %v", k, i, addr)
					}
				}
			}
			if w.Name != k.String() || w.Kernel != LinearSYN || len(w.Client) == 0 {
				t.Fatalf("%v %d: %+v", k, i, w)
			}
		}
	}
}

// RFC 6724 has nothing to say about the addresses of one family.
func TestGeneratedOrderIsThatOfDNS(t *testing.T) {
	w := Generate(FamilyBroken, 1, 0)
	for len(w.AAAA.Addrs) < 6 || len(w.A.Addrs) < 6 {
		w = Generate(FamilyBroken, w.Seed, 0)
	}
	var ranker addrsel.Ranker
	for _, addrs := range [][]netip.Addr{w.AAAA.Addrs, w.A.Addrs} {
		var dests []addrsel.Destination
		for _, addr := range addrs {
			p := w.source(addr)
			dests = append(dests, addrsel.Destination{Addr: addr, Source: p.Addr(), SourceBits: p.Bits()})
		}
		for place, p := range ranker.Rank(dests, addrsel.Config{}) {
			if p.Index != place {
				t.Errorf("at place %d of %v stands %d because of %v", place, addrs, p.Index, p.Reason)
			}
		}
	}
}

// Each kind is what it says.
func TestKinds(t *testing.T) {
	dead := func(w World, routed bool) (six, four, all int) {
		for _, b := range w.Backends {
			if routed && !w.source(b.Addr).IsValid() {
				continue
			}
			all++
			if b.State != Up && b.Addr.Is6() {
				six++
			}
			if b.State != Up && b.Addr.Is4() {
				four++
			}
		}
		return six, four, all
	}
	for i := range 3000 {
		for _, k := range []Kind{Healthy, Lossy, SlowDNS} {
			if six, four, _ := dead(Generate(k, 1, i), false); six+four > 0 {
				t.Fatalf("%v %d has dead backends", k, i)
			}
		}
		if w := Generate(Healthy, 1, i); w.A.Status != sched.Positive || w.A.Dropped || w.AAAA.Dropped {
			t.Fatalf("healthy %d: DNS %+v", i, w.A)
		}
		w := Generate(OneDead, 1, i)
		if six, four, all := dead(w, true); six+four != 1 || all < 2 {
			t.Fatalf("one_dead %d: %d and %d of %d are dead", i, six, four, all)
		}
		w = Generate(FamilyBroken, 1, i)
		six, four, _ := dead(w, false)
		whole := six == len(w.AAAA.Addrs) && four == 0 || six == 0 && four == len(w.A.Addrs)
		if !whole || six+four == 0 || len(w.Client) != 2 {
			t.Fatalf("family_broken %d: %d and %d are dead", i, six, four)
		}
		if w := Generate(Lossy, 1, i); w.Backends[0].Loss < 0.01 {
			t.Fatalf("lossy %d: loss is %v", i, w.Backends[0].Loss)
		}
		w = Generate(SlowDNS, 1, i)
		apart := (w.A.Delay - w.AAAA.Delay).Abs()
		broken := w.A.Dropped || w.AAAA.Dropped || w.A.Status == sched.Broken || w.AAAA.Status == sched.Broken
		if len(w.Client) != 2 || apart < 20*ms && !broken {
			t.Fatalf("slow_dns %d: A %+v, AAAA %+v", i, w.A, w.AAAA)
		}
		if len(w.A.Addrs)+len(w.AAAA.Addrs) == 0 {
			t.Fatalf("slow_dns %d has no address", i)
		}
	}
}

// The table of Generate is true.
func TestTheTable(t *testing.T) {
	share := func(about string, worlds []World, want, by float64, is func(w *World) bool) {
		t.Helper()
		n := 0
		for i := range worlds {
			if is(&worlds[i]) {
				n++
			}
		}
		if got := float64(n) / float64(len(worlds)); math.Abs(got-want) > by {
			t.Errorf("%s: share is %.4f, want %.4f", about, got, want)
		}
	}
	quantile := func(about string, worlds []World, thousandths int, want time.Duration, of func(w *World) time.Duration) {
		t.Helper()
		var times []time.Duration
		for i := range worlds {
			times = append(times, of(&worlds[i]))
		}
		slices.Sort(times)
		if got := sched.Quantile(times, float64(thousandths)/1000); (got - want).Abs() > want*15/100 {
			t.Errorf("%s: %d thousandths are %v, want %v", about, thousandths, got, want)
		}
	}
	healthy := drawn(Healthy)
	share("client has IPv4 alone", healthy, 0.25, 0.01, func(w *World) bool { return len(w.Client) == 1 })
	share("name has both families", healthy, 0.5, 0.015, func(w *World) bool { return len(w.AAAA.Addrs) > 0 })
	for n, want := range map[int]float64{1: 0.45, 2: 0.25, 3: 0.08, 4: 0.12, 5: 0, 6: 0.05, 7: 0, 8: 0.05} {
		share(fmt.Sprint(n, " addresses"), healthy, want, 0.015, func(w *World) bool { return len(w.A.Addrs) == n })
	}
	share("several places", healthy, 0.25*0.55, 0.012, func(w *World) bool {
		n := len(w.Backends)
		return len(w.A.Addrs) > 1 && w.Backends[n-1].RTT != w.Backends[n-2].RTT
	})
	for loss, want := range map[float64]float64{0: 0.85, 0.005: 0.1, 0.02: 0.05} {
		share(fmt.Sprint("loss of ", loss), healthy, want, 0.01, func(w *World) bool { return w.Backends[0].Loss == loss })
	}
	share("a history", healthy, 0.5, 0.015, func(w *World) bool { return w.Backends[0].Known.RTT > 0 })
	share("an old history", healthy, 0.5*0.1, 0.01, func(w *World) bool {
		b := w.Backends[0]
		return b.Known.RTT > 0 && math.Abs(math.Log(float64(b.Known.RTT)/float64(b.RTT))) > 0.11
	})

	rtt := func(w *World) time.Duration { return w.Backends[len(w.Backends)-1].RTT }
	onePlace := slices.DeleteFunc(slices.Clone(healthy), func(w World) bool { return len(w.A.Addrs) < 2 || rtt(&w) != w.Backends[len(w.Backends)-2].RTT })
	quantile("RTT", onePlace, 250, 15300*time.Microsecond, rtt)
	quantile("RTT", onePlace, 500, 30*ms, rtt)
	quantile("RTT", onePlace, 750, 58900*time.Microsecond, rtt)
	quantile("A", healthy, 750, 17*ms, func(w *World) time.Duration { return w.A.Delay })
	quantile("A", healthy, 950, 109*ms, func(w *World) time.Duration { return w.A.Delay })
	quantile("A and AAAA apart", healthy, 990, 21*ms, func(w *World) time.Duration { return (w.A.Delay - w.AAAA.Delay).Abs() })

	broken := drawn(FamilyBroken)
	share("IPv6 is the broken one", broken, 0.75, 0.012, func(w *World) bool { return w.Backends[0].State != Up })
	for state, want := range map[State]float64{Silent: 0.7, Unreachable: 0.2, Refusing: 0.1} {
		share(fmt.Sprint("the broken are ", state), broken, want, 0.012, func(w *World) bool {
			return w.Backends[0].State == state || w.Backends[len(w.Backends)-1].State == state
		})
	}
	oneDead := drawn(OneDead)
	for state, want := range map[State]float64{Silent: 0.7, Refusing: 0.2, Unreachable: 0.1} {
		share(fmt.Sprint("the dead one is ", state), oneDead, want, 0.012, func(w *World) bool {
			return slices.ContainsFunc(w.Backends, func(b Backend) bool { return b.State == state })
		})
	}
	lossy := drawn(Lossy)
	for _, loss := range []float64{0.01, 0.02, 0.05, 0.1} {
		share(fmt.Sprint("loss of ", loss), lossy, 0.25, 0.012, func(w *World) bool { return w.Backends[0].Loss == loss })
	}
	slow := drawn(SlowDNS)
	late := func(w *World) time.Duration { return (w.A.Delay - w.AAAA.Delay).Abs() }
	share("dropped", slow, 0.1, 0.01, func(w *World) bool { return w.A.Dropped || w.AAAA.Dropped })
	share("SERVFAIL", slow, 0.1, 0.01, func(w *World) bool { return w.A.Status == sched.Broken || w.AAAA.Status == sched.Broken })
	share("AAAA is the slow one", slow, 0.67*0.8, 0.02, func(w *World) bool { return w.AAAA.Delay-w.A.Delay > 45*ms })
	share("A is the slow one", slow, 0.33*0.8, 0.02, func(w *World) bool { return w.A.Delay-w.AAAA.Delay > 45*ms })
	share("5 s late", slow, 0.1, 0.01, func(w *World) bool { return late(w) > 4*time.Second })
	share("0.5 to 2 s late", slow, 0.3, 0.02, func(w *World) bool { return late(w) > 500*ms && late(w) < 2500*ms })

	mixed := drawn(Mixed)
	share("IPv6 is broken", mixed, 0.014/2, 0.003, func(w *World) bool {
		return len(w.AAAA.Addrs) > 1 && !slices.ContainsFunc(w.Backends[:len(w.AAAA.Addrs)], func(b Backend) bool { return b.State == Up })
	})
	share("lossy", mixed, 0.03, 0.01, func(w *World) bool { return w.Backends[0].Loss > 0.02 || w.Backends[0].Loss == 0.01 })
}

// In an ordinary world the first address is the one, for as many as in the trial of
// a browser.
func TestFirstAddressMostlyDoes(t *testing.T) {
	cfg := Defaults(sched.Staggered)
	cfg.MaxBackups = 0
	d := Racing("", cfg)
	var r runner
	one, worlds := 0, drawn(Mixed)
	for i := range worlds {
		if result := r.run(&worlds[i], d); result.Connected && result.SYNs == 1 {
			one++
		}
	}
	if share := float64(one) / float64(len(worlds)); share < 0.95 || share > 0.97 {
		t.Errorf("one SYN does in %.4f of the worlds, the table says 0.96", share)
	}
}

func TestParseKind(t *testing.T) {
	for _, k := range Kinds() {
		if got, err := ParseKind(k.String()); got != k || err != nil {
			t.Errorf("%v: %v, %v", k, got, err)
		}
	}
	_, err := ParseKind("wealthy")
	want := `there is no kind of worlds "wealthy"; the kinds are [healthy one_dead family_broken lossy slow_dns mixed]`
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}
