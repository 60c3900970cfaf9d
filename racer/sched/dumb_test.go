package sched

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// TestAgainstDumb compares starts, winner and end with those of the dumb
// alternative, in worlds where all addresses are known from the start.
func TestAgainstDumb(t *testing.T) {
	for seed := range uint64(randomWorlds) {
		w := randomLiterals(seeded(seed))
		w.name = fmt.Sprintf("seed %d", seed)
		h := w.run(t, new(Race))
		if got, want := resultOf(h), dumbRace(w); got != want {
			t.Fatalf("%s:\n%v\nwant\n%v\n%s", w.name, got, want, h.text())
		}
		checkInvariants(t, w.name, h)
	}
}

// randomLiterals is a world in whole milliseconds, without questions and without
// duplicates.
func randomLiterals(c chooser) *world {
	w := &world{
		cfg:       randomConfig(c),
		endpoints: map[netip.AddrPort]behaviour{},
		stops:     []stop{{at: 3 * time.Second, why: EndCallerLeft}},
	}
	w.cfg.Questions = nil
	w.cfg.Goal = pick(c, First, First, First, Every)
	given := answer{question: NoQuestion}
	for i := range c.IntN(9) {
		found := candidateAt(fmt.Sprintf(pick(c, "2001:db8::%d", "192.0.2.%d"), i+1))
		found.SourceBits = 0 // so that only its place counts
		found.Place = c.IntN(3)
		found.Skip = pick(c, SkipNone, SkipNone, SkipNone, SkipNone, SkipNone, SkipDenied)
		given.found = append(given.found, found)
		b := randomBehaviour(c)
		b.after = max(ms, b.after.Truncate(ms)) // nothing is over before the burst that began it
		w.endpoints[found.Endpoint] = b
	}
	w.answers = []answer{given}
	return w
}

// The dumb alternative looks at everything in every millisecond. It shares no
// code with the package, and knows nothing of events, batches and timers.
type dumb struct {
	world   *world
	now     time.Duration
	waiting []int // candidates
	tries   []dumbTry
	end     EndReason
	result  result
}

type dumbTry struct {
	behaviour
	candidate int
	start     time.Duration // or when it failed to
	over      time.Duration
	outcome   EventKind
	givenUp   bool
}

const dumbNever = time.Hour

func dumbRace(w *world) result {
	d := &dumb{world: w, waiting: dumbOrder(w)}
	for ; ; d.now += ms {
		for d.change() {
		}
		if d.end != EndNone && d.inFlight() == 0 {
			d.result.starts = strings.TrimPrefix(d.result.starts, ", ")
			d.result.end = when(d.end, d.now)
			return d.result
		}
	}
}

// dumbOrder takes turns between the families, each in the order of places.
func dumbOrder(w *world) []int {
	var v4, v6 []int
	for place := range 3 {
		for id, c := range w.answers[0].found {
			switch {
			case c.Skip != SkipNone || c.Place != place:
			case c.Endpoint.Addr().Is4():
				v4 = append(v4, id)
			default:
				v6 = append(v6, id)
			}
		}
	}
	first, other := v6, v4
	if len(v6) == 0 || len(v4) > 0 && w.cfg.Ranking.PreferredFamily == addrsel.FamilyIPv4 {
		first, other = v4, v6
	}
	var order []int
	for n := 0; len(first)+len(other) > 0; n++ {
		head := max(1, w.cfg.Ranking.FirstFamilyCount)
		if len(other) == 0 || len(first) > 0 && (n < head || (n-head)%2 == 1) {
			order, first = append(order, first[0]), first[1:]
		} else {
			order, other = append(order, other[0]), other[1:]
		}
	}
	return order
}

// change does what is to be done at this moment, and reports whether anything
// was.
func (d *dumb) change() bool {
	if d.end != EndNone {
		return false
	}
	for i := range d.tries {
		t := &d.tries[i]
		if limit := d.world.cfg.AttemptTimeout; limit > 0 && t.start <= d.now && d.now >= t.start+limit {
			d.giveUp(t)
		}
	}
	if d.end = d.over(); d.end != EndNone {
		for i := range d.tries {
			d.giveUp(&d.tries[i])
		}
		return true
	}
	changed := false
	for len(d.waiting) > 0 && d.mayStart() {
		d.start(d.waiting[0])
		d.waiting = d.waiting[1:]
		changed = true
	}
	return changed
}

// giveUp calls an attempt off, unless it is over or has been called off.
func (d *dumb) giveUp(t *dumbTry) {
	if t.over <= d.now || t.givenUp {
		return
	}
	t.givenUp = true
	if arrives := d.now + t.confirm; t.over > arrives {
		t.over, t.outcome = arrives, Cancelled
	}
}

func (d *dumb) over() EndReason {
	cfg := d.world.cfg
	if cfg.Goal == First {
		if winner := d.winner(); winner != nil {
			d.result.winner = when(winner.candidate, d.now)
			return EndWon
		}
	}
	switch {
	case d.now >= d.world.stops[0].at:
		return d.world.stops[0].why
	case cfg.Timeout > 0 && d.now >= cfg.Timeout:
		return EndTimedOut
	case len(d.world.answers[0].found) == 0:
		return EndNoAddresses
	case len(d.waiting) > 0 || d.inFlight() > 0:
		return EndNone
	case len(d.tries) == 0:
		return EndAllSkipped
	case cfg.Goal == Every:
		return EndCompleted
	}
	return EndExhausted
}

func (d *dumb) winner() *dumbTry {
	var best *dumbTry
	for i := range d.tries {
		t := &d.tries[i]
		if t.outcome == Connected && t.over <= d.now && !t.givenUp && (best == nil || t.over < best.over) {
			best = t
		}
	}
	return best
}

func (d *dumb) inFlight() int {
	n := 0
	for _, t := range d.tries {
		if t.over > d.now {
			n++
		}
	}
	return n
}

func (d *dumb) mayStart() bool {
	cfg := d.world.cfg
	if cfg.MaxInFlight > 0 && d.inFlight() >= cfg.MaxInFlight {
		return false
	}
	if cfg.Strategy == AllAtOnce || len(d.tries) == 0 {
		return true
	}
	if cfg.Strategy == FirstThenAll {
		first := d.tries[0]
		over := first.over <= d.now || first.givenUp
		return over || first.start <= d.now && d.now >= first.start+cfg.AttemptDelay
	}
	for _, t := range d.tries {
		live := t.over > d.now && !t.givenUp
		switch {
		case d.now < t.start+10*ms:
			return false
		case live && cfg.Strategy == Sequential:
			return false
		case live && d.now < t.start+cfg.AttemptDelay:
			return false
		}
	}
	return true
}

func (d *dumb) start(candidate int) {
	d.result.starts += ", " + when(candidate, d.now)
	b := d.world.endpoints[d.world.answers[0].found[candidate].Endpoint]
	t := dumbTry{behaviour: b, candidate: candidate, start: d.now + b.late, over: dumbNever, outcome: b.outcome}
	switch {
	case b.unable:
		t.over, t.outcome = t.start, Failed
	case b.outcome != 0:
		t.over = t.start + b.after
	}
	d.tries = append(d.tries, t)
}
