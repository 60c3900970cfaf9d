package sched

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// TestAgainstDumb compares starts, delays, winner, end and outcomes with those of the
// dumb alternative, in worlds where all addresses are known from the start.
func TestAgainstDumb(t *testing.T) {
	for seed := range uint64(randomWorlds) {
		w := randomLiterals(seeded(seed))
		w.name = fmt.Sprintf("seed %d", seed)
		h := w.run(t, new(Race))
		if got, want := dumbResultOf(h), dumbRace(w); got != want {
			t.Fatalf("%s:\n%v\nwant\n%v\n%s", w.name, got, want, h.text())
		}
		checkInvariants(t, w.name, h)
	}
}

// dumbResult is what is compared.
type dumbResult struct {
	result
	delays   string
	outcomes string // by candidate
}

func (r dumbResult) String() string {
	return fmt.Sprintf("%v\n  delays: %s\n  outcomes: %s", r.result, r.delays, r.outcomes)
}

func dumbResultOf(h *history) dumbResult {
	var delays []string
	outcomes := map[int]string{}
	for _, s := range h.steps {
		for _, a := range s.actions {
			switch a.Kind {
			case Start:
				delays = append(delays, a.Delay.String())
			case Settle:
				outcomes[a.Candidate] = dumbOutcome(a.Outcome, a.Skip)
			}
		}
	}
	return dumbResult{resultOf(h), strings.Join(delays, ", "), byCandidate(outcomes)}
}

func dumbOutcome(o Outcome, s SkipReason) string {
	return strings.TrimSpace(fmt.Sprintf("%v %v", o, s))
}

func byCandidate(outcomes map[int]string) string {
	list := make([]string, len(outcomes))
	for id := range list {
		list[id] = outcomes[id]
	}
	return strings.Join(list, ", ")
}

// randomLiterals is a world in whole milliseconds, without questions and without
// duplicates.
func randomLiterals(c chooser) *world {
	w := &world{
		cfg:       randomConfig(c),
		endpoints: map[netip.AddrPort]behaviour{},
		stops:     []stop{{at: 3 * time.Second, why: EndCallerLeft}},
	}
	w.cfg.Questions, w.cfg.LastResort = nil, nil
	w.cfg.Goal = pick(c, First, First, First, Every)
	w.cfg.Multiplier = pick(c, 0.0, 0, 1, 2, 3)
	given := answer{question: NoQuestion}
	grouped := c.IntN(4) == 0
	for i := range c.IntN(9) {
		found := randomCandidate(c, grouped, fmt.Sprintf(pick(c, "2001:db8::%d", "192.0.2.%d"), i+1))
		found.SourceBits = 0 // so that only its place counts
		found.Place = c.IntN(3)
		given.found = append(given.found, found)
		b := inMilliseconds(randomBehaviour(c))
		if b.backup != nil {
			*b.backup = inMilliseconds(*b.backup)
		}
		w.endpoints[found.Endpoint] = b
	}
	w.answers = []answer{given}
	makeBusy(c, w, ms)
	return w
}

// inMilliseconds lets nothing be over before the burst that began it.
func inMilliseconds(b behaviour) behaviour {
	b.after = max(ms, b.after.Truncate(ms))
	for i, d := range b.stages {
		b.stages[i] = max(ms, d.Truncate(ms))
	}
	b.hangup = 0
	return b
}

// The dumb alternative looks at everything in every millisecond. It shares no
// code with the package, and knows nothing of events, batches and timers.
type dumb struct {
	world   *world
	now     time.Duration
	waiting []int // candidates
	tries   []dumbTry
	won     time.Duration
	end     EndReason
	result  dumbResult
}

type dumbTry struct {
	behaviour
	candidate int
	second    bool          // a backup
	delay     time.Duration // for the next one to wait
	start     time.Duration // or when it failed to, or when it was put off
	putOff    bool          // it has not been let in yet
	let       time.Duration // when there is room for it
	steps     []time.Duration
	over      time.Duration
	outcome   EventKind
	givenUp   Cause
	winner    bool
}

const dumbNever = time.Hour

func dumbRace(w *world) dumbResult {
	d := &dumb{world: w, waiting: dumbOrder(w)}
	for ; ; d.now += ms {
		for d.change() {
		}
		if d.end != EndNone && d.inFlight() == 0 {
			d.result.starts = strings.TrimPrefix(d.result.starts, ", ")
			d.result.delays = strings.TrimPrefix(d.result.delays, ", ")
			d.result.end = when(d.end, d.now)
			d.result.outcomes = d.outcomes()
			return d.result
		}
	}
}

// dumbOrder lets one group after the other take turns.
func dumbOrder(w *world) []int {
	groups := map[string][]int{}
	var names []string
	for id, c := range w.answers[0].found {
		name := fmt.Sprintf("%03d %05d %05d", c.Group.Protocol, c.Group.Priority, c.Group.Draw)
		if c.Skip == SkipNone {
			groups[name] = append(groups[name], id)
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var order []int
	for _, name := range slices.Compact(names) {
		order = append(order, dumbTurns(w, groups[name])...)
	}
	return order
}

// dumbTurns takes turns between the families, each in the order of places.
func dumbTurns(w *world, ids []int) []int {
	var v4, v6 []int
	for place := range 3 {
		for _, id := range ids {
			switch c := w.answers[0].found[id]; {
			case c.Place != place:
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
// was started.
func (d *dumb) change() bool {
	if d.end == EndNone || d.inGrace() {
		d.expire()
	}
	if d.end == EndNone {
		d.end, d.won = d.over(), d.now
	}
	if d.end == EndWon {
		d.giveUpPutOff()
	}
	switch {
	case d.end == EndNone:
		return d.letOneIn() || d.startOne()
	case d.end == EndWon && !d.inGrace():
		d.giveUpAll(CauseLost)
	case d.end != EndWon:
		d.giveUpAll(CauseEnded)
	}
	return false
}

// inGrace says that the race is won, and losers may go on.
func (d *dumb) inGrace() bool {
	cfg := d.world.cfg
	return d.end == EndWon && d.now < d.won+cfg.Grace && d.now < d.world.stops[0].at && (cfg.Timeout == 0 || d.now < cfg.Timeout)
}

// expire gives up what has had its time; two attempts at a candidate share that.
func (d *dumb) expire() {
	for i := range d.tries {
		t := &d.tries[i]
		first := t
		for j := range d.tries {
			if d.tries[j].candidate == t.candidate {
				first = &d.tries[j]
				break
			}
		}
		counts := t.start <= d.now && (!t.putOff || t.second)
		if limit := d.world.cfg.AttemptTimeout; limit > 0 && counts && d.now >= first.start+limit {
			d.giveUp(t, CauseTimeout)
		}
	}
}

// giveUpPutOff gives up what would start after the win.
func (d *dumb) giveUpPutOff() {
	for i := range d.tries {
		if t := &d.tries[i]; t.putOff && t.start <= d.now {
			d.giveUp(t, CauseLost)
		}
	}
}

func (d *dumb) giveUpAll(why Cause) {
	for i := range d.tries {
		d.giveUp(&d.tries[i], why)
	}
}

// giveUp calls an attempt off, unless it is over or has been called off. What comes
// before that gets through happens all the same, but no further stage begins.
func (d *dumb) giveUp(t *dumbTry, why Cause) {
	if t.over <= d.now || t.givenUp != CauseNone {
		return
	}
	t.givenUp = why
	lastStage := len(t.steps) == 0 || t.steps[len(t.steps)-1] < d.now
	arrives := d.now + t.confirm
	switch {
	case lastStage && t.over <= arrives:
	case lastStage && t.stubborn && !t.unable && !t.putOff && t.start <= arrives:
		t.over, t.outcome = arrives, Connected
	default:
		t.over, t.outcome = arrives, Cancelled
	}
}

func (d *dumb) over() EndReason {
	cfg := d.world.cfg
	if cfg.Goal == First {
		if winner := d.winner(); winner != nil {
			winner.winner = true
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
		if t.outcome == Connected && t.over <= d.now && t.givenUp == CauseNone && (best == nil || t.over < best.over) {
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

// letOneIn lets an attempt start that has been put off, if one may start.
func (d *dumb) letOneIn() bool {
	inBurst := d.world.cfg.Strategy == AllAtOnce || d.world.cfg.Strategy == FirstThenAll
	for _, noFloor := range []bool{true, false} {
		for i := range d.tries {
			t := &d.tries[i]
			waits := t.putOff && t.let <= d.now && !d.isOver(*t)
			if waits && noFloor == (inBurst && !t.second) && (noFloor || d.mayLetIn()) {
				t.putOff = false
				d.begin(t)
				return true
			}
		}
	}
	return false
}

// mayLetIn says that the last start is 10 ms ago, and that none is about to come.
func (d *dumb) mayLetIn() bool {
	return !slices.ContainsFunc(d.tries, func(t dumbTry) bool {
		waits := t.putOff && t.start <= d.now
		return !waits && d.now < t.start+10*ms
	})
}

// startOne starts one attempt if one may start.
func (d *dumb) startOne() bool {
	cfg := d.world.cfg
	if cfg.MaxInFlight > 0 && d.inFlight() >= cfg.MaxInFlight {
		return false
	}
	for _, id := range d.candidates() {
		if d.mayStart(id) {
			d.waiting = slices.DeleteFunc(d.waiting, func(w int) bool { return w == id })
			d.start(id, false)
			return true
		}
	}
	for _, t := range d.tries {
		bound := t.start + time.Second
		if d.inFlight()+1 == cfg.MaxInFlight {
			bound = d.now + 5*time.Second // no delay is so long
		}
		if d.mayBackUp(t) && !d.candidateComes(bound) {
			d.start(t.candidate, true)
			return true
		}
	}
	return false
}

// candidates returns what is next: the first, or the first of each family.
func (d *dumb) candidates() (next []int) {
	if d.world.cfg.Strategy != FamilyFallback || len(d.tries) == 0 {
		return d.waiting[:min(1, len(d.waiting))]
	}
	for _, v4 := range []bool{d.is4(d.tries[0].candidate), !d.is4(d.tries[0].candidate)} {
		for _, id := range d.waiting {
			if d.is4(id) == v4 {
				next = append(next, id)
				break
			}
		}
	}
	return next
}

// candidateComes says that one may start before a time, if nothing happens.
func (d *dumb) candidateComes(before time.Duration) bool {
	quiet := *d
	quiet.tries = slices.Clone(d.tries)
	for i := range quiet.tries {
		t := &quiet.tries[i]
		t.steps = slices.DeleteFunc(slices.Clone(t.steps), func(at time.Duration) bool { return at > d.now })
		if t.over > d.now {
			t.over = dumbNever
		}
	}
	for ; quiet.now < before; quiet.now += ms {
		if slices.ContainsFunc(quiet.candidates(), quiet.mayStart) {
			return true
		}
	}
	return false
}

func (d *dumb) is4(id int) bool { return d.world.answers[0].found[id].Endpoint.Addr().Is4() }

func (d *dumb) mayStart(id int) bool {
	switch cfg := d.world.cfg; {
	case cfg.Strategy == AllAtOnce || len(d.tries) == 0:
		return true
	case cfg.Strategy == FirstThenAll:
		first := d.tries[0]
		return d.isOver(first) || d.hadItsDelay(first)
	case cfg.Strategy == Sequential:
		return d.afterFloor() && !slices.ContainsFunc(d.tries, func(t dumbTry) bool { return !d.isOver(t) })
	case cfg.Strategy == FamilyFallback:
		return d.afterFloor() && d.familyMay(id)
	}
	return d.isPatient(none)
}

func (d *dumb) isOver(t dumbTry) bool { return t.over <= d.now || t.givenUp != CauseNone }

func (d *dumb) afterFloor() bool {
	return !slices.ContainsFunc(d.tries, func(t dumbTry) bool { return d.now < t.start+10*ms })
}

// isPatient says that each attempt that is not over has had its delay; backups are
// waited for by backups only, and a backup does not wait for its own candidate.
func (d *dumb) isPatient(backupOf int) bool {
	return d.afterFloor() && !slices.ContainsFunc(d.tries, func(t dumbTry) bool {
		return (backupOf != none || !t.second) && t.candidate != backupOf && !d.isOver(t) && !d.hadItsDelay(t)
	})
}

// hadItsDelay says that a delay has passed since the start and, in version 3, since
// the latest stage was done, which can't take it further than 2 s.
func (d *dumb) hadItsDelay(t dumbTry) bool {
	if d.now < t.start+t.delay {
		return false
	}
	for _, at := range t.steps {
		if d.world.cfg.Version == V3 && at <= d.now && d.now < at+t.delay && d.now < t.start+2*time.Second {
			return false
		}
	}
	return true
}

// familyMay says that a family has no attempt, and that it is the one of the first
// attempt, or that one has had its delay, or has no other left.
func (d *dumb) familyMay(id int) bool {
	left := slices.ContainsFunc(d.waiting, func(w int) bool { return d.is4(w) != d.is4(id) })
	for _, t := range d.tries {
		switch {
		case d.isOver(t) || t.second:
		case d.is4(t.candidate) == d.is4(id):
			return false
		default:
			left = true
		}
	}
	first := d.tries[0]
	waited := d.now >= first.start+first.delay && (d.isOver(first) || d.hadItsDelay(first))
	return d.is4(first.candidate) == d.is4(id) || waited || !left
}

// mayBackUp says that a second attempt may help one.
func (d *dumb) mayBackUp(t dumbTry) bool {
	cfg := d.world.cfg
	made := 0
	for _, other := range d.tries {
		if other.second {
			made++
		}
		if other.second && other.candidate == t.candidate {
			return false
		}
	}
	silent := !d.isOver(t) && !t.putOff && (len(t.steps) == 0 || t.steps[0] > d.now)
	wait := 250 * ms
	if e := d.world.answers[0].found[t.candidate].Expect; e.RTT > 0 {
		wait = dumbDuration(timeout(e))
	}
	inTime := d.now >= t.start+wait && d.now < t.start+time.Second
	return made < cfg.MaxBackups && cfg.Strategy != Sequential && silent && inTime && d.isPatient(t.candidate)
}

func dumbDuration(seconds float64) time.Duration {
	return time.Duration(math.Round(seconds*1e6)) * time.Microsecond
}

func (d *dumb) start(candidate int, second bool) {
	t := dumbTry{candidate: candidate, second: second, delay: d.delay(candidate), over: dumbNever}
	d.result.starts += ", " + when(candidate, d.now)
	d.result.delays += ", " + t.delay.String()
	t.behaviour = d.world.endpoints[d.world.answers[0].found[candidate].Endpoint]
	if second && t.backup != nil {
		t.behaviour = *t.backup
	}
	if t.full == DeferNone {
		d.begin(&t)
	} else {
		d.delayIt(&t)
	}
	d.tries = append(d.tries, t)
}

func (d *dumb) delayIt(t *dumbTry) {
	t.putOff, t.start, t.outcome, t.let = true, d.now+t.lateFull, 0, dumbNever
	if t.room >= 0 {
		t.let = t.start + t.room
	}
}

// begin works out what an attempt will do that begins now.
func (d *dumb) begin(t *dumbTry) {
	t.start, t.outcome = d.now+t.late, t.behaviour.outcome
	if t.unable {
		t.over, t.outcome = t.start, Failed
		return
	}
	at := t.start
	for _, stage := range t.stages {
		at += stage
		t.steps = append(t.steps, at)
	}
	if t.outcome != 0 {
		t.over = at + t.after
	}
}

// delay is how long the next attempt waits for one that starts now.
func (d *dumb) delay(candidate int) time.Duration {
	cfg := d.world.cfg
	delay := cfg.AttemptDelay
	switch cfg.Strategy {
	case Sequential, AllAtOnce:
		return 0
	case FirstThenAll, FamilyFallback:
		if len(d.tries) > 0 {
			return 0
		}
		return delay
	case Adaptive:
		if seconds, basis := learned(d.world.answers[0].found[candidate].Expect, cfg.Quantile); basis != BasisNothingKnown {
			delay = dumbDuration(seconds)
		}
	}
	for _, t := range d.tries {
		if !d.isOver(t) && !t.putOff && t.start <= d.now && cfg.Multiplier > 1 {
			delay = min(delay*time.Duration(cfg.Multiplier), 2*time.Second)
		}
	}
	return delay
}

// outcomes returns what each candidate came to: the best of its attempts.
func (d *dumb) outcomes() string {
	outcomes := map[int]string{}
	for id, c := range d.world.answers[0].found {
		outcomes[id] = dumbOutcome(OutcomeNotStarted, SkipNone)
		if c.Skip != SkipNone {
			outcomes[id] = dumbOutcome(OutcomeSkipped, c.Skip)
		}
	}
	for _, t := range d.tries {
		better := t.outcome == Connected && !slices.Contains([]string{"won", "connected"}, outcomes[t.candidate])
		if !t.second || better {
			outcomes[t.candidate] = d.outcome(t).String()
		}
	}
	return byCandidate(outcomes)
}

func (d *dumb) outcome(t dumbTry) Outcome {
	switch {
	case t.winner:
		return OutcomeWon
	case t.outcome == Failed:
		return OutcomeFailed
	case t.outcome == Connected && t.givenUp == CauseNone && d.world.cfg.Goal == Every:
		return OutcomeConnected
	case t.outcome == Connected:
		return OutcomeConnectedLate
	case t.putOff || t.start > t.over:
		return OutcomeNotStarted
	case t.givenUp == CauseTimeout:
		return OutcomeTimedOut
	case t.givenUp == CauseLost:
		return OutcomeCancelled
	}
	return OutcomeRunning
}
