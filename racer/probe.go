package racer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/connrace/connrace/internal/admit"
	"github.com/connrace/connrace/racer/sched"
)

// ProbeRequest asks for a probe. Every zero value but Target's means the default.
type ProbeRequest struct {
	Target    Target       // what to connect to
	Selection Selection    // which addresses, in which order
	Options   ProbeOptions // how attempts start and are bounded
	// Rounds is how often every address is connected to; the name is resolved
	// once. 0: 1; at most MaxRounds.
	Rounds int
	// Interval is from the start of one round to the start of the next; a round
	// that takes longer delays the next one. 0: 1 s.
	Interval time.Duration
	// Caller is who asks, for the budgets of Config.Limits: up to MaxCallerLength
	// characters. All without one count as one caller.
	Caller string
	// NoTranscript leaves Run.Transcript out of the result, which saves memory.
	NoTranscript bool
}

// Validate returns a *RequestError that says all that is wrong with the request,
// or nil. Probe checks the same.
func (req ProbeRequest) Validate() error {
	_, err := checkProbe(&req)
	return err
}

// ProbeResult is the result of a probe.
type ProbeResult struct {
	Run
	Options  ProbeOptions  // in effect
	Rounds   int           // begun
	Interval time.Duration // in effect; 0: of no use to a probe of one round
	Report   Report        // what was measured
}

// Probe connects to every address, round after round, and gives up none because
// another was faster. The error is a *RequestError, an *OverloadedError, or the cause of
// ctx's cancellation.
func (r *Racer) Probe(ctx context.Context, req ProbeRequest) (*ProbeResult, error) {
	asked := req.Interval
	p, err := checkProbe(&req)
	if err != nil {
		return nil, err
	}
	if req.Rounds == 1 {
		req.Interval = 0
		if asked != 0 {
			p.warnings = append(p.warnings, Warning{"interval", "has no effect: there is one round"})
		}
	}
	v, err := r.enter(p.caller)
	if err != nil {
		return nil, err
	}
	return r.probe(ctx, p, v, &req, 1)
}

// probe runs the rounds of a request that has been checked, and leaves the room of limits.
// Their numbers begin with first.
func (r *Racer) probe(ctx context.Context, p *plan, v *visit, req *ProbeRequest, first int) (*ProbeResult, error) {
	defer v.leave()
	if req.Rounds > 1 { // there are waits between them
		var cancel context.CancelFunc
		ctx, cancel = timed(ctx)
		defer cancel()
	}
	var probe prober
	var before *engine // of the latest round; its facts are those of the next one
	for n := range req.Rounds {
		if n > 0 && !wait(ctx, probe.next(req.Interval)) {
			probe.end, probe.run.Duration = whyLeft(ctx), time.Since(probe.run.Start)
			break
		}
		e := newEngine(r, p, v, false)
		e.run(ctx)
		probe.add(e, first+n)
		if before != nil {
			r.recycle(before)
		}
		if before = e; probe.over() {
			break
		}
		p = e.again()
	}
	r.recycle(before)
	if probe.end == sched.EndCallerLeft {
		return nil, context.Cause(ctx)
	}
	return probe.result(req), nil
}

// Watch resolves and probes again and again, one round at a time, and hands each
// result and its number, from 1, to report. It ends when ctx does, with the cause
// of that, or when report returns an error, with that. In a result that number is the
// round's everywhere. Only the first round can be refused with an *OverloadedError: a
// later one that finds the line full is put off until it is not, and its result has a
// warning of that.
// req.Rounds must be 0.
func (r *Racer) Watch(ctx context.Context, req ProbeRequest, report func(round int64, result *ProbeResult) error) error {
	if req.Rounds != 0 {
		return &RequestError{Fields: []FieldError{{"rounds", "is set; a watch has no end"}}}
	}
	ctx, cancel := timed(ctx)
	defer cancel()
	for round := int64(1); ; round++ {
		result, err := r.watchRound(ctx, req, int(round))
		if err != nil {
			return err
		}
		if err := report(round, result); err != nil {
			return err
		}
		if !wait(ctx, time.Until(result.Start.Add(result.Interval))) {
			return context.Cause(ctx)
		}
	}
}

// watchRound is one round of a watch, by its number.
func (r *Racer) watchRound(ctx context.Context, req ProbeRequest, number int) (*ProbeResult, error) {
	p, err := checkProbe(&req)
	if err != nil {
		return nil, err
	}
	if number == 1 { // a call like any other
		v, err := r.enter(p.caller)
		if err != nil {
			return nil, err
		}
		return r.probe(ctx, p, v, &req, number)
	}
	due := time.Now()
	v, crowd, err := r.reenter(ctx, p.caller, req.Interval)
	if err != nil {
		return nil, err
	}
	if crowd != nil {
		p.warnings = append(p.warnings, postponed(time.Since(due), crowd))
	}
	return r.probe(ctx, p, v, &req, number)
}

// reenter is enter for somebody who has been in before, and is not sent away because it
// has become crowded: it comes back until there is room, or ctx ends. Crowd is what it
// was told last when there was none; nil: there was room at once.
func (r *Racer) reenter(ctx context.Context, caller string, interval time.Duration) (v *visit, crowd *OverloadedError, err error) {
	for {
		v, err := r.enter(caller)
		full, ok := errors.AsType[*OverloadedError](err)
		if !ok {
			return v, crowd, err
		}
		crowd = full
		if nap := min(crowd.RetryAfter, max(interval, admit.MinRetryAfter)); !wait(ctx, nap) {
			return nil, nil, context.Cause(ctx)
		}
	}
}

// postponed is the warning of a round that was put off.
func postponed(by time.Duration, crowd *OverloadedError) Warning {
	return Warning{"interval", fmt.Sprintf("was not kept: this round was put off for %v, because too many attempts waited for %s", by.Round(time.Millisecond), crowd.Budget)}
}

// checkProbe plans the probe and puts the defaults into req.
func checkProbe(req *ProbeRequest) (*plan, error) {
	p, o, err := planProbe(req.Target, req.Selection, req.Options, req.Caller)
	p.untold = req.NoTranscript
	var c checker
	if bad, ok := errors.AsType[*RequestError](err); ok {
		c.fields = bad.Fields
	}
	req.Options = o
	req.Rounds = between(&c, "rounds", req.Rounds, DefaultRounds, 1, MaxRounds)
	req.Interval = between(&c, "interval", req.Interval, DefaultInterval, MinInterval, MaxInterval)
	if n := p.addresses() * req.Rounds; n > MaxSamples && req.Rounds <= MaxRounds {
		c.wrongf("rounds", "times addresses can be %d; allowed is %d (a name counts as %d addresses)",
			n, MaxSamples, 2*p.cfg.MaxPerAnswer)
	}
	return p, c.err()
}

// again is the plan of a further round: the addresses of this one, and nothing
// to ask. What was too much of an answer stays skipped.
func (e *engine) again() *plan {
	p := *e.plan
	p.cfg.Questions, p.asked, p.literals, p.known = nil, nil, nil, e.known
	for _, entry := range e.log {
		if a := entry.Action; a.Kind == sched.Settle && a.Skip == sched.SkipTooMany {
			p.known[a.Candidate].skip = a.Skip
		}
	}
	return &p
}

// wait returns false when ctx ends first. A round that ended at its deadline can be over
// before ctx is.
func wait(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= max(d, 0) {
		<-ctx.Done()
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// prober joins the rounds of a probe.
type prober struct {
	run        Run
	rounds     int
	last       time.Time // when the latest round began
	candidates []Candidate
	end        sched.EndReason
	told       chains
}

// next returns how long to wait for the start of the next round.
func (p *prober) next(interval time.Duration) time.Duration {
	return time.Until(p.last.Add(interval))
}

// add takes in a round by its number. All offsets are moved to the start of the first one.
func (p *prober) add(e *engine, round int) {
	candidates := e.fold(round)
	if p.rounds == 0 {
		p.run, p.candidates = e.summary(), candidates
		p.run.Transcript = nil
		p.told.begin(candidates)
	} else {
		p.join(candidates, e.start.Sub(p.run.Start))
	}
	base := e.start.Sub(p.run.Start)
	p.run.Transcript = append(p.run.Transcript, thinAll(e.transcript(round, base))...)
	p.run.Duration = base + e.took
	p.rounds, p.last = p.rounds+1, e.start
	p.ended(e.end)
}

// join appends a later round's attempts. The order of the candidates is that of
// the first round: the same facts rank the same way.
func (p *prober) join(candidates []Candidate, base time.Duration) {
	for i := range p.candidates {
		c := &p.candidates[i]
		c.Outcome = candidates[i].Outcome
		for _, a := range candidates[i].Attempts {
			c.Attempts = append(c.Attempts, a.later(base))
			p.told.thin(i, &c.Attempts[len(c.Attempts)-1])
		}
	}
}

// ended keeps the reason that says most about the whole: a round that was cut
// short is not made good by a later one that was not.
func (p *prober) ended(end sched.EndReason) {
	if p.end == sched.EndNone || end != sched.EndCompleted {
		p.end = end
	}
}

// over says that a further round makes no sense: there is nothing to probe, or
// nobody waits any more.
func (p *prober) over() bool {
	return p.end != sched.EndCompleted && p.end != sched.EndTimedOut || len(p.candidates) == 0
}

func (p *prober) result(req *ProbeRequest) *ProbeResult {
	p.run.End = p.end
	return &ProbeResult{
		Run:      p.run,
		Options:  req.Options,
		Rounds:   p.rounds,
		Interval: req.Interval,
		Report:   report(p.candidates),
	}
}
