package racer

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// Sharing says how callers shared a race. What a result refers to is then theirs
// together: it is to be read only.
type Sharing struct {
	// Joined is when this caller joined, since Run.Start; 0 for the one that began it.
	Joined time.Duration
	// Callers have shared it up to this result, those that have left included.
	Callers int
}

// shares are the races under way that callers may join, by what they ask for.
type shares struct {
	mu     sync.Mutex
	byWhat map[string][]*share
}

// share is a race that several callers wait for. It goes on until it is over or the
// last of them has left.
type share struct {
	what  string
	roots *x509.CertPool // what can't stand in what
	race  *engine
	stop  context.CancelFunc

	callers int // who wait; guarded by shares.mu
	joined  int // who have waited; guarded by shares.mu

	over   chan struct{} // closed: result or fault is there
	result *RaceResult   // nil: all have left
	fault  error         // a panic, with its stack: every caller gets it
}

// shared joins the race that was asked for in the same way, or begins one.
func (r *Racer) shared(ctx context.Context, req *RaceRequest, p *plan) (*RaceResult, error) {
	ctx, cancel := timed(ctx)
	defer cancel()
	if ctx.Err() != nil && whyLeft(ctx) == sched.EndCallerLeft {
		return nil, context.Cause(ctx) // a race would begin and be stopped
	}
	untold := p.untold
	p.untold = false // another caller may want the transcript
	s, joined, err := r.join(ctx, req, p)
	if err != nil {
		return nil, err
	}
	defer r.leave(s)
	var result *RaceResult
	select {
	case <-s.over:
		result = s.outcome()
	case <-ctx.Done():
		if whyLeft(ctx) == sched.EndCallerLeft {
			return nil, context.Cause(ctx)
		}
		result = s.soFar()
	}
	result = r.told(s, result, joined)
	if untold {
		result.Transcript = nil
	}
	return result, nil
}

func (r *Racer) join(ctx context.Context, req *RaceRequest, p *plan) (s *share, joined time.Duration, err error) {
	what, roots := identity(req, p)
	r.shares.mu.Lock()
	defer r.shares.mu.Unlock()
	for _, s := range r.shares.byWhat[what] {
		if roots.Equal(s.roots) {
			s.callers++
			s.joined++
			return s, s.race.now(), nil
		}
	}
	v, err := r.enter(p.caller)
	if err != nil {
		return nil, 0, err
	}
	// The race outlives the caller that began it, but keeps the values of its context.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s = &share{
		what: what, roots: roots, race: newEngine(r, p, v, false), stop: stop,
		callers: 1, joined: 1, over: make(chan struct{}),
	}
	if r.shares.byWhat == nil {
		r.shares.byWhat = make(map[string][]*share)
	}
	r.shares.byWhat[what] = append(r.shares.byWhat[what], s)
	go r.carry(running, s)
	return s, 0, nil
}

// carry runs a shared race. A panic is for the callers: each has somebody who catches
// it, and this goroutine has not.
func (r *Racer) carry(ctx context.Context, s *share) {
	defer close(s.over)
	defer s.race.visit.leave()
	defer func() {
		r.shares.mu.Lock()
		defer r.shares.mu.Unlock()
		r.shares.remove(s)
	}()
	defer func() {
		if v := recover(); v != nil {
			s.fault = fmt.Errorf("%v\n%s", v, debug.Stack())
		}
	}()
	if s.race.run(ctx); s.race.end != sched.EndCallerLeft {
		s.result = s.race.result()
	}
}

// leave lets a caller go. Without any the race is stopped.
func (r *Racer) leave(s *share) {
	r.shares.mu.Lock()
	s.callers--
	last := s.callers == 0
	if last {
		r.shares.remove(s) // nobody is to join what is about to end
	}
	r.shares.mu.Unlock()
	if last {
		s.stop()
		<-s.over
	}
}

// remove lets nobody join any more.
func (all *shares) remove(s *share) {
	rest := slices.DeleteFunc(all.byWhat[s.what], func(other *share) bool { return other == s })
	if len(rest) == 0 {
		delete(all.byWhat, s.what)
		return
	}
	all.byWhat[s.what] = rest
}

// told is the result as one of the callers gets it.
func (r *Racer) told(s *share, result *RaceResult, joined time.Duration) *RaceResult {
	r.shares.mu.Lock()
	defer r.shares.mu.Unlock()
	mine := *result
	// One may join while the last connections of a race that is over are closed.
	mine.Sharing = &Sharing{Joined: min(joined, mine.Duration), Callers: s.joined}
	return &mine
}

// outcome is that of a race which is over.
func (s *share) outcome() *RaceResult {
	if s.fault != nil {
		panic(s.fault)
	}
	return s.result
}

// soFar is how the race stands: what a caller gets that can't wait for its end.
func (s *share) soFar() *RaceResult {
	standing := make(chan *engine, 1)
	s.race.inbox.post(news{wanted: standing})
	s.race.attempts.Wake()
	select {
	case e := <-standing:
		return e.result()
	case <-s.over:
		return s.outcome()
	}
}

// identity is what requests have in common that may share a race: all but who asks.
// The warnings are about what was asked for and not about what is in effect, so that
// they are part of it.
func identity(req *RaceRequest, p *plan) (what string, roots *x509.CertPool) {
	same := struct {
		Target    Target
		Selection Selection
		Options   Options
		Warnings  []Warning
		Texts     [][]byte
	}{req.Target, p.selection, p.options, p.warnings, texts(req)}
	if tls := same.Options.Criterion.TLS; tls != nil {
		without := *tls
		roots, without.Roots = tls.Roots, nil
		same.Options.Criterion.TLS = &without
	}
	text, err := json.Marshal(same) //nolint:musttag // it is compared and never read
	if err != nil {
		panic(err) // all of it is plain data
	}
	return string(text), roots
}

// texts are what a caller may have put any bytes into: JSON makes one and the same of
// all that are not UTF-8.
func texts(req *RaceRequest) [][]byte {
	all := [][]byte{[]byte(req.Target.Name), []byte(req.Options.Source.Interface)}
	for i := range req.Target.Candidates {
		spec := &req.Target.Candidates[i]
		all = append(all, []byte(spec.Endpoint), []byte(spec.Label))
	}
	if tls := req.Options.Criterion.TLS; tls != nil {
		for _, protocol := range tls.ALPN {
			all = append(all, []byte(protocol))
		}
	}
	return all
}
