package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// Kind is a kind of random worlds.
type Kind uint8

const (
	// Healthy is a world in which everything works: all backends are up, and few
	// packets are lost.
	Healthy Kind = iota
	// OneDead is a healthy world with at least two addresses, one of which is dead.
	OneDead
	// FamilyBroken is a world in which all addresses of one of two families are dead.
	FamilyBroken
	// Lossy is a world whose client has a bad link.
	Lossy
	// SlowDNS is a world in which one of the two answers of DNS is late, or no answer.
	SlowDNS
	// Mixed is a world as on an ordinary day: each of these faults, as rare as it is.
	Mixed
)

var kindNames = []string{"healthy", "one_dead", "family_broken", "lossy", "slow_dns", "mixed"}

// String returns a stable word such as "one_dead".
func (k Kind) String() string { return word(kindNames, int(k)) }

// Kinds are all kinds.
func Kinds() []Kind { return []Kind{Healthy, OneDead, FamilyBroken, Lossy, SlowDNS, Mixed} }

// ParseKind returns the kind with that word.
func ParseKind(name string) (Kind, error) {
	if i := slices.Index(kindNames, name); i >= 0 {
		return Kind(i), nil
	}
	return 0, fmt.Errorf("there is no kind of worlds %q; the kinds are %v", name, Kinds())
}

// Random makes worlds of the given kinds in turns, from a seed: Experiment.World
// for any number of them. The same seed makes the same worlds, and the n-th world of
// a kind does not depend on what other kinds there are.
func Random(seed uint64, kinds ...Kind) func(number int) World {
	return func(number int) World {
		return Generate(kinds[number%len(kinds)], seed, number/len(kinds))
	}
}

// Generate makes the world of a kind with the given seed and number; its Name is
// the kind's word. All draws are independent of each other unless the table says
// otherwise. Where it names no source the numbers are our own choice, between what
// is common and what makes a difference to dialers.
//
//	what                       how it is drawn
//	client host                both families 3/4, IPv4 alone 1/4; always both where two
//	                           families are needed
//	families of the name       both 1/2, IPv4 alone 1/2; always both where two are needed
//	addresses of each family   1: 45 %, 2: 25 %, 3: 8 %, 4: 12 %, 6: 5 %, 8: 5 %
//	RTT of the place           lognormal, median 30 ms, sigma 1.0, 0.5 to 600 ms [1]
//	RTT of a backend           that of the place 3/4; times lognormal, sigma 0.7, 1/4 of
//	                           the names: their backends are at several places
//	... over IPv6              times lognormal, sigma 0.05; sigma 0.5 for 1/10 [2]
//	jitter, each way           even, up to a share of the RTT that is even in 0 to 5 %
//	loss of a packet           none 85 %, 0.5 % for 10 %, 2 % for 5 % of clients [3]
//	answer of DNS              lognormal, median 4.7 ms, sigma 1.9, 0.2 ms to 3 s [4]
//	... the later of the two   on top: lognormal, median 0.5 ms, sigma 1.4 [5]
//	... each of them           1 s more for 0.3 %, whose packet is lost
//	history                    for half of the clients: 1 to 20 connects to each
//	                           address, for 1/10 of the addresses as things were when
//	                           the RTT was another: times lognormal, sigma 0.7
//
//	one_dead                   one address of those the client has a route to, which are
//	                           two at least: silent 70 %, refusing 20 %,
//	                           unreachable 10 %
//	family_broken              IPv6 3/4, IPv4 1/4 [6]: silent 70 %, unreachable 20 %,
//	                           refusing 10 %
//	lossy                      loss of a packet 1, 2, 5 or 10 %, alike
//	slow_dns                   of both families: AAAA 2/3, A 1/3: 50 to 500 ms late 40 %,
//	                           0.5 to 2 s late 30 %, 5 s late 10 %, SERVFAIL 10 %,
//	                           dropped 10 %
//	mixed                      IPv6 broken 1.4 %, IPv4 broken 0.2 % [6] where the name
//	                           has both; each address dead 1 %; lossy 3 %; slow_dns 1 %
//	                           where the name has both [7]
//
//	[1] Firefox Nightly telemetry, time of DNS, TCP and TLS together: quartiles 40, 74
//	    and 161 ms, taken for 2.5 round trips; the quartiles here are 15, 30 and 59 ms
//	[2] Bajpai and Schoenwaelder, ANRW 2016: IPv6 faster to 18 % of sites, and at most
//	    1 ms slower to 91 % of the others
//	[3] that is 0.3 % for the two packets of a handshake; McManus, 2010 (Firefox), has
//	    0.25 %
//	[4] Firefox Nightly telemetry, A: 75 % 17 ms, 95 % 109 ms; the same here
//	[5] Mozilla: 99 % of the two answers are at most 21 ms apart; the same here
//	[6] Huston, APNIC: IPv6 connects that fail 1.4 % (May 2019), IPv4 0.1 to 0.3 %
//	    (February 2014)
//	[7] so that some 96 % of names need their first address only: 95 % in the trial
//	    of Happy Eyeballs v3 in Firefox, 2026
//
// Addresses are of the ranges for documentation, and laid out so that RFC 6724
// leaves those of a family in the order of DNS. What no world has: changing
// conditions, DNS answers that change, and load.
func Generate(k Kind, seed uint64, number int) World {
	g := generator{rand.New(rand.NewPCG(mix(mix(seed)^uint64(k)), uint64(number)))}
	return g.world(k)
}

type generator struct{ *rand.Rand }

func (g generator) world(k Kind) World {
	w := World{Name: k.String(), Seed: g.Uint64()}
	needsBoth := k == FamilyBroken || k == SlowDNS
	w.Client = clientNetworks
	if dual := g.chance(0.75); !dual && !needsBoth {
		w.Client = clientNetworks[:1]
	}
	six, four := 0, g.addresses()
	if dual := g.chance(0.5); dual || needsBoth {
		six = g.addresses()
	}
	if k == OneDead && (six == 0 || len(w.Client) == 1) {
		four = max(2, four)
	}
	w.Backends = g.backends(six, four)
	g.resolve(&w, six)
	g.lose(&w, g.loss())
	g.remember(&w)
	g.faults(&w, k, six)
	return w
}

// clientNetworks are those of a client host with both families: IPv4 is the first.
var clientNetworks = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8:1::1/64")}

// addresses is how many addresses of one family a name has.
func (g generator) addresses() int {
	return []int{1, 2, 3, 4, 6, 8}[g.pick(45, 25, 8, 12, 5, 5)]
}

// backends are those over IPv6, then those over IPv4.
func (g generator) backends(six, four int) []Backend {
	place := within(g.lognormal(30*time.Millisecond, 1), 500*time.Microsecond, 600*time.Millisecond)
	sigma6 := []float64{0.05, 0.5}[g.pick(90, 10)]
	place6 := g.lognormal(place, sigma6)
	several := g.chance(0.25) // places
	backends := make([]Backend, 0, six+four)
	for i := range six + four {
		b := Backend{Addr: address4(i - six + 1), RTT: place}
		if i < six {
			b.Addr, b.RTT = address6(i+1), place6
		}
		if several {
			b.RTT = g.lognormal(b.RTT, 0.7)
		}
		b.RTT = within(b.RTT, 200*time.Microsecond, 2*time.Second)
		b.Jitter = time.Duration(0.05 * g.Float64() * float64(b.RTT))
		backends = append(backends, b)
	}
	return backends
}

// Addresses are numbered from 1 in the ranges for documentation (RFC 5737, RFC
// 3849). All of a family have as long a prefix in common with the client's as any
// other, so that rule 9 of RFC 6724 says nothing.
func address4(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}) }

func address6(n int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0x80, 0, byte(n), 15: 1})
}

// resolve makes the answers of DNS.
func (g generator) resolve(w *World, six int) {
	base := within(g.lognormal(4700*time.Microsecond, 1.9), 200*time.Microsecond, 3*time.Second)
	w.A.Delay, w.AAAA.Delay = base, base
	later := &w.A
	if g.chance(0.5) {
		later = &w.AAAA
	}
	later.Delay += g.lognormal(500*time.Microsecond, 1.4)
	for _, r := range []*Resolution{&w.A, &w.AAAA} {
		if g.chance(0.003) {
			r.Delay += time.Second
		}
	}
	for i := range w.Backends {
		r := &w.A
		if i < six {
			r = &w.AAAA
		}
		r.Addrs = append(r.Addrs, w.Backends[i].Addr)
	}
}

// loss is that of the client's link, for one packet.
func (g generator) loss() float64 { return []float64{0, 0.005, 0.02}[g.pick(85, 10, 5)] }

func (g generator) badLoss() float64 { return []float64{0.01, 0.02, 0.05, 0.1}[g.IntN(4)] }

func (g generator) lose(w *World, loss float64) {
	for i := range w.Backends {
		w.Backends[i].Loss = loss
	}
}

// remember makes the histories.
func (g generator) remember(w *World) {
	if g.chance(0.5) {
		return
	}
	for i := range w.Backends {
		then := w.Backends[i] // what it was like
		if g.chance(0.1) {
			then.RTT = g.lognormal(then.RTT, 0.7)
		}
		times := make([]time.Duration, 1+g.IntN(20))
		past := luck(g.Uint64())
		for n := range times {
			times[n] = past.roundTrip(&then, i, n+1)
		}
		w.Backends[i].Known = sched.Learn(times...)
	}
}

// faults breaks what is broken in a world of this kind; six is the number of backends
// over IPv6, which come first.
func (g generator) faults(w *World, k Kind, six int) {
	switch k {
	case OneDead:
		reachable := w.Backends
		if len(w.Client) == 1 {
			reachable = reachable[six:]
		}
		reachable[g.IntN(len(reachable))].State = g.dead()
	case FamilyBroken:
		g.breakFamily(w, six, g.chance(0.75))
	case Lossy:
		g.lose(w, g.badLoss())
	case SlowDNS:
		g.slowDNS(w)
	case Mixed:
		g.mixed(w, six)
	}
}

func (g generator) mixed(w *World, six int) {
	for i := range w.Backends {
		if g.chance(0.01) {
			w.Backends[i].State = g.dead()
		}
	}
	if g.chance(0.03) {
		g.lose(w, g.badLoss())
	}
	broken6, broken4, slow := g.chance(0.014), g.chance(0.002), g.chance(0.01)
	if six == 0 {
		return
	}
	if broken6 || broken4 {
		g.breakFamily(w, six, broken6)
	}
	if slow {
		g.slowDNS(w)
	}
}

func (g generator) dead() State { return []State{Silent, Refusing, Unreachable}[g.pick(70, 20, 10)] }

func (g generator) breakFamily(w *World, six int, ipv6 bool) {
	state := []State{Silent, Unreachable, Refusing}[g.pick(70, 20, 10)]
	for i := range w.Backends {
		if i < six == ipv6 {
			w.Backends[i].State = state
		}
	}
}

func (g generator) slowDNS(w *World) {
	r := &w.AAAA
	if g.pick(67, 33) == 1 {
		r = &w.A
	}
	switch g.pick(40, 30, 10, 10, 10) {
	case 0:
		r.Delay += g.between(50*time.Millisecond, 500*time.Millisecond)
	case 1:
		r.Delay += g.between(500*time.Millisecond, 2*time.Second)
	case 2:
		r.Delay += 5 * time.Second
	case 3:
		r.Status, r.Addrs = sched.Broken, nil
	case 4:
		r.Dropped = true
	}
}

func (g generator) chance(p float64) bool { return g.Float64() < p }

// pick returns an index, each as often as its weight in percent says.
func (g generator) pick(percent ...int) int {
	n := g.IntN(100)
	for i, weight := range percent {
		if n < weight {
			return i
		}
		n -= weight
	}
	panic("sim: the weights are less than 100 %")
}

func (g generator) between(low, high time.Duration) time.Duration {
	return low + time.Duration(g.Int64N(int64(high-low)))
}

// lognormal draws a time half of which are shorter than the median; the logarithm's
// standard deviation is sigma.
func (g generator) lognormal(median time.Duration, sigma float64) time.Duration {
	d := float64(median) * math.Exp(sigma*g.NormFloat64())
	return time.Duration(d).Round(time.Microsecond)
}

func within(d, low, high time.Duration) time.Duration { return min(max(d, low), high) }
