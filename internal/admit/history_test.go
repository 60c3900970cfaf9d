package admit

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// choose returns one of 0 to n-1.
type choose func(n int) int

func among[T any](c choose, of ...T) T { return of[c(len(of))] }

// history plays random calls on a room and on a dumb one, and holds both against
// each other after each.
type history struct {
	t       testing.TB
	choose  choose
	room    *Room
	dumb    *dumbRoom
	witness *witness
	crowded bool
	granted []grant
	start   time.Time
	races   map[int]*playedRace // those that have not left
	entered int
	refused int
	started []start
	reasons [reasons]int // given
	log     []string
}

type playedRace struct {
	number int
	caller string
	real   *Race
	open   []int // ids that hold or await a place
	asked  int
}

// start is when an attempt was granted, in line or at once.
type start struct {
	at     time.Duration
	caller string
	to     netip.AddrPort
}

// limits are few at a time, or the first ones would hide the others.
func (c choose) limits() (Limits, int) {
	count := func() int { return among(c, 0, 0, 0, 1, 2, 3, 5) }
	rate := func() int { return among(c, 0, 0, 0, 0, 1, 2, 5, 10, 20, 50, 200, 1000) }
	limits := Limits{Waiting: among(c, 0, 0, 1, 4, 20)}
	if c(3) == 0 {
		limits.InFlight, limits.PerSecond = count(), rate()
	}
	if c(2) == 0 {
		limits.CallerInFlight, limits.CallerPerSecond = count(), rate()
	}
	if c(2) == 0 {
		limits.DestinationInFlight, limits.DestinationPerSecond = count(), rate()
	}
	if c(2) == 0 {
		limits.PrefixInFlight, limits.PrefixPerSecond = count(), rate()
	}
	return limits, among(c, 0, 0, 0, 0, 0, 1, 6, 10, 13)
}

// crowdedLimits are of callers and of where they go to, and short of both.
func (c choose) crowdedLimits() (Limits, int) {
	count := func() int { return among(c, 1, 1, 2) }
	rate := func() int { return among(c, 0, 0, 5, 20) }
	limits := Limits{CallerInFlight: among(c, 0, 1, 1, 1, 2, 3), CallerPerSecond: rate(), Waiting: 40}
	if limits.CallerInFlight > 1 && c(2) == 0 {
		limits.CallerPerSecond = 5
	}
	if c(2) == 0 {
		limits.DestinationInFlight, limits.DestinationPerSecond = count(), rate()
	} else {
		limits.PrefixInFlight, limits.PrefixPerSecond = count(), rate()
	}
	return limits, among(c, 0, 0, 0, 3)
}

func (h *history) endpoint() netip.AddrPort {
	if h.crowded {
		return netip.MustParseAddrPort(among(h.choose, "192.0.2.1:1", "192.0.2.1:1", "192.0.2.2:1", "192.0.3.1:1"))
	}
	return h.choose.endpoint()
}

func (c choose) endpoint() netip.AddrPort {
	return netip.MustParseAddrPort(among(c,
		"192.0.2.1:1", "[::ffff:192.0.2.1]:1", "192.0.2.1:2", "192.0.2.2:1", "192.0.3.1:1",
		"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", "[2001:db8:1::1]:1", "[::1]:1", "127.0.0.1:1"))
}

func play(t testing.TB, c choose, steps int) *history {
	limits, descriptors := c.limits()
	crowded := c(4) == 0
	if crowded {
		limits, descriptors = c.crowdedLimits()
		steps *= 4
	}
	h := &history{
		t: t, choose: c, start: time.Now(), races: map[int]*playedRace{}, crowded: crowded,
		room: New(limits, descriptors), dumb: newDumb(limits, descriptors),
	}
	h.witness = newWitness(h.dumb, h.fatalf)
	h.logf("%+v, %d descriptors", limits, descriptors)
	for range steps {
		if crowded {
			h.crowdedStep()
		} else {
			h.step()
		}
		h.compare()
	}
	h.drain()
	h.rates()
	return h
}

func (h *history) logf(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf("%v ", time.Since(h.start))+fmt.Sprintf(format, args...))
}

func (h *history) fatalf(format string, args ...any) {
	h.t.Helper()
	for _, line := range h.log {
		h.t.Log(line)
	}
	h.t.Fatalf(format, args...)
}

func (h *history) step() {
	live := slices.Sorted(maps.Keys(h.races))
	what := h.choose(20)
	switch {
	case what < 3 || len(live) == 0:
		h.enter()
	case what < 11:
		h.ask(h.races[among(h.choose, live...)])
	case what < 15:
		h.done(h.races[among(h.choose, live...)])
	case what < 16:
		h.leave(h.races[among(h.choose, live...)])
	default:
		h.pass(among(h.choose, 1, 2, 10, 50, 300, 2000))
	}
}

// crowdedStep is of few races that stay, and always have something in line.
func (h *history) crowdedStep() {
	if len(h.races) < 5 {
		h.enter()
		return
	}
	race := h.races[among(h.choose, slices.Sorted(maps.Keys(h.races))...)]
	switch what := h.choose(40); {
	case what == 0:
		h.leave(race)
	case what == 1:
		h.done(race)
	case what < 12:
		h.pass(among(h.choose, 1, 1, 10, 50))
	case len(race.open) < 6:
		h.ask(race)
	default:
		h.finish(race)
	}
}

// pass lets time go by.
func (h *history) pass(ms int) {
	time.Sleep(time.Duration(ms) * time.Millisecond)
	synctest.Wait()
	for range ms {
		h.dumb.tick()
	}
	h.logf("passed")
}

func (h *history) enter() {
	caller := among(h.choose, "a", "b", "c", "d")
	number := h.entered
	h.entered++
	played := &playedRace{number: number, caller: caller}
	race, err := h.room.Enter(caller, func(id int) { h.onGranted(played, id) })
	h.logf("race %d of %s enters: %v", number, caller, err)
	overloaded, refused := errors.AsType[*OverloadedError](err)
	wantRefused, byOthers := h.dumb.refuses(caller)
	if refused != wantRefused || refused != (err != nil) {
		h.fatalf("race %d of %s: error is %v, refused by the dumb room is %v", number, caller, err, !refused)
	}
	if !refused {
		played.real = race
		h.races[number] = played
		return
	}
	h.refused++
	if overloaded.Own == byOthers || overloaded.RetryAfter < MinRetryAfter || overloaded.RetryAfter > MaxRetryAfter {
		h.fatalf("refused with %+v, because of others is %v", overloaded, byOthers)
	}
	for why := range sched.DeferReason(reasons) {
		named := h.dumb.waitFor(overloaded.Budget, caller, byOthers)
		if n := h.dumb.waitFor(why, caller, byOthers); n > named || named == 0 {
			h.fatalf("refused with %+v, for which %d wait, and %d for %v", overloaded, named, n, why)
		}
	}
}

func (h *history) onGranted(race *playedRace, id int) {
	h.granted = append(h.granted, grant{int(time.Since(h.start) / time.Millisecond), race.number, id})
	h.started = append(h.started, start{time.Since(h.start), race.caller, race.destination(id)})
	h.logf("granted %d of race %d", id, race.number)
}

// holds says whether an attempt has its place.
func (v *Race) holds(id int) bool {
	v.room.mu.Lock()
	defer v.room.mu.Unlock()
	a := v.get(id)
	return a != nil && a.held
}

// destination is where an attempt goes, if that is limited.
func (p *playedRace) destination(id int) netip.AddrPort {
	if m := p.real.attempts[id].budgets[ofDestination]; m != nil {
		return m.to
	}
	return netip.AddrPort{}
}

func (h *history) ask(race *playedRace) {
	id, to := race.asked, h.endpoint()
	race.asked++
	race.open = append(race.open, id)
	why, granted := race.real.Ask(id, to)
	h.logf("race %d of %s asks %d to %v: %v", race.number, race.caller, id, to, why)
	if want := h.dumb.ask(race.caller, race.number, id, to); why != want || granted != (want == 0) {
		h.fatalf("Ask = %v, %v; the dumb room says %v", why, granted, want)
	}
	h.reasons[why]++
	if granted {
		h.started = append(h.started, start{time.Since(h.start), race.caller, race.destination(id)})
	}
}

func (h *history) done(race *playedRace) {
	if len(race.open) == 0 {
		return
	}
	h.end(race, race.open[h.choose(len(race.open))])
}

// finish ends what is in flight of a race.
func (h *history) finish(race *playedRace) {
	for _, id := range slices.Clone(race.open) {
		if race.real.holds(id) {
			h.end(race, id)
		}
	}
}

func (h *history) end(race *playedRace, id int) {
	race.open = slices.DeleteFunc(race.open, func(other int) bool { return other == id })
	h.logf("race %d is done with %d", race.number, id)
	race.real.Done(id)
	h.dumb.drop(race.number, func(other int) bool { return other == id })
}

func (h *history) leave(race *playedRace) {
	h.logf("race %d leaves", race.number)
	race.real.Leave()
	race.real.Leave() // may
	h.dumb.drop(race.number, func(int) bool { return true })
	delete(h.races, race.number)
}

func (h *history) compare() {
	h.t.Helper()
	if !slices.Equal(h.granted, h.dumb.granted) {
		h.fatalf("granted, in ms, race and attempt:\n%v\nthe dumb room:\n%v", h.granted, h.dumb.granted)
	}
	snapshot := h.room.Snapshot()
	counted := 0
	for _, n := range snapshot.WaitingFor {
		counted += n
	}
	if w := h.dumb.waiting(""); snapshot.Waiting != w || counted != w || snapshot.InFlight != len(h.dumb.all)-w {
		h.fatalf("Snapshot is %+v; the dumb room has %d waiting, %d in flight", snapshot, w, len(h.dumb.all)-w)
	}
	if err := h.room.wellFormed(); err != nil {
		h.fatalf("%v", err)
	}
}

// drain lets what waits be served, and sees that nothing is left.
func (h *history) drain() {
	for round := 0; h.room.Snapshot().Waiting > 0; round++ {
		if round == 1000 {
			h.fatalf("after 1000 rounds in which all is given back, %+v", h.room.Snapshot())
		}
		for _, number := range slices.Sorted(maps.Keys(h.races)) {
			h.finish(h.races[number])
		}
		h.pass(500)
		h.compare()
	}
	for _, number := range slices.Sorted(maps.Keys(h.races)) {
		h.leave(h.races[number])
	}
	time.Sleep(9 * time.Second) // until a burst of 8 at 1 a second is paid for
	r := h.room
	r.sweep(r.now(), 1000)
	if n := len(r.callers) + len(r.destinations) + len(r.prefixes) + len(r.branches) + len(r.due); n != 0 {
		h.fatalf("left over: callers %v, destinations %v, prefixes %v, %d lines, %d times", r.callers, r.destinations, r.prefixes, len(r.branches), len(r.due))
	}
	if r.inFlight != 0 || r.waiting != 0 || r.whole.inFlight != 0 || len(r.whole.parked) != 0 {
		h.fatalf("left over: %+v", r.Snapshot())
	}
}

// rates holds every pair of starts against the rates: what a bucket can give out at
// most between the two. It shares nothing with either room but the sizes of bursts.
func (h *history) rates() {
	within := func(name string, perSecond, burst int, like func(a, b start) bool) {
		for i, first := range h.started {
			n := 0
			for _, s := range h.started[i:] {
				if perSecond == 0 || !like(first, s) {
					continue
				}
				n++
				if most := float64(burst) + float64(perSecond)*(s.at-first.at).Seconds() + 1e-6; float64(n) > most {
					h.fatalf("%s: %d starts from %v to %v", name, n, first.at, s.at)
				}
			}
		}
	}
	l := h.dumb.limits
	within("room", l.PerSecond, tenth(l.PerSecond), func(start, start) bool { return true })
	within("caller", l.CallerPerSecond, tenth(l.CallerPerSecond), func(a, b start) bool { return a.caller == b.caller })
	within("destination", l.DestinationPerSecond, hundredth(l.DestinationPerSecond), func(a, b start) bool { return a.to == b.to })
}

// wellFormed checks what holds between any two calls.
func (r *Room) wellFormed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := []*node{&r.line}
	for _, c := range r.callers {
		all = append(all, &c.line)
	}
	for _, n := range r.branches {
		all = append(all, n)
	}
	for _, n := range all {
		if err := n.wellFormed(); err != nil {
			return err
		}
	}
	for _, c := range r.callers {
		keeps := c.queue.first != nil && c.queue.first.keepsTurn()
		if keeps != (c.passed == patience) || c.budget.kept == 1 && !keeps {
			return fmt.Errorf("%s: eldest %+v, %d passed it, kept %d", c.name, c.queue.first, c.passed, c.budget.kept)
		}
	}
	for i, g := range r.due {
		if !g.scheduled || g.position != i || g.due <= r.now() || len(g.parked) == 0 {
			return fmt.Errorf("%+v is wrong among the due at %v", g, r.now())
		}
	}
	if r.line.below != r.waiting {
		return fmt.Errorf("%d below the root, %d wait", r.line.below, r.waiting)
	}
	return nil
}

func (n *node) wellFormed() error {
	for i, c := range n.ready {
		if c.at != i || c.place != inLine || c.parent != n || i > 0 && c.before(n.ready[(i-1)/2]) {
			return fmt.Errorf("child %d of %+v is %+v", i, n, c)
		}
		if c.is == nil && len(c.ready) == 0 {
			return fmt.Errorf("%+v is in line with nothing ready", c)
		}
		if c.key != c.due() {
			return fmt.Errorf("%+v stands by %v and not %v", c, c.key, c.due())
		}
	}
	switch {
	case n.place == parked && n.gate.parked[n.at] != n:
		return fmt.Errorf("%+v is not parked at its gate", n)
	case n.place == parked && n.below == 0:
		return fmt.Errorf("%+v is parked for nobody", n)
	case n.place == inLine && n.parent.ready[n.at] != n:
		return fmt.Errorf("%+v is not in line", n)
	case n.place == nowhere && n.parent != nil && len(n.ready) > 0:
		return fmt.Errorf("%+v has something ready and stands nowhere", n)
	}
	return nil
}

// TestRoomAgreesWithADumbOne compares every answer, and the order and the time of
// every grant.
func TestRoomAgreesWithADumbOne(t *testing.T) {
	var asked [reasons]int
	served, missed, refused := 0, 0, 0
	for seed := range uint64(2000) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 8))
			h := play(t, random.IntN, 20+random.IntN(130))
			served += len(h.granted)
			missed += len(h.witness.missed)
			refused += h.refused
			for why, n := range h.reasons {
				asked[why] += n
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d were granted in line, %d missed their turn for want of a caller's place, %d races were refused; asked, by answer: %v", served, missed, refused, asked)
	if served < 10_000 || missed < 50 || refused < 100 || slices.Min(asked[:]) < 100 {
		t.Error("the histories are too tame to prove anything")
	}
}

func FuzzRoom(f *testing.F) {
	f.Add([]byte("a race comes in and asks, and another one waits for it"))
	f.Add([]byte{1, 3, 4, 5, 6, 7, 1, 2, 3, 0, 0, 1, 0, 2, 4, 5, 6, 7, 8, 9, 17, 3, 12, 0, 14, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			play(t, func(n int) int {
				if len(data) == 0 {
					return 0
				}
				b := int(data[0])
				data = data[1:]
				return b % n
			}, min(len(data)/2, 200))
		})
	})
}
