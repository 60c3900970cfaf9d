package admit

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var generous = Limits{
	InFlight: 100_000, PerSecond: MaxLimit, CallerInFlight: 10_000, CallerPerSecond: MaxLimit,
	DestinationInFlight: 1000, DestinationPerSecond: MaxLimit, PrefixInFlight: 1000, PrefixPerSecond: MaxLimit,
}

// unhurried is a room with these limits in which no burst is too large.
func unhurried(limits Limits) *Room {
	room := New(limits, 1000)
	for s := range room.quotas {
		room.quotas[s].slack = time.Hour
	}
	return room
}

func enter(tb testing.TB, r *Room, caller string, granted func(id int)) *Race {
	tb.Helper()
	v, err := r.Enter(caller, granted)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func TestAskingDoesNotAllocate(t *testing.T) {
	for name, limits := range map[string]Limits{"no limits": {}, "all limits": generous} {
		v := enter(t, unhurried(limits), "a", nil)
		n := 0
		if allocs := testing.AllocsPerRun(10_000, func() {
			n++
			v.Ask(0, netip.AddrPortFrom(here.Addr(), uint16(n)))
			v.Ask(1, elsewhere)
			v.Done(0)
			v.Done(1)
		}); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
	waits := enter(t, New(Limits{InFlight: 1, DestinationInFlight: 1, PrefixInFlight: 1}, 0), "a", func(int) {})
	if allocs := testing.AllocsPerRun(10_000, func() {
		waits.Ask(0, here)
		waits.Ask(1, here)
		waits.Ask(2, elsewhere)
		waits.Done(0)
		waits.Done(1)
		waits.Done(2)
	}); allocs != 0 {
		t.Errorf("in line: %v allocations", allocs)
	}
}

func BenchmarkAskAndDone(b *testing.B) {
	for _, c := range []struct {
		name   string
		limits Limits
	}{{"no limits", Limits{}}, {"all limits", generous}} {
		b.Run(c.name, func(b *testing.B) {
			v := enter(b, unhurried(c.limits), "a", nil)
			b.ReportAllocs()
			for b.Loop() {
				v.Ask(0, here)
				v.Done(0)
			}
		})
	}
}

// crowd is a room in which attempts wait for the only place, and each of destinations
// and prefixes has a budget too.
type crowd struct {
	races []*Race
	to    func(i int) netip.AddrPort
	next  int
	holds int // the race, by its index
	id    int
}

func newCrowd(tb testing.TB, limits Limits, callers, waiting int, to func(i int) netip.AddrPort) *crowd {
	tb.Helper()
	c := &crowd{to: to}
	limits.Waiting = MaxLimit
	room := New(limits, 0)
	for i := range callers {
		c.races = append(c.races, enter(tb, room, fmt.Sprint(i), func(id int) { c.holds, c.id = i, id }))
	}
	for i := range waiting + 1 {
		if _, granted := c.races[i%callers].Ask(i/callers, to(i)); granted != (i == 0) {
			tb.Fatalf("attempt %d: granted is %v", i, granted)
		}
	}
	return c
}

// step gives the place back, which grants it to another, and lets the first wait again.
func (c *crowd) step() {
	v, id := c.races[c.holds], c.id
	v.Done(id)
	c.next++
	v.Ask(id, c.to(c.next))
}

// Each of these makes the line block in another way. What waits at a destination has
// its lines by caller, 100 of them.
var crowds = []struct {
	name   string
	limits Limits
	to     func(i int) netip.AddrPort
}{
	{"for the room", Limits{InFlight: 1}, func(int) netip.AddrPort { return here }},
	{"for one destination", Limits{DestinationInFlight: 1}, func(int) netip.AddrPort { return here }},
	{"for one prefix, many destinations", Limits{PrefixInFlight: 1, DestinationInFlight: 1}, func(i int) netip.AddrPort {
		return netip.AddrPortFrom(here.Addr(), uint16(i))
	}},
	{"for the room, many destinations", Limits{InFlight: 1, DestinationInFlight: 1, PrefixInFlight: 1}, func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 443)
	}},
}

func BenchmarkCrowd(b *testing.B) {
	for _, c := range crowds {
		for _, waiting := range []int{1000, 10_000} {
			b.Run(fmt.Sprintf("%d wait %s", waiting, c.name), func(b *testing.B) {
				crowd := newCrowd(b, c.limits, 100, waiting, c.to)
				b.ReportAllocs()
				for b.Loop() {
					crowd.step()
				}
			})
		}
	}
}

// TestACrowdIsNotScanned: twenty times as many that wait do not make a grant twenty times
// as dear. The fastest of some rounds counts, so that a busy machine does not.
func TestACrowdIsNotScanned(t *testing.T) {
	for _, c := range crowds {
		few := newCrowd(t, c.limits, 100, 1000, c.to)
		many := newCrowd(t, c.limits, 100, 20_000, c.to)
		round := func(crowd *crowd) time.Duration {
			start := time.Now()
			for range 50 {
				crowd.step()
			}
			return time.Since(start)
		}
		a, b := time.Hour, time.Hour
		for range 20 { // in turns, so that both have the same neighbours
			a, b = min(a, round(few)), min(b, round(many))
		}
		if b > 8*a {
			t.Errorf("%s: 50 grants among 1,000 take %v, among 20,000 %v", c.name, a, b)
		}
	}
}

// TestManyGoroutines holds the limits while races come and go on all sides. Each
// attempt counts itself in and out where it knows that it holds a place.
func TestManyGoroutines(t *testing.T) {
	const inFlight, ofCaller, ofDestination = 20, 8, 5
	limits := Limits{
		InFlight: inFlight, PerSecond: MaxLimit, CallerInFlight: ofCaller, DestinationInFlight: ofDestination,
		PrefixInFlight: 12, DestinationPerSecond: 50_000, Waiting: MaxLimit,
	}
	room := New(limits, 0)
	to := []netip.AddrPort{here, nextDoor, elsewhere, netip.MustParseAddrPort("[::1]:1")}
	var whole atomic.Int32
	var callers, destinations [4]atomic.Int32
	enterOne := func(n *atomic.Int32, most int32) {
		if got := n.Add(1); got > most {
			t.Errorf("%d in flight where %d are allowed", got, most)
		}
	}
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			caller := worker % 4
			for range 100 {
				granted := make(chan int, 16)
				v, err := room.Enter(fmt.Sprint(caller), func(id int) { granted <- id })
				if err != nil {
					t.Error(err)
					return
				}
				wants := map[int]int{}
				for id := range 1 + random.IntN(8) {
					wants[id] = random.IntN(len(to))
					if _, ok := v.Ask(id, to[wants[id]]); ok {
						granted <- id
					}
				}
				if random.IntN(4) == 0 { // gives up while others wait
					v.Leave()
					continue
				}
				for range len(wants) {
					id := <-granted
					enterOne(&whole, inFlight)
					enterOne(&callers[caller], ofCaller)
					enterOne(&destinations[wants[id]], ofDestination)
					whole.Add(-1)
					callers[caller].Add(-1)
					destinations[wants[id]].Add(-1)
					v.Done(id)
				}
				v.Leave()
			}
		})
	}
	all.Wait()
	if s := room.Snapshot(); s.InFlight != 0 || s.Waiting != 0 {
		t.Errorf("left over: %+v", s)
	}
	if err := room.wellFormed(); err != nil {
		t.Error(err)
	}
}
