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
	buckets     map[string]*bucket
	granted     []grant
}

type dumbAttempt struct {
	caller   string
	race, id int
	to       netip.AddrPort
	held     bool
	turn     int
	number   int
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
		served: map[string]int{}, raceTurn: map[int]int{}, buckets: map[string]*bucket{},
	}
}

func (d *dumbRoom) tick() {
	d.now++
	came := false // a token; nothing else comes with time
	for _, b := range d.buckets {
		before := b.level
		b.level = min(b.level+b.rate, b.size)
		came = came || before < 1000 && b.level >= 1000
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

func slashed(a netip.Addr) string {
	bits := 48
	if a.Unmap().Is4() {
		bits = 24
	}
	return netip.PrefixFrom(a.Unmap(), bits).Masked().String()
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
		d.bucket("in "+slashed(a.to.Addr()), l.PrefixPerSecond, tenth(l.PrefixPerSecond)),
	}
}

// forbids returns the first reason why a may not start.
func (d *dumbRoom) forbids(a *dumbAttempt) sched.DeferReason {
	l, buckets := d.limits, d.bucketsOf(a)
	held := func(like func(*dumbAttempt) bool) int {
		return d.count(func(b *dumbAttempt) bool { return b.held && like(b) })
	}
	whole := held(func(*dumbAttempt) bool { return true })
	caller := held(func(b *dumbAttempt) bool { return b.caller == a.caller })
	destination := held(func(b *dumbAttempt) bool { return b.to == a.to })
	prefix := held(func(b *dumbAttempt) bool { return slashed(b.to.Addr()) == slashed(a.to.Addr()) })
	for _, budget := range []struct {
		reason  sched.DeferReason
		allowed bool
	}{
		{sched.DeferDescriptors, d.descriptors == 0 || whole < d.descriptors},
		{sched.DeferInFlight, l.InFlight == 0 || whole < l.InFlight},
		{sched.DeferRate, buckets[0].level >= 1000},
		{sched.DeferCallerInFlight, l.CallerInFlight == 0 || caller < l.CallerInFlight},
		{sched.DeferCallerRate, buckets[1].level >= 1000},
		{sched.DeferDestinationInFlight, l.DestinationInFlight == 0 || destination < l.DestinationInFlight},
		{sched.DeferDestinationRate, buckets[2].level >= 1000},
		{sched.DeferPrefixInFlight, l.PrefixInFlight == 0 || prefix < l.PrefixInFlight},
		{sched.DeferPrefixRate, buckets[3].level >= 1000},
	} {
		if !budget.allowed {
			return budget.reason
		}
	}
	return 0
}

func (d *dumbRoom) take(a *dumbAttempt) {
	for _, b := range d.bucketsOf(a) {
		b.level -= 1000
	}
	a.held = true
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
		cmp.Compare(d.callerTurn[a.caller], d.callerTurn[b.caller]),
		cmp.Compare(a.turn, b.turn),
		cmp.Compare(a.number, b.number),
	)
}

func (d *dumbRoom) ask(caller string, race, id int, to netip.AddrPort) sched.DeferReason {
	a := &dumbAttempt{caller: caller, race: race, id: id, to: netip.AddrPortFrom(to.Addr().Unmap(), to.Port())}
	why := d.forbids(a)
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
	d.all = slices.DeleteFunc(d.all, func(a *dumbAttempt) bool { return a.race == race && which(a.id) })
	d.grantAll()
}

// refuses says whether a race of a caller would be one too many.
func (d *dumbRoom) refuses(caller string) bool {
	return d.waiting(caller) >= cmp.Or(d.limits.Waiting, DefaultWaiting)-d.waiting("")
}
