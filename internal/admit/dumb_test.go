package admit

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/connrace/connrace/racer/sched"
)

// dumbRoom is a room as slow and as plain as can be: a list of what is there, read
// again from its start for every grant, and buckets filled millisecond by
// millisecond. Its rates must divide 1000.
type dumbRoom struct {
	limits      Limits
	descriptors int
	now         int // ms
	turns       int
	asked       int
	all         []*dumbAttempt // those in flight and those that wait
	callerTurn  map[string]int
	served      map[string]int
	raceTurn    map[int]int
	passed      map[string]int // attempts of a caller that went before its eldest and should not have
	buckets     map[string]*bucket
	granted     []grant
	onTake      func(a *dumbAttempt) // before it takes its places
}

type dumbAttempt struct {
	caller   string
	race, id int
	to       netip.AddrPort
	held     bool
	turn     int
	number   int // 0: it did not wait
	why      sched.DeferReason
	keeps    int  // its caller's turn that it keeps; 0: none
	missed   bool // it lacked only a place of its caller when that turn had come
}

// grant is one line of the log that both rooms write.
type grant struct {
	ms       int
	race, id int
}

// bucket holds thousandths of tokens.
type bucket struct{ level, size, rate int }

func newDumb(limits Limits, descriptors int) *dumbRoom {
	return &dumbRoom{
		limits: limits, descriptors: descriptors, callerTurn: map[string]int{},
		served: map[string]int{}, raceTurn: map[int]int{}, passed: map[string]int{},
		buckets: map[string]*bucket{}, onTake: func(*dumbAttempt) {},
	}
}

func (d *dumbRoom) tick() {
	d.now++
	came := false // a token; nothing else comes with time
	for _, b := range d.buckets {
		before := b.level
		b.level = min(b.level+b.rate, b.size)
		came = came || b.level/1000 > before/1000
	}
	if came {
		d.grantAll()
	}
}

func (d *dumbRoom) count(which func(*dumbAttempt) bool) int {
	n := 0
	for _, a := range d.all {
		if which(a) {
			n++
		}
	}
	return n
}

func (d *dumbRoom) waiting(caller string) int {
	return d.count(func(a *dumbAttempt) bool { return !a.held && (caller == "" || a.caller == caller) })
}

func slashed(a netip.Addr) netip.Prefix {
	bits := 48
	if a.Unmap().Is4() {
		bits = 24
	}
	return netip.PrefixFrom(a.Unmap(), bits).Masked()
}

func (d *dumbRoom) bucket(key string, perSecond, burst int) *bucket {
	if perSecond == 0 {
		return &bucket{level: 1000}
	}
	if d.buckets[key] == nil {
		d.buckets[key] = &bucket{level: 1000 * burst, size: 1000 * burst, rate: perSecond}
	}
	return d.buckets[key]
}

func tenth(perSecond int) int     { return max(8, perSecond/10) }
func hundredth(perSecond int) int { return max(1, perSecond/100) }

func (d *dumbRoom) bucketsOf(a *dumbAttempt) []*bucket {
	l := d.limits
	return []*bucket{
		d.bucket("room", l.PerSecond, tenth(l.PerSecond)),
		d.bucket("caller "+a.caller, l.CallerPerSecond, tenth(l.CallerPerSecond)),
		d.bucket("to "+a.to.String(), l.DestinationPerSecond, hundredth(l.DestinationPerSecond)),
		d.bucket("in "+slashed(a.to.Addr()).String(), l.PrefixPerSecond, tenth(l.PrefixPerSecond)),
	}
}

// forbids returns the first reason why a may not start.
func (d *dumbRoom) forbids(a *dumbAttempt) sched.DeferReason {
	return append(d.lacks(a), 0)[0]
}

// lacks returns all reasons why a may not start.
func (d *dumbRoom) lacks(a *dumbAttempt) (all []sched.DeferReason) {
	kept := d.count(func(b *dumbAttempt) bool { return b.missed && !b.held && b.caller == a.caller && b != a })
	l, buckets := d.limits, d.bucketsOf(a)
	held := func(like func(*dumbAttempt) bool) int {
		return d.count(func(b *dumbAttempt) bool { return b.held && like(b) })
	}
	whole := held(func(*dumbAttempt) bool { return true })
	caller := held(func(b *dumbAttempt) bool { return b.caller == a.caller })
	destination := held(func(b *dumbAttempt) bool { return b.to == a.to })
	prefix := held(func(b *dumbAttempt) bool { return slashed(b.to.Addr()) == slashed(a.to.Addr()) })
	races := map[int]bool{}
	for _, b := range d.all {
		if b.held {
			races[b.race] = true
		}
	}
	open := whole + OfARace*len(races)
	for _, budget := range []struct {
		reason  sched.DeferReason
		allowed bool
	}{
		{sched.DeferDescriptors, d.descriptors == 0 || open == 0 || open+OfARace+1 <= d.descriptors},
		{sched.DeferInFlight, l.InFlight == 0 || whole < l.InFlight},
		{sched.DeferRate, buckets[0].level >= 1000},
		{sched.DeferCallerInFlight, l.CallerInFlight == 0 || caller+kept < l.CallerInFlight},
		{sched.DeferCallerRate, buckets[1].level >= 1000+1000*min(kept, l.CallerPerSecond)},
		{sched.DeferDestinationInFlight, l.DestinationInFlight == 0 || destination < l.DestinationInFlight},
		{sched.DeferDestinationRate, buckets[2].level >= 1000},
		{sched.DeferPrefixInFlight, l.PrefixInFlight == 0 || prefix < l.PrefixInFlight},
		{sched.DeferPrefixRate, buckets[3].level >= 1000},
	} {
		if !budget.allowed {
			all = append(all, budget.reason)
		}
	}
	return all
}

// lacksItsCaller says whether all that a lacks is a place or a token of its caller.
func (d *dumbRoom) lacksItsCaller(a *dumbAttempt) bool {
	all := d.lacks(a)
	return len(all) > 0 && !slices.ContainsFunc(all, func(why sched.DeferReason) bool {
		return why != sched.DeferCallerInFlight && why != sched.DeferCallerRate
	})
}

// eldest returns the attempt of a caller that waits and asked first, or nil.
func (d *dumbRoom) eldest(caller string) *dumbAttempt {
	var eldest *dumbAttempt
	for _, a := range d.all {
		if !a.held && a.caller == caller && (eldest == nil || a.number < eldest.number) {
			eldest = a
		}
	}
	return eldest
}

// pass lets the eldest keep its caller's turn when a is one too many to go before it.
func (d *dumbRoom) pass(a *dumbAttempt) {
	e := d.eldest(a.caller)
	if e == nil || a.number != 0 && (a.number < e.number || a.turn < e.turn) {
		return
	}
	d.passed[a.caller]++
	if d.passed[a.caller] == patience {
		e.keeps = d.callerTurn[a.caller]
	}
}

func (d *dumbRoom) take(a *dumbAttempt) {
	d.onTake(a)
	if a == d.eldest(a.caller) {
		d.passed[a.caller] = 0
	}
	for _, b := range d.bucketsOf(a) {
		b.level -= 1000
	}
	a.held = true
	d.pass(a)
	d.turns++
	d.callerTurn[a.caller] = d.turns
}

func (d *dumbRoom) grantAll() {
	for {
		var best *dumbAttempt
		for _, a := range d.all {
			if !a.held && d.forbids(a) == 0 && (best == nil || d.order(a, best) < 0) {
				best = a
			}
		}
		for _, a := range d.all {
			if a.keeps > 0 && !a.held && d.lacksItsCaller(a) && (best == nil || d.order(a, best) < 0) {
				a.missed = true
			}
		}
		if best == nil {
			return
		}
		d.take(best)
		d.served[best.caller] = max(d.served[best.caller], best.turn)
		d.granted = append(d.granted, grant{d.now, best.race, best.id})
	}
}

func (d *dumbRoom) order(a, b *dumbAttempt) int {
	return cmp.Or(
		cmp.Compare(cmp.Or(a.keeps, d.callerTurn[a.caller]), cmp.Or(b.keeps, d.callerTurn[b.caller])),
		cmp.Compare(a.turn, b.turn),
		cmp.Compare(a.number, b.number),
	)
}

func (d *dumbRoom) ask(caller string, race, id int, to netip.AddrPort) sched.DeferReason {
	a := &dumbAttempt{caller: caller, race: race, id: id, to: netip.AddrPortFrom(to.Addr().Unmap(), to.Port())}
	why := d.forbids(a)
	a.why = why
	if why == 0 {
		d.take(a)
	} else {
		d.wait(a)
	}
	d.all = append(d.all, a)
	return why
}

func (d *dumbRoom) wait(a *dumbAttempt) {
	if d.waiting(a.caller) == 0 {
		d.turns++
		d.callerTurn[a.caller] = d.turns
	}
	if d.count(func(b *dumbAttempt) bool { return !b.held && b.race == a.race }) == 0 {
		d.raceTurn[a.race] = 0
	}
	d.raceTurn[a.race] = max(d.raceTurn[a.race], d.served[a.caller]) + 1
	d.asked++
	a.turn, a.number = d.raceTurn[a.race], d.asked
}

// drop ends the attempts of a race that which names.
func (d *dumbRoom) drop(race int, which func(id int) bool) {
	gone := func(a *dumbAttempt) bool { return a.race == race && which(a.id) }
	for _, a := range d.all {
		if gone(a) && a == d.eldest(a.caller) {
			d.passed[a.caller] = 0
		}
	}
	d.all = slices.DeleteFunc(d.all, gone)
	d.grantAll()
}

// refuses says whether a race of a caller would be one too many, and whether others than
// the caller are more to blame. Of each of these at most a quarter of the places counts.
func (d *dumbRoom) refuses(caller string) (refused, byOthers bool) {
	places := cmp.Or(d.limits.Waiting, DefaultWaiting)
	others := 0
	for other := range d.callerTurn {
		if other != caller {
			others += min(d.waiting(other), max(places/4, 1))
		}
	}
	own := d.waiting(caller)
	return own >= places-others-own, others > own
}

// waitFor counts the attempts that wait because of why, of a caller or of all others.
func (d *dumbRoom) waitFor(why sched.DeferReason, caller string, others bool) int {
	return d.count(func(a *dumbAttempt) bool { return !a.held && a.why == why && (a.caller != caller) == others })
}
