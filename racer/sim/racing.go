package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/connrace/connrace/internal/connect"
	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// Racing is our own scheduler with the given parameters, as a dialer. A Config
// without Questions asks for AAAA and A, and OnlyRouted is found out unless it is
// given. It panics if cfg asks for anything but A and AAAA: that is all that a
// world answers.
func Racing(name string, cfg sched.Config) Dialer {
	cfg = completed(cfg)
	return Dialer{Name: name, Dial: func(h *Host) {
		if h.racing == nil {
			h.racing = new(racing)
		}
		h.racing.begin(h, cfg, nil)
	}}
}

// Race runs our own scheduler in w and returns the race's transcript: what the
// engine and a lab are compared with. It ends early if the caller's patience does.
// As for cfg see Racing.
func Race(w World, cfg sched.Config) []sched.Entry {
	var (
		log []sched.Entry
		r   runner
	)
	r.run(&w, Dialer{Dial: func(h *Host) {
		new(racing).begin(h, completed(cfg), &log)
	}})
	return log
}

// completed fills in the questions.
func completed(cfg sched.Config) sched.Config {
	if len(cfg.Questions) == 0 {
		// RFC 8305 section 3: AAAA first, A right after.
		cfg.Questions = []sched.Question{{Name: Site, Type: sched.AAAA}, {Name: Site, Type: sched.A}}
	}
	for _, q := range slices.Concat(cfg.Questions, cfg.LastResort) {
		if q.Type != sched.A && q.Type != sched.AAAA || len(cfg.LastResort) > 0 {
			panic(fmt.Sprintf("sim: no world answers the question %s %s", q.Type, q.Name))
		}
	}
	return cfg
}

// Site is the name that races are about unless their Config has questions of its
// own. A world has one name, so it does not matter which.
const Site = "site.example"

// racing is an engine in virtual time: it carries the scheduler's actions out and
// brings the news back. All that happens at one instant goes into one Step.
type racing struct {
	host *Host
	race sched.Race
	log  *[]sched.Entry // nil: nobody wants it

	batch, spare []sched.Event
	actions      []sched.Action
	endpoints    []netip.AddrPort // by candidate
	sockets      []*Socket        // by attempt

	step *Timer
	due  time.Duration // when the next Step is
	won  bool
}

func (r *racing) begin(h *Host, cfg sched.Config, log *[]sched.Entry) {
	*r = racing{
		host: h, race: r.race, log: log,
		batch: r.batch[:0], spare: r.spare[:0], actions: r.actions[:0],
		endpoints: r.endpoints[:0], sockets: r.sockets[:0],
	}
	if cfg.OnlyRouted == addrsel.FamilyAny && cfg.Ranking.PreferredFamily == addrsel.FamilyAny {
		cfg.OnlyRouted = onlyRouted(h)
	}
	r.race.Reset(cfg)
	r.stepAt(0)
}

func onlyRouted(h *Host) addrsel.Family {
	v4, v6 := h.Routed(addrsel.FamilyIPv4), h.Routed(addrsel.FamilyIPv6)
	switch {
	case v4 == v6:
		return addrsel.FamilyAny
	case v4:
		return addrsel.FamilyIPv4
	default:
		return addrsel.FamilyIPv6
	}
}

// stepAt makes the next Step come at that time, after all other news of its
// instant, unless it comes sooner anyway.
func (r *racing) stepAt(at time.Duration) {
	if r.step != nil && !r.step.stopped {
		if r.due <= at {
			return
		}
		r.step.Stop()
	}
	r.due = at
	r.step = r.host.clock.schedule(r.host.start+at, reply, r.host)
	r.step.f = r.wake
}

func (r *racing) post(e sched.Event) {
	e.At = r.host.Now()
	r.batch = append(r.batch, e)
	r.stepAt(e.At)
}

func (r *racing) wake() {
	batch := r.batch
	r.batch, r.spare = r.spare[:0], batch
	now := r.host.Now()
	r.actions = r.race.Step(now, batch, r.actions[:0])
	if r.log != nil {
		*r.log = sched.Record(*r.log, now, batch, r.actions)
	}
	for i := range r.actions {
		r.obey(&r.actions[i])
	}
	if at, ok := r.race.Next(); ok {
		r.stepAt(max(at, now))
	}
}

func (r *racing) obey(a *sched.Action) {
	switch a.Kind {
	case sched.Query:
		r.ask(a.Question)
	case sched.Start:
		r.start(a.Attempt, r.endpoints[a.Candidate].Addr())
	case sched.Cancel:
		r.sockets[a.Attempt].Close()
		r.post(sched.Event{Kind: sched.Cancelled, Attempt: a.Attempt})
	case sched.Won:
		r.won = true
		r.host.Linger(forever) // until Finish
		r.host.Won(r.sockets[a.Attempt])
	case sched.Finish:
		r.finish()
	case sched.Settle:
	default:
		panic(fmt.Sprintf("sim: the scheduler wants what the simulator can't do: %v", a))
	}
}

// forever is longer than any run.
const forever = 1 << 60

func (r *racing) finish() {
	if !r.won {
		r.host.Failed()
		return
	}
	r.host.endAt(r.host.clock.now)
}

func (r *racing) start(attempt int, to netip.Addr) {
	r.sockets = append(r.sockets, r.host.Connect(to, func(err error) {
		if err != nil {
			r.post(sched.Event{Kind: sched.Failed, Attempt: attempt, Failure: r.classify(to, err)})
			return
		}
		r.post(sched.Event{Kind: sched.Connected, Attempt: attempt})
	}))
	r.post(sched.Event{Kind: sched.Started, Attempt: attempt})
}

// classify calls a failure what the engine calls it.
func (r *racing) classify(to netip.Addr, err error) sched.Failure {
	f := connect.Classify(err)
	if source, _ := r.host.Source(to); f.Errno == "ENETUNREACH" && !source.IsValid() {
		f.Fault, f.Text = sched.FaultHost, "this host has no route to this network; add a route, or ask from another host"
	}
	return f
}

func (r *racing) ask(question int) {
	r.host.Lookup(r.race.Question(question).Type, func(a Answer) {
		r.post(sched.Event{
			Kind: sched.Resolved, Question: question, Answer: a.Status,
			Candidates: r.introduce(a.Addrs), Failure: negative(a.Status),
		})
	})
}

// introduce gives addresses their ids, and what is known of them.
func (r *racing) introduce(addrs []netip.Addr) []sched.Candidate {
	candidates := make([]sched.Candidate, len(addrs))
	for i, addr := range addrs {
		source, bits := r.host.Source(addr)
		endpoint := netip.AddrPortFrom(addr.Unmap(), port)
		candidates[i] = sched.Candidate{
			ID: len(r.endpoints), Endpoint: endpoint,
			Source: source, SourceBits: bits, Expect: r.host.Known(addr),
		}
		r.endpoints = append(r.endpoints, endpoint)
	}
	return candidates
}

// port is where all backends listen.
const port = 443

// negative says why an answer has no addresses, in the words of a resolver.
func negative(s sched.Answer) sched.Failure {
	switch s {
	case sched.Positive:
		return sched.Failure{}
	case sched.NotFound:
		return sched.Failure{Type: "host_not_found", Text: "no such name, or it has no record of this type; if it should have one, check its spelling and its zone", Fault: sched.FaultTarget}
	default:
		return sched.Failure{Type: "try_again", Text: "the name server did not answer in time, or could not; see whether it runs and can be reached", Fault: sched.FaultPath}
	}
}
