package racer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"

	"github.com/connrace/connrace/internal/admit"
	"github.com/connrace/connrace/internal/connect"
	"github.com/connrace/connrace/internal/netstate"
	"github.com/connrace/connrace/internal/resolve"
	"github.com/connrace/connrace/racer/sched"
)

// Config holds what all calls of a Racer share. The zero value is usable.
type Config struct {
	// DNSServer is the only name server that is asked. Zero: name resolution as
	// the system is configured.
	DNSServer netip.AddrPort
	// Limits bound what all calls do together. Zero: nothing but the descriptors of this
	// process.
	Limits Limits
	// Panicked is told of a panic in an attempt's stages, with its stack; the attempt
	// has failed, and the rest goes on. It may be called from any goroutine. nil:
	// nobody is told.
	Panicked func(value any, stack []byte)
}

// Racer ranks, races and probes. Use New.
type Racer struct {
	lookup func(ctx context.Context, q sched.Question, sent func()) resolve.Answer
	source sourceFunc

	// attempts makes those of one race.
	attempts func(connect.Race) connect.Attempts
	room     *admit.Room
	engines  sync.Pool // of *engine, for the next races
	panicked func(value any, stack []byte)
	kept     *kept
	shares   shares
}

// sourceFunc tells the address this host would send from to dst on the way that was
// asked for, and the length of its prefix; the zero address: none.
type sourceFunc func(dst netip.Addr, via netstate.Via) (src netip.Addr, bits int)

// New returns a Racer. It panics on limits that Check finds fault with.
func New(cfg Config) *Racer {
	if wrong := cfg.Limits.Check(); len(wrong) > 0 {
		panic(fmt.Sprintf("racer: %s %s", wrong[0].Field, wrong[0].Message))
	}
	// What can't be found out is no limit: the sockets themselves tell then.
	descriptors, _ := admit.Descriptors()
	resolver := new(resolve.Resolver)
	if cfg.DNSServer.IsValid() {
		resolver = resolve.Through(cfg.DNSServer)
	}
	keep := new(kept)
	r := &Racer{
		lookup:   resolver.Lookup,
		source:   keep.sources.For,
		attempts: keep.engine.Attempts,
		room:     admit.New(cfg.Limits, descriptors),
		panicked: cfg.Panicked,
		kept:     keep,
	}
	runtime.AddCleanup(r, (*kept).close, keep)
	return r
}

// kept is what a Racer keeps between calls.
type kept struct {
	engine  connect.Engine
	sources netstate.Sources
}

func (k *kept) close() {
	k.engine.Close()
	k.sources.Close()
}

// Close closes the sockets that the Racer keeps for its next races. It may be used
// after that, and keeps some again.
func (r *Racer) Close() { r.kept.close() }

// RaceRequest asks for a race. Every zero value but Target's means the default.
type RaceRequest struct {
	Target    Target    // what to connect to
	Selection Selection // which addresses, in which order
	Options   Options   // how attempts start and are bounded
	// Caller is who asks, for the budgets of Config.Limits: up to MaxCallerLength
	// characters. All without one count as one caller.
	Caller string
	// Share lets races that are asked for in the same way, with Share, at the same time
	// and by whatever caller be one. Dial shares nothing: a connection has one owner.
	Share bool
	// NoTranscript leaves Run.Transcript out of the result, which saves some memory.
	NoTranscript bool
}

// Validate returns a *RequestError that says all that is wrong with the request,
// or nil. Race and Dial check the same.
func (req RaceRequest) Validate() error {
	_, err := req.plan()
	return err
}

func (req *RaceRequest) plan() (*plan, error) {
	p, err := planRace(req.Target, req.Selection, req.Options, req.Caller)
	p.untold = req.NoTranscript
	return p, err
}

// RaceResult is the result of a race.
type RaceResult struct {
	Run
	Options Options // in effect
	// Winner is the candidate that won, an element of Candidates; nil when
	// nobody did.
	Winner *Candidate
	// Candidates are in ranked order, those that were not to be tried last.
	Candidates []Candidate
	Cost       Cost   // what it asked of the network and of the servers
	Masked     Masked // the trouble the winner hides
	// Sharing says how callers shared the race; nil without RaceRequest.Share.
	Sharing *Sharing
}

// Race connects until one attempt succeeds, and closes the connection. The error
// is a *RequestError, an *OverloadedError, or the cause of ctx's cancellation.
func (r *Racer) Race(ctx context.Context, req RaceRequest) (*RaceResult, error) {
	result, _, err := r.race(ctx, &req, false)
	return result, err
}

// Dial connects like Race and hands over the winning connection, which the
// caller closes: a *tls.Conn, if Options.Criterion asks for TLS. More than TLS it must
// not ask for, since that would be spoken over the connection. Without a winner the
// error is a *NotWonError; where a process is out of descriptors, a winner can be lost in
// the last moment, and the error says that.
func (r *Racer) Dial(ctx context.Context, req RaceRequest) (net.Conn, *RaceResult, error) {
	if err := req.checkDial(); err != nil {
		return nil, nil, err
	}
	result, conn, err := r.race(ctx, &req, true)
	if err == nil && conn == nil {
		err = result.without()
	}
	return conn, result, err
}

// without is why there is no connection.
func (r *RaceResult) without() error {
	if r.Winner == nil {
		return &NotWonError{Result: r}
	}
	return fmt.Errorf("%s connected and won, but the connection could not be handed over: most likely this process has no file descriptor left; raise its limit (ulimit -n)", r.Winner.Endpoint)
}

func (r *Racer) race(ctx context.Context, req *RaceRequest, keep bool) (*RaceResult, net.Conn, error) {
	p, err := req.plan()
	if err != nil {
		return nil, nil, err
	}
	if req.Share && !keep {
		result, err := r.shared(ctx, req, p)
		return result, nil, err
	}
	v, err := r.enter(p.caller)
	if err != nil {
		return nil, nil, err
	}
	e := newEngine(r, p, v, keep)
	conn, result := e.finish(ctx)
	r.recycle(e)
	if result == nil {
		return nil, nil, context.Cause(ctx)
	}
	return result, conn, nil
}

// finish runs the race and leaves the room of limits. Result is nil when the caller has
// left.
func (e *engine) finish(ctx context.Context) (conn net.Conn, result *RaceResult) {
	defer e.visit.leave()
	if conn = e.run(ctx); e.end == sched.EndCallerLeft {
		return nil, nil
	}
	return conn, e.result()
}

// checkDial sees that the connection can be handed out. It says what else is wrong with
// the request, too.
func (req *RaceRequest) checkDial() error {
	if req.Options.Criterion.Usable() {
		return nil
	}
	var c checker
	if bad, ok := errors.AsType[*RequestError](req.Validate()); ok {
		c.fields = bad.Fields
	}
	c.wrongf("options.criterion", "asks for more than TLS, and a connection that was spoken over can't be handed out; use Race")
	return c.err()
}

// result is that of a race which is over.
func (e *engine) result() *RaceResult {
	result := &RaceResult{
		Run:        e.summary(),
		Options:    e.plan.options,
		Candidates: e.fold(0),
	}
	result.Warnings = append(result.Warnings, e.unknown(&e.plan.cfg, e.bases())...)
	if !e.plan.manner.criterion.IsTCP() {
		new(chains).begin(result.Candidates)
	}
	result.Winner = winner(result.Candidates)
	compareWithWinner(result.Candidates, result.Winner)
	result.Cost = costOf(result.Candidates)
	result.Masked = maskedBy(result.Candidates, result.Winner)
	return result
}

// RankRequest asks for the order of a target's addresses. Every zero value but
// Target's means the default.
type RankRequest struct {
	Target    Target    // what to rank
	Selection Selection // which addresses, in which order
	// Options are those of the race the schedule is for. What only attempts have a use
	// for is left out of the result, with a warning: Grace, Criterion and CloseWithFIN.
	Options Options
	// NoTranscript leaves Run.Transcript out of the result, which saves some memory.
	NoTranscript bool
}

// Validate returns a *RequestError that says all that is wrong with the request,
// or nil. ResolveAndRank checks the same.
func (req RankRequest) Validate() error {
	_, err := req.plan()
	return err
}

func (req *RankRequest) plan() (*plan, error) {
	p, err := planRank(req.Target, req.Selection, req.Options)
	p.untold = req.NoTranscript
	return p, err
}

// RankResult is the order and the schedule.
type RankResult struct {
	Run
	Options Options // in effect
	// Candidates are in ranked order, those that may not be tried last.
	Candidates []Candidate
	// Schedule is what Race would do if every attempt stayed silent and the
	// answers came as they did here.
	Schedule []ScheduledStart
}

// ResolveAndRank resolves and sorts, and connects to nothing. The error is a
// *RequestError, or the cause of ctx's cancellation.
func (r *Racer) ResolveAndRank(ctx context.Context, req RankRequest) (*RankResult, error) {
	p, err := req.plan()
	if err != nil {
		return nil, err
	}
	p.cfg.Goal = sched.Order
	e := newEngine(r, p, nil, false)
	e.run(ctx)
	if e.end == sched.EndCallerLeft {
		return nil, context.Cause(ctx)
	}
	candidates := e.fold(0)
	race := e.plan.cfg // with what is known of this host
	race.Goal = sched.First
	result := &RankResult{
		Run:        e.summary(),
		Options:    p.options,
		Candidates: candidates,
		Schedule:   schedule(race, e.log, candidates),
	}
	result.Warnings = append(result.Warnings, e.unknown(&race, result.bases())...)
	return result, nil
}

// bases are those of the starts in the schedule.
func (r *RankResult) bases() []sched.Basis {
	bases := make([]sched.Basis, len(r.Schedule))
	for i := range r.Schedule {
		bases[i] = r.Schedule[i].Basis
	}
	return bases
}
