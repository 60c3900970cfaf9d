package admit

import (
	"net/netip"
	"sync"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// Room is where races get what they need to start attempts. Use New.
type Room struct {
	mu                sync.Mutex
	start             time.Time
	places            int // Limits.Waiting
	share             int // shareOf these
	quotas            [scopes]quota
	inFlight, waiting int
	waitingFor        [reasons]int
	taken             int // places that those who wait take from others: of each caller at most share

	whole        meter
	callers      map[string]*caller
	destinations map[netip.AddrPort]*meter
	prefixes     map[netip.Prefix]*meter
	// idle are the budgets nobody uses that still owe tokens, roughly in the order in
	// which they will have paid.
	idle [scopes]list[*meter]

	line     node
	branches map[branch]*node
	turns    uint64 // that callers have had
	asked    uint64 // attempts that had to wait
	pulse    pulse

	due   heap[*gate] // those that have their next token at a time somebody waits for
	timer *time.Timer
	armed time.Duration // when the timer goes off, or went off last

	meters   pool[meter]
	nodes    pool[node]
	attempts pool[attempt]
}

// caller is who has races in the room.
type caller struct {
	name       string
	budget     meter
	line       node
	served     uint64         // the latest turn any of its races has had in the line
	queue      list[*attempt] // those that wait, in the order in which they asked: the first is the eldest
	passed     int            // how many have gone before the eldest that should come after it; at most patience
	forEldest  gate           // where the eldest waits for the caller's budget when it keeps its turn
	waiting    int
	waitingFor [reasons]int
	pulse      pulse
}

// attempt is one that is in flight or waits.
type attempt struct {
	race    *Race
	id      int
	budgets [scopes]*meter    // nil: no limit
	why     sched.DeferReason // it waits, or had to; 0: not
	held    bool              // it holds a place in each of its budgets
	key     key               // its order among those of its caller; zero: it did not wait
	leaf    node

	neighbours links[*attempt] // of those of its caller that wait
}

// New returns an empty room. Limits must have passed Check. Descriptors is how many all
// races may have together: one for each attempt in flight, and OfARace for each race with
// any. 0: not known, no limit.
func New(limits Limits, descriptors int) *Room {
	r := &Room{
		start: time.Now(), places: limits.waiting(), share: shareOf(limits.waiting()), quotas: limits.quotas(descriptors),
		callers: map[string]*caller{}, destinations: map[netip.AddrPort]*meter{},
		prefixes: map[netip.Prefix]*meter{}, branches: map[branch]*node{},
	}
	r.whole.quota = &r.quotas[wholeRoom]
	r.whole.budget = &r.whole
	r.line.gate = &r.whole.gate
	return r
}

// Snapshot is what a room is like at one moment.
type Snapshot struct {
	// InFlight are the attempts that hold a place.
	InFlight int
	// Waiting are those that wait for one.
	Waiting int
	// WaitingFor counts these by the reason they were given. nil: none waits.
	WaitingFor map[sched.DeferReason]int
}

// Snapshot says what the room is like now.
func (r *Room) Snapshot() Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Snapshot{InFlight: r.inFlight, Waiting: r.waiting}
	for why, n := range r.waitingFor {
		if n > 0 {
			if s.WaitingFor == nil {
				s.WaitingFor = map[sched.DeferReason]int{}
			}
			s.WaitingFor[sched.DeferReason(why)] = n
		}
	}
	return s
}

func (r *Room) now() time.Duration { return time.Since(r.start) }

// advance grants what may start by now, and sees to it that the rest is looked at in
// time.
func (r *Room) advance(now time.Duration) {
	if r.waiting == 0 {
		return
	}
	for len(r.due) > 0 && r.due[0].due <= now {
		g := r.due[0]
		r.unschedule(g)
		r.open(g, now)
	}
	for a := r.first(now); a != nil; a = r.first(now) {
		r.serve(a, now)
	}
	r.arm(now)
}

// serve grants an attempt that has waited.
func (r *Room) serve(a *attempt, now time.Duration) {
	r.withdraw(a, now)
	c := a.race.caller
	c.served = max(c.served, a.key.turn)
	r.grant(a, now)
	a.race.granted(a.id)
}

// grant takes a place in all budgets of an attempt, and its caller's turn.
func (r *Room) grant(a *attempt, now time.Duration) {
	a.held = true
	r.inFlight++
	r.holds(a.race, 1)
	for _, m := range a.budgets {
		if m != nil {
			m.take(now)
		}
	}
	if c := a.race.caller; c.waiting > 0 {
		r.pass(a)
		r.goToEnd(c)
	}
}

// goToEnd is what happens to a caller that had its turn.
func (r *Room) goToEnd(c *caller) {
	r.turns++
	c.line.key.turn = r.turns
	if c.line.place == inLine {
		r.line.ready.fix(c.line.at)
	}
}

// await lets an attempt wait because of why.
func (r *Room) await(a *attempt, why sched.DeferReason, now time.Duration) {
	race, c := a.race, a.race.caller
	if r.waiting == 0 {
		r.pulse.begin(now)
	}
	if c.waiting == 0 {
		c.pulse.begin(now)
		r.goToEnd(c)
	}
	if race.waiting == 0 {
		race.turn = 0
	}
	r.asked++
	race.turn = max(race.turn, c.served) + 1
	a.why, a.key = why, key{race.turn, r.asked}
	a.leaf.key = a.key
	r.count(a, 1)
	c.queue.add(a)
	r.join(a)
	r.advance(now)
}

// withdraw ends an attempt's waiting.
func (r *Room) withdraw(a *attempt, now time.Duration) {
	r.quit(a)
	r.count(a, -1)
	r.pulse.beat(now)
	a.race.caller.pulse.beat(now)
	r.succeed(a, now)
}

func (r *Room) count(a *attempt, n int) {
	c := a.race.caller
	r.waiting += n
	r.waitingFor[a.why] += n
	r.taken -= min(c.waiting, r.share)
	c.waiting += n
	r.taken += min(c.waiting, r.share)
	c.waitingFor[a.why] += n
	a.race.waiting += n
}

// holds counts the descriptors of attempts in flight, and of their races.
func (r *Room) holds(race *Race, n int) {
	before := race.inFlight
	race.inFlight += n
	r.whole.open += n
	if (before == 0) != (race.inFlight == 0) {
		r.whole.open += n * OfARace
	}
}

// giveBack ends what an attempt has or waits for.
func (r *Room) giveBack(a *attempt, now time.Duration) {
	if !a.held {
		r.withdraw(a, now)
	} else {
		r.inFlight--
		r.holds(a.race, -1)
		for _, m := range a.budgets {
			if m != nil {
				m.inFlight--
				r.open(&m.gate, now)
			}
		}
		r.open(&a.race.caller.forEldest, now)
	}
	for _, m := range a.budgets[ofDestination:] {
		if m != nil {
			r.release(m, now)
		}
	}
	*a = attempt{}
	r.attempts.put(a)
}

// arm sets the timer to the earliest token somebody waits for. That lies ahead, so a
// timer that was set to the same time is still to go off.
func (r *Room) arm(now time.Duration) {
	if len(r.due) == 0 || r.due[0].due == r.armed {
		return
	}
	r.armed = r.due[0].due
	if r.timer == nil {
		r.timer = time.AfterFunc(r.armed-now, r.wake)
		return
	}
	r.timer.Reset(r.armed - now)
}

func (r *Room) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(r.now())
}
