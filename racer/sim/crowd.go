package sim

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Crowd is many clients that connect to the same backends, each once. It shows
// where their connections end up: whether a dialer spreads them or herds them.
type Crowd struct {
	// World is what each client meets, with luck of its own. The Slowdown of its
	// Backends is what makes a herd slow.
	World World

	// Clients is how many there are.
	Clients int

	// Every is the time from one client to the next, on average (exponential, so
	// that they come independently of each other). Zero: all begin together.
	Every time.Duration

	// Hold is how long a client keeps its connection, on average (exponential).
	Hold time.Duration

	// Order is how DNS orders the addresses of an answer. Default FixedOrder.
	Order Order
}

// Order is how DNS orders addresses for one client after the other.
type Order uint8

const (
	// FixedOrder is the same for all.
	FixedOrder Order = iota
	// RotatedOrder begins with the next address for each client.
	RotatedOrder
	// ShuffledOrder is drawn for each client.
	ShuffledOrder
)

var orderNames = []string{"fixed", "rotated", "shuffled"}

// String returns a stable word such as "rotated".
func (o Order) String() string { return word(orderNames, int(o)) }

// Spread is how the connections of a crowd spread over the backends.
type Spread struct {
	Dialer string // Dialer.Name

	// Shares are how much of all connections each backend has won, in the order of
	// World.Backends. 0 to 1.
	Shares []float64

	// Effective is how many backends with equal shares would be as uneven: one over
	// the sum of the squared shares. From 1, a herd, to the number of backends.
	Effective float64

	// Largest is the largest share over the fair one, which is that of the backends
	// that can be connected to, alike. 1 is fair.
	Largest float64

	// Row is how the clients fared. Its World is the order of DNS; Regret counts from
	// an oracle of an idle world, so it includes what the load costs.
	Row Row
}

// DefaultCrowd is a crowd to begin with: every 10 ms one of 4,000 clients connects
// to one of four backends of a name and stays for a second, so that some hundred
// connections are held at a time. The backends are up, have RTTs of 20, 22, 25 and
// 30 ms with up to 1 ms of jitter each way, and are 0.1 ms slower for each connection
// they hold: 2.5 ms if all hold the same, 10 ms if one holds all.
func DefaultCrowd(seed uint64, order Order) Crowd {
	w := World{Name: order.String(), Seed: seed, Client: clientNetworks}
	w.A.Delay, w.AAAA.Delay = time.Millisecond, time.Millisecond
	for i, milliseconds := range []int{20, 22, 25, 30} {
		addr := address4(i + 1)
		w.A.Addrs = append(w.A.Addrs, addr)
		w.Backends = append(w.Backends, Backend{
			Addr: addr, RTT: time.Duration(milliseconds) * time.Millisecond,
			Jitter: time.Millisecond, Slowdown: 100 * time.Microsecond,
		})
	}
	return Crowd{World: w, Clients: 4000, Every: 10 * time.Millisecond, Hold: time.Second, Order: order}
}

// Run lets a crowd of each of the dialers connect. Each crowd has the backends for
// itself, and all meet the same luck.
func (c Crowd) Run(dialers ...Dialer) []Spread {
	spreads := make([]Spread, len(dialers))
	var running sync.WaitGroup
	for i, d := range dialers {
		running.Go(func() { spreads[i] = c.spread(d, newCrowd(c).run(d)) })
	}
	running.Wait()
	return spreads
}

// crowd is what the clients share while they connect.
type crowd struct {
	Crowd
	clock  clock
	random *rand.Rand
	street Host  // where the clients come from: it never ends
	held   []int // connections each backend holds
	worlds []World
	hosts  []Host
}

func newCrowd(c Crowd) *crowd {
	return &crowd{
		Crowd:  c,
		random: rand.New(rand.NewPCG(mix(c.World.Seed), 0)),
		held:   make([]int, len(c.World.Backends)),
		worlds: make([]World, c.Clients),
		hosts:  make([]Host, c.Clients),
	}
}

// run returns the results of the clients, in the order of their coming.
func (c *crowd) run(d Dialer) []Result {
	var at time.Duration
	for i := range c.hosts {
		c.worlds[i] = c.world(i)
		c.clock.schedule(at, news, &c.street).f = func() { c.arrive(i, d) }
		at += c.exponential(c.Every)
	}
	for c.clock.advance() { // until nobody is left
	}
	results := make([]Result, c.Clients)
	for i := range c.hosts {
		results[i] = c.hosts[i].result
	}
	return results
}

// world is the one that the client with the given number meets.
func (c *crowd) world(number int) World {
	w := c.World
	w.Seed = mix(w.Seed + uint64(number))
	for _, r := range []*Resolution{&w.AAAA, &w.A} {
		r.Addrs = c.ordered(r.Addrs, number)
	}
	return w
}

func (c *crowd) ordered(addrs []netip.Addr, number int) []netip.Addr {
	switch {
	case len(addrs) == 0 || c.Order == FixedOrder:
		return addrs
	case c.Order == RotatedOrder:
		first := number % len(addrs)
		return slices.Concat(addrs[first:], addrs[:first])
	}
	addrs = slices.Clone(addrs)
	c.random.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs
}

func (c *crowd) exponential(mean time.Duration) time.Duration {
	return time.Duration(c.random.ExpFloat64() * float64(mean))
}

// arrive lets a client begin.
func (c *crowd) arrive(number int, d Dialer) {
	h := &c.hosts[number]
	h.begin(&c.clock, &c.worlds[number])
	h.crowd = c
	d.Dial(h)
}

// stay lets a winner's connection be held for a while.
func (c *crowd) stay(h *Host, backend int) {
	length := -math.Log1p(-h.luck.draw(backend, 0, holding)) * float64(c.Hold)
	c.clock.schedule(c.clock.now+time.Duration(length), news, &c.street).f = func() { c.held[backend]-- }
}

// queueing is what the connections that the backend holds add to an answer.
func (h *Host) queueing(backend int) time.Duration {
	if h.crowd == nil {
		return 0
	}
	return time.Duration(h.crowd.held[backend]) * h.world.Backends[backend].Slowdown
}

// hold counts a connection that the backend holds from now on.
func (h *Host) hold(backend int) {
	if h.crowd != nil {
		h.crowd.held[backend]++
	}
}

// release counts one that it holds no longer.
func (h *Host) release(backend int) {
	if h.crowd != nil {
		h.crowd.held[backend]--
	}
}

// spread sums the results of a crowd up.
func (c Crowd) spread(d Dialer, results []Result) Spread {
	o := outcome{world: c.Order.String(), patience: c.World.patience()}
	o.oracle, o.possible = c.World.Oracle()
	outcomes := make([]*outcome, len(results))
	s := Spread{Dialer: d.Name, Shares: make([]float64, len(c.World.Backends))}
	wins := 0
	for i := range results {
		client := o
		client.results = results[i : i+1]
		outcomes[i] = &client
		if results[i].Connected {
			s.Shares[results[i].Backend]++
			wins++
		}
	}
	s.Row = summary(o.world, d.Name, outcomes, 0)
	s.weigh(wins, c.World.reachable())
	return s
}

// weigh turns the numbers of wins into shares.
func (s *Spread) weigh(wins, reachable int) {
	if wins == 0 {
		return
	}
	squares := 0.0
	for i := range s.Shares {
		s.Shares[i] /= float64(wins)
		squares += s.Shares[i] * s.Shares[i]
	}
	s.Effective = 1 / squares
	s.Largest = slices.Max(s.Shares) * float64(reachable)
}

// reachable is how many backends can be connected to.
func (w *World) reachable() int {
	n := 0
	for _, addr := range slices.Concat(w.AAAA.Addrs, w.A.Addrs) {
		if ok, _ := w.reach(addr); ok {
			n++
		}
	}
	return n
}
