package sim

import (
	"net/netip"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// Dialer is a program that connects, as a model.
type Dialer struct {
	// Name is what a table calls it.
	Name string

	// Dial begins: at time 0 of the host. All else happens in callbacks, which end
	// with Won or Failed. It is called for many hosts, from several goroutines at
	// once, and keeps nothing between them.
	Dial func(h *Host)
}

// Host is the client host of one run, in virtual time. Its dialer runs in one
// goroutine, and so do all callbacks.
type Host struct {
	clock   *clock
	world   *World
	luck    luck
	crowd   *crowd // who shares the backends; nil: this host is alone
	start   time.Duration
	linger  time.Duration
	sockets []*Socket
	syns    []int // to each backend
	ended   bool  // by the dialer: it has won or failed
	over    bool  // nothing happens any more
	result  Result
	racing  *racing // the memory of our own dialers
}

// Answer is what DNS says to one question.
type Answer struct {
	// Status says how the question ended. Addrs counts if it is Positive.
	Status sched.Answer

	// Addrs are in the order of the answer. They must not be changed.
	Addrs []netip.Addr
}

// Now is the time since the dialer began.
func (h *Host) Now() time.Duration { return h.clock.now - h.start }

// After calls f when d has passed, unless the run is over by then or the timer
// was stopped.
func (h *Host) After(d time.Duration, f func()) *Timer {
	t := h.clock.schedule(h.clock.now+d, news, h)
	t.f = f
	return t
}

// Lookup asks DNS for the name's records of type t, and calls answered with what
// comes back, which for a dropped question is an answer that is Broken after
// ResolverTimeout. It is never called before Lookup has returned.
func (h *Host) Lookup(t sched.RecordType, answered func(Answer)) {
	answer, delay := h.world.resolution(t).answer()
	h.After(delay, func() { answered(answer) })
}

// Source is the address that packets to that one leave from, and the length of
// its prefix in bits. The zero Addr: there is no route.
func (h *Host) Source(to netip.Addr) (netip.Addr, int) {
	p := h.world.source(to)
	if !p.IsValid() {
		return netip.Addr{}, 0
	}
	return p.Addr(), p.Bits()
}

// Routed reports whether the host has a route for the family.
func (h *Host) Routed(f addrsel.Family) bool {
	for _, p := range h.world.Client {
		if addrsel.FamilyOf(p.Addr()) == f {
			return true
		}
	}
	return false
}

// Known is what is known of how long a connect to that address takes. What it
// points to must not be changed.
func (h *Host) Known(to netip.Addr) sched.Expectation {
	if b := h.world.backend(to.Unmap()); b != nobody {
		return h.world.Backends[b].Known
	}
	return sched.Expectation{}
}

// Won hands s to the caller of the dialer: that is the result. The run ends when
// nothing happens any more at this instant, or later if Linger says so; what is
// still pending then is closed. It panics unless s is established, and after Won or
// Failed.
func (h *Host) Won(s *Socket) {
	if s.state != established || h.ended {
		panic("sim: the winner is not established, or the run has ended")
	}
	h.ended = true
	h.result.Connected, h.result.Time, h.result.Backend = true, h.Now(), s.backend
	s.state = won
	if h.crowd != nil {
		h.crowd.stay(h, s.backend)
	}
	h.endAt(h.clock.now + h.linger)
}

// Linger lets the run go on for d after Won, for a dialer whose losers may
// finish. Those that connect meanwhile were in vain. It must come before Won.
func (h *Host) Linger(d time.Duration) { h.linger = d }

// Failed says that the dialer has given up. The run ends when nothing happens any
// more at this instant. It panics after Won or Failed.
func (h *Host) Failed() {
	if h.ended {
		panic("sim: a dialer fails that has won, or failed")
	}
	h.ended = true
	h.result.Time = h.Now()
	h.endAt(h.clock.now)
}

func (h *Host) endAt(at time.Duration) { h.clock.schedule(at, end, h).f = h.finish }

// finish closes what is pending.
func (h *Host) finish() {
	for _, s := range h.sockets {
		s.Close()
	}
	h.over = true
}

// begin makes h a host of the world w whose dialer begins now, keeping its memory.
func (h *Host) begin(c *clock, w *World) {
	syns := slices.Grow(h.syns[:0], len(w.Backends))[:len(w.Backends)]
	clear(syns)
	*h = Host{
		clock: c, world: w, luck: luck(w.Seed), start: c.now,
		sockets: h.sockets[:0], syns: syns, racing: h.racing,
		result: Result{Time: w.patience(), Backend: nobody},
	}
	h.endAt(c.now + w.patience())
}
