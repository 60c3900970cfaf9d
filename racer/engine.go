package racer

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/connrace/connrace/internal/connect"
	"github.com/connrace/connrace/internal/connect/stage"
	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/internal/resolve"
	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// engine runs one race: it carries the scheduler's actions out and brings the
// news back. It decides nothing. The goroutine that calls run owns everything
// here but the inbox.
type engine struct {
	racer *Racer
	plan  *plan

	start    time.Time
	due      time.Duration // when the caller must have the result, if it is bounded
	bounded  bool
	race     sched.Race
	inbox    inbox
	post     func(sched.Event) // into it
	attempts connect.Attempts
	lookups  sync.WaitGroup
	turn     chan struct{} // closed: the last query asked for has left

	peers sync.Map // of attempts with stages after TCP: stage.Peer by id

	visit    *visit       // nil: nothing will be started
	deferred map[int]bool // attempts that wait for their place, or have it and wait for Proceed
	told     bool         // something was posted by the race's own goroutine

	order   []moment       // of the latest batch
	events  []sched.Event  // likewise
	actions []sched.Action // of the latest step
	wanted  []chan<- *engine
	known   []fact // by candidate id
	started []int  // candidate of each attempt
	log     []sched.Entry
	tries   tries  // while the log is read
	facts   []fact // room for those given
	end     sched.EndReason
	took    time.Duration
}

// fact is what is gathered about a candidate before the race hears of it.
type fact struct {
	origin
	endpoint netip.AddrPort
	allowed  policy.Allowed
	skip     sched.SkipReason
	source   netip.Addr
	bits     int
	known    time.Duration // since the race began: when an answer brought it
}

// news is what an inbox holds: an event, and for Resolved the facts its candidates are
// made of; or somebody's wish to know how the race stands.
type news struct {
	event  sched.Event
	facts  []fact
	wanted chan<- *engine // for a snapshot; it has room for one
}

// newEngine returns an engine whose race begins now. Its run must be called.
func newEngine(r *Racer, p *plan, v *visit, keep bool) *engine {
	e, ok := r.engines.Get().(*engine)
	if !ok {
		e = new(engine)
		e.post = func(ev sched.Event) { e.inbox.post(news{event: ev}) }
	}
	e.racer, e.plan, e.visit, e.start = r, p, v, time.Now()
	e.plan.cfg.OnlyRouted = e.onlyRouted()
	e.race.Reset(e.plan.cfg)
	e.attempts = r.attempts(connect.Race{
		Now:      e.now,
		Post:     e.post,
		Keep:     keep,
		Stage:    e.stage(),
		Source:   p.manner.source,
		Polite:   p.manner.polite,
		Panicked: r.panicked,
	})
	if v != nil {
		v.round.Store(e)
	}
	return e
}

// What an ordinary transcript has: a start, a started, an outcome, a cancel and a
// settle for each candidate, and what is about the race.
const (
	entriesOfACandidate = 5
	entriesOfARace      = 12
	mostKept            = 8192 // that an engine has room for when it is kept for another race
)

// recycle keeps an engine, with its memory, for another race. Nobody may know it any
// more, and nothing that was made of it may point into that memory.
func (r *Racer) recycle(e *engine) {
	if cap(e.log) > mostKept {
		return
	}
	e.forget()
	e.plan, e.visit, e.attempts, e.turn, e.deferred, e.told = nil, nil, nil, nil, nil, false
	e.known, e.started, e.log, e.facts = e.known[:0], e.started[:0], e.log[:0], e.facts[:0]
	e.order, e.events, e.actions, e.wanted = e.order[:0], e.events[:0], e.actions[:0], nil
	e.end, e.took = sched.EndNone, 0
	r.engines.Put(e)
}

// forget lets go of what the race has brought, which lives on if nothing but the memory
// that is kept refers to it. Behind what a race has used, earlier ones have done so.
func (e *engine) forget() {
	clear(e.known)
	clear(e.facts)
	clear(e.log)
	clear(e.tries.attempts)
	e.inbox.forget()
	if e.plan.manner.criterion.IsTCP() {
		return
	}
	// Only with stages there is much behind an event, and more were in a batch before the
	// latest.
	clear(e.events[:cap(e.events)])
	e.peers.Clear()
}

// run runs the race to its end and returns the winner's connection if it is to
// be kept. Whatever happens, nothing else is left behind: the deferred calls
// stop, wait and close.
func (e *engine) run(ctx context.Context) net.Conn {
	defer e.attempts.Close()
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, e.attempts.Wake)()
	}
	var deadline time.Time
	if deadline, e.bounded = ctx.Deadline(); e.bounded {
		e.due = deadline.Sub(e.start)
	}
	given := len(e.plan.literals) + len(e.plan.known)
	e.log = slices.Grow(e.log, min(entriesOfACandidate*given+entriesOfARace, mostKept))
	e.given()
	if len(e.plan.cfg.Questions) == 0 {
		return e.loop(ctx, nil)
	}
	// The race alone decides when a lookup is given up: one that saw the caller's
	// deadline too would report a failure of its own.
	lookups, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer e.lookups.Wait()
	defer cancel()
	return e.loop(ctx, lookups)
}

// Addresses of no host in particular (RFC 3849, RFC 5737): a host that has a
// source address for one of them has a route to the world in that family.
var (
	anywhere6 = netip.MustParseAddr("2001:db8::1")
	anywhere4 = netip.MustParseAddr("192.0.2.1")
)

// onlyRouted is the one family this host has a route for, FamilyAny if it has both
// or neither. It is not looked up where nobody will ask: without questions there is
// no answer to wait for, and the caller's preference comes first.
func (e *engine) onlyRouted() addrsel.Family {
	if len(e.plan.cfg.Questions) == 0 || e.plan.cfg.Ranking.PreferredFamily != addrsel.FamilyAny {
		return addrsel.FamilyAny
	}
	via := e.plan.manner.via()
	source6, _ := e.racer.source(anywhere6, via)
	source4, _ := e.racer.source(anywhere4, via)
	switch {
	case source6.IsValid() == source4.IsValid():
		return addrsel.FamilyAny
	case source6.IsValid():
		return addrsel.FamilyIPv6
	default:
		return addrsel.FamilyIPv4
	}
}

// loop steps the race until it is finished.
func (e *engine) loop(ctx, lookups context.Context) net.Conn {
	var winner net.Conn
	left := false
	for {
		batch := e.batch()
		now := e.now()
		if !left {
			batch, left = e.stopped(ctx, now, batch)
		}
		e.actions = e.race.Step(now, batch, e.actions[:0])
		e.log = sched.Record(e.log, now, batch, e.actions)
		for i := range e.actions {
			a := &e.actions[i]
			switch a.Kind {
			case sched.Query:
				e.ask(lookups, a.Question)
			case sched.Start:
				e.begin(a)
			case sched.Proceed:
				e.proceed(a.Attempt)
			case sched.Cancel:
				e.cancel(a.Attempt)
			case sched.Won:
				winner = e.attempts.Take(a.Attempt)
			case sched.Finish:
				e.end, e.took = a.End, now
				return winner
			}
		}
		e.show()
		if e.told {
			e.told = false
			continue
		}
		e.attempts.Wait(e.next(left))
	}
}

// next is when the race goes on if nothing happens before. Until the caller has left,
// its deadline counts too: the context's own timer would be one more for each race.
func (e *engine) next(left bool) (at time.Duration, bounded bool) {
	at, bounded = e.race.Next()
	if !left && e.bounded && (!bounded || e.due < at) {
		return e.due, true
	}
	return at, bounded
}

// show tells those who want to know how the race stands.
func (e *engine) show() {
	for _, wanted := range e.wanted {
		wanted <- e.snapshot(sched.EndDeadlineNear)
	}
	e.wanted = e.wanted[:0]
}

// launch starts an attempt that has its place.
func (e *engine) launch(id int) {
	f := &e.known[e.started[id]]
	if !e.plan.manner.criterion.IsTCP() {
		e.peers.Store(id, stage.Peer{Name: f.name, Endpoint: f.endpoint})
	}
	e.attempts.Start(id, f.allowed)
}

// stage is what attempts do when TCP is up; nil: nothing.
func (e *engine) stage() connect.Stage {
	criterion := &e.plan.manner.criterion
	if criterion.IsTCP() {
		return nil
	}
	return func(ctx context.Context, id int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
		peer, _ := e.peers.Load(id)
		return criterion.Run(ctx, peer.(stage.Peer), conn, e.now)
	}
}

func (e *engine) now() time.Duration { return time.Since(e.start) }

// batch takes everything that has come in, in the order in which it happened,
// which is not always the order in which it was posted.
func (e *engine) batch() []sched.Event {
	all := e.inbox.take()
	events := e.events[:0]
	for _, m := range e.inOrder(all) {
		n := &all[m.index]
		if n.wanted != nil {
			e.wanted = append(e.wanted, n.wanted)
			continue
		}
		if n.event.Kind == sched.Resolved {
			n.event.Candidates = e.introduce(n.facts, n.event.At)
		}
		switch n.event.Kind {
		case sched.Failed:
			e.blame(&n.event)
			fallthrough
		case sched.Connected, sched.Cancelled:
			e.visit.place.Done(n.event.Attempt)
		}
		events = append(events, n.event)
	}
	e.events = e.admissions(events)
	return e.events
}

// moment is when something among the news happened. They are put in order instead of
// the news, which are twenty times as large.
type moment struct {
	at    time.Duration
	index int
}

// inOrder puts news in order by time, what came at the same time as it was posted. They
// are often out of it: a handshake ends before the last attempts have started.
func (e *engine) inOrder(all []news) []moment {
	e.order = e.order[:0]
	for i := range all {
		e.order = append(e.order, moment{all[i].event.At, i})
	}
	slices.SortFunc(e.order, func(a, b moment) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.index, b.index)) })
	return e.order
}

// introduce gives facts that came in then their candidate ids.
func (e *engine) introduce(facts []fact, at time.Duration) []sched.Candidate {
	candidates := make([]sched.Candidate, len(facts))
	for i := range facts {
		f := &facts[i]
		candidates[i] = sched.Candidate{
			ID: len(e.known), Endpoint: f.endpoint, Source: f.source, SourceBits: f.bits,
			Place: f.index, Skip: f.skip, Expect: f.expect,
		}
		f.known = at
		e.known = append(e.known, *f)
	}
	return candidates
}

// blame puts on this host what its own routes forbid: it has no source address then
// either, and nobody has answered.
func (e *engine) blame(ev *sched.Event) {
	f := &ev.Failure
	if e.known[e.started[ev.Attempt]].source.IsValid() || f.ICMP.From.IsValid() {
		return
	}
	switch f.Errno {
	case "ENETUNREACH":
		f.Fault, f.Text = sched.FaultHost, "this host has no route to this network; add a route, or ask from another host"
	case "EHOSTUNREACH", "EACCES", "EINVAL": // a route that is unreachable, prohibit or blackhole
		f.Fault, f.Text = sched.FaultHost, "a route of this host forbids it; `ip route get` shows which"
	}
}

// given takes in the addresses that are known from the start.
func (e *engine) given() {
	e.facts = append(e.facts, e.plan.known...)
	for i := range e.plan.literals {
		o := &e.plan.literals[i]
		e.facts = append(e.facts, e.gather(*o, o.addr))
	}
	if len(e.facts) == 0 {
		return
	}
	e.inbox.post(news{
		event: sched.Event{Kind: sched.Resolved, At: e.now(), Question: sched.NoQuestion},
		facts: e.facts,
	})
}

// ask looks a question up in a goroutine of its own, as soon as the query asked
// for before it has left: RFC 8305 section 3 wants AAAA first, and A right after.
func (e *engine) ask(ctx context.Context, question int) {
	q, o := e.plan.cfg.Questions[question], e.plan.asked[question]
	before, mine := e.turn, make(chan struct{})
	e.turn = mine
	e.lookups.Go(func() {
		if before != nil {
			<-before
		}
		sent := sync.OnceFunc(func() { close(mine) })
		defer sent()
		answer := e.racer.lookup(ctx, q, sent)
		at := e.now()
		defer e.attempts.Wake()
		e.inbox.post(news{
			event: sched.Event{
				Kind: sched.Resolved, At: at, Question: question, Answer: answer.Status, Failure: answer.Failure,
			},
			facts: e.gatherAll(o, answer),
		})
	})
}

func (e *engine) gatherAll(o origin, answer resolve.Answer) []fact {
	facts := make([]fact, len(answer.Addrs))
	for i, addr := range answer.Addrs {
		facts[i] = e.gather(o, addr)
	}
	return facts
}

// gather looks up all the race must know of an address. It may be called from
// any goroutine.
func (e *engine) gather(o origin, addr netip.Addr) fact {
	f := fact{origin: o, endpoint: netip.AddrPortFrom(addr.Unmap(), o.port)}
	family := addrsel.FamilyOf(addr)
	switch {
	case !e.plan.uses(family):
		f.skip = sched.SkipFamily
		return f
	case e.plan.manner.excludes(family):
		f.skip = sched.SkipSource
		return f
	}
	allowed, err := policy.Check(f.endpoint)
	if err != nil {
		f.skip = sched.SkipDenied
		return f
	}
	f.allowed = allowed
	if f.source = e.plan.manner.bound(family); !f.source.IsValid() {
		f.source, f.bits = e.racer.source(f.endpoint.Addr(), e.plan.manner.via())
	}
	return f
}

// inbox collects news from many goroutines for one. Posting never blocks.
type inbox struct {
	mu       sync.Mutex
	news     []news
	taken    []news // by the latest take
	admitted []int  // attempts that have got their place
}

func (b *inbox) admit(id int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.admitted = append(b.admitted, id)
}

func (b *inbox) admissions() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	admitted := b.admitted
	b.admitted = nil
	return admitted
}

func (b *inbox) post(n news) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.news = append(b.news, n)
}

// forget empties the inbox.
func (b *inbox) forget() {
	clear(b.news)
	clear(b.taken)
	b.news, b.taken, b.admitted = b.news[:0], b.taken[:0], nil
}

// take returns what was posted since. It is valid until the next call.
func (b *inbox) take() []news {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.taken) // what it points to is the race's now
	b.news, b.taken = b.taken[:0], b.news
	return b.taken
}
