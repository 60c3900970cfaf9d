package racer

import (
	"context"
	"net"
	"net/netip"
	"runtime"

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
}

// Racer ranks, races and probes. Use New.
type Racer struct {
	lookup func(ctx context.Context, q sched.Question, sent func()) resolve.Answer
	source sourceFunc

	// attempts makes those of one race.
	attempts func(connect.Race) connect.Attempts
	kept     *kept
}

// sourceFunc tells the address this host would send from to dst and the length
// of its prefix; the zero address: none.
type sourceFunc func(dst netip.Addr) (src netip.Addr, bits int)

// New returns a Racer.
func New(cfg Config) *Racer {
	resolver := new(resolve.Resolver)
	if cfg.DNSServer.IsValid() {
		resolver = resolve.Through(cfg.DNSServer)
	}
	keep := new(kept)
	r := &Racer{
		lookup:   resolver.Lookup,
		source:   keep.sources.For,
		attempts: keep.engine.Attempts,
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
}

// Validate returns a *RequestError that says all that is wrong with the request,
// or nil. Race and Dial check the same.
func (req RaceRequest) Validate() error {
	_, err := planRace(req.Target, req.Selection, req.Options)
	return err
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
}

// Race connects until one attempt succeeds, and closes the connection. The error
// is a *RequestError, or the cause of ctx's cancellation.
func (r *Racer) Race(ctx context.Context, req RaceRequest) (*RaceResult, error) {
	result, _, err := r.race(ctx, req, false)
	return result, err
}

// Dial connects like Race and hands over the winning connection, which the
// caller closes. Without a winner the error is a *NotWonError.
func (r *Racer) Dial(ctx context.Context, req RaceRequest) (net.Conn, *RaceResult, error) {
	result, conn, err := r.race(ctx, req, true)
	if err == nil && conn == nil {
		err = &NotWonError{Result: result}
	}
	return conn, result, err
}

func (r *Racer) race(ctx context.Context, req RaceRequest, keep bool) (*RaceResult, net.Conn, error) {
	p, err := planRace(req.Target, req.Selection, req.Options)
	if err != nil {
		return nil, nil, err
	}
	e := newEngine(r, p, keep)
	conn := e.run(ctx)
	if e.end == sched.EndCallerLeft {
		return nil, nil, context.Cause(ctx)
	}
	result := &RaceResult{
		Run:        e.summary(),
		Options:    p.options,
		Candidates: e.fold(0),
	}
	result.Warnings = append(result.Warnings, nothingKnown(e.plan.cfg.AttemptDelay, e.bases())...)
	result.Winner = winner(result.Candidates)
	compareWithWinner(result.Candidates, result.Winner)
	result.Cost = costOf(result.Candidates)
	result.Masked = maskedBy(result.Candidates, result.Winner)
	return result, conn, nil
}

// RankRequest asks for the order of a target's addresses. Every zero value but
// Target's means the default.
type RankRequest struct {
	Target    Target    // what to rank
	Selection Selection // which addresses, in which order
	Options   Options   // of the race the schedule is for
}

// Validate returns a *RequestError that says all that is wrong with the request,
// or nil. ResolveAndRank checks the same.
func (req RankRequest) Validate() error {
	_, err := planRace(req.Target, req.Selection, req.Options)
	return err
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
	p, err := planRace(req.Target, req.Selection, req.Options)
	if err != nil {
		return nil, err
	}
	p.cfg.Goal = sched.Order
	e := newEngine(r, p, false)
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
	result.Warnings = append(result.Warnings, nothingKnown(race.AttemptDelay, result.bases())...)
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
