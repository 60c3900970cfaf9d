package racer

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/connrace/connrace/internal/connect"
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
	plan  plan
	keep  bool

	start    time.Time
	race     sched.Race
	inbox    inbox
	attempts connect.Attempts
	lookups  sync.WaitGroup
	turn     chan struct{} // closed: the last query asked for has left

	events  []sched.Event // of the latest batch
	known   []fact        // by candidate id
	started []int         // candidate of each attempt
	log     []sched.Entry
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

// news is what an inbox holds: an event, and for Resolved the facts its
// candidates are made of.
type news struct {
	event sched.Event
	facts []fact
}

func newEngine(r *Racer, p plan, keep bool) *engine {
	return &engine{racer: r, plan: p, keep: keep}
}

// What an ordinary transcript has: a start, a started, an outcome, a cancel and a
// settle for each candidate, and what is about the race.
const (
	entriesOfACandidate = 5
	entriesOfARace      = 12
	mostEntries         = 256 // before it is known how long it gets
)

// run runs the race to its end and returns the winner's connection if it is to
// be kept. Whatever happens, nothing else is left behind: the deferred calls
// stop, wait and close.
func (e *engine) run(ctx context.Context) net.Conn {
	e.start = time.Now()
	e.plan.cfg.OnlyRouted = e.onlyRouted()
	e.race.Reset(e.plan.cfg)
	e.attempts = e.racer.attempts(connect.Race{
		Now:  e.now,
		Post: func(ev sched.Event) { e.inbox.post(news{event: ev}) },
		Keep: e.keep,
	})
	defer e.attempts.Close()
	defer context.AfterFunc(ctx, e.attempts.Wake)()
	// The race alone decides when a lookup is given up: one that saw the caller's
	// deadline too would report a failure of its own.
	lookups, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer e.lookups.Wait()
	defer cancel()

	e.log = make([]sched.Entry, 0, min(entriesOfACandidate*(len(e.plan.literals)+len(e.plan.known))+entriesOfARace, mostEntries))
	e.given()
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
	source6, _ := e.racer.source(anywhere6)
	source4, _ := e.racer.source(anywhere4)
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
	var (
		winner  net.Conn
		actions []sched.Action
		left    bool
	)
	for {
		batch := e.batch()
		if !left && ctx.Err() != nil {
			batch = append(batch, sched.Event{Kind: sched.Stopped, At: e.now(), End: whyLeft(ctx)})
			left = true
		}
		now := e.now()
		actions = e.race.Step(now, batch, actions[:0])
		e.log = sched.Record(e.log, now, batch, actions)
		for _, a := range actions {
			switch a.Kind {
			case sched.Query:
				e.ask(lookups, a.Question)
			case sched.Start:
				e.started = append(e.started, a.Candidate)
				e.attempts.Start(a.Attempt, e.known[a.Candidate].allowed)
			case sched.Cancel:
				e.attempts.Cancel(a.Attempt)
			case sched.Won:
				winner = e.attempts.Take(a.Attempt)
			case sched.Finish:
				e.end, e.took = a.End, now
				return winner
			}
		}
		e.attempts.Wait(e.race.Next())
	}
}

func (e *engine) now() time.Duration { return time.Since(e.start) }

// whyLeft tells a caller who wants an answer now from one who wants none.
func whyLeft(ctx context.Context) sched.EndReason {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return sched.EndDeadlineNear
	}
	return sched.EndCallerLeft
}

// batch takes everything that has come in, in the order in which it happened,
// which is not always the order in which it was posted.
func (e *engine) batch() []sched.Event {
	all := e.inbox.take()
	slices.SortStableFunc(all, func(a, b news) int { return cmp.Compare(a.event.At, b.event.At) })
	events := e.events[:0]
	for _, n := range all {
		if n.event.Kind == sched.Resolved {
			n.event.Candidates = e.introduce(n.facts, n.event.At)
		}
		if n.event.Kind == sched.Failed {
			n.event.Failure = e.blame(n.event.Attempt, n.event.Failure)
		}
		events = append(events, n.event)
	}
	e.events = events
	return events
}

// introduce gives facts that came in then their candidate ids.
func (e *engine) introduce(facts []fact, at time.Duration) []sched.Candidate {
	candidates := make([]sched.Candidate, len(facts))
	for i, f := range facts {
		candidates[i] = sched.Candidate{
			ID: len(e.known), Endpoint: f.endpoint, Source: f.source, SourceBits: f.bits,
			Place: f.index, Skip: f.skip, Expect: f.expect,
		}
		f.known = at
		e.known = append(e.known, f)
	}
	return candidates
}

// blame puts a missing route on this host when it has no source address either:
// then it is not the path's doing.
func (e *engine) blame(attempt int, f sched.Failure) sched.Failure {
	if f.Errno == "ENETUNREACH" && !e.known[e.started[attempt]].source.IsValid() {
		f.Fault, f.Text = sched.FaultHost, "this host has no route to this network"
	}
	return f
}

// given takes in the addresses that are known from the start.
func (e *engine) given() {
	facts := slices.Grow(slices.Clone(e.plan.known), len(e.plan.literals))
	for _, o := range e.plan.literals {
		facts = append(facts, e.gather(o, o.addr))
	}
	if len(facts) == 0 {
		return
	}
	e.inbox.post(news{
		event: sched.Event{Kind: sched.Resolved, At: e.now(), Question: sched.NoQuestion},
		facts: facts,
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
	if !e.plan.uses(addrsel.FamilyOf(addr)) {
		f.skip = sched.SkipFamily
		return f
	}
	allowed, err := policy.Check(f.endpoint)
	if err != nil {
		f.skip = sched.SkipDenied
		return f
	}
	f.allowed = allowed
	f.source, f.bits = e.racer.source(f.endpoint.Addr())
	return f
}

// inbox collects news from many goroutines for one. Posting never blocks.
type inbox struct {
	mu    sync.Mutex
	news  []news
	taken []news // by the latest take
}

func (b *inbox) post(n news) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.news = append(b.news, n)
}

// take returns what was posted since. It is valid until the next call.
func (b *inbox) take() []news {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.taken) // what it points to is the race's now
	b.news, b.taken = b.taken[:0], b.news
	return b.taken
}
