package link

import (
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"time"
)

// route is one server address: its path, and what has become of it so far.
type route struct {
	path Path
	syns int    // how many SYNs to it since the path was set
	ways [2]way // by the side that sends
}

func newRoute(seed uint64, addr netip.Addr) *route {
	r := new(route)
	for _, from := range []Side{Client, Server} {
		r.ways[from].random = newRandom(seed, addr, from)
	}
	return r
}

// set begins anew, except for the luck: it would be the same each time. Frames
// under way can be overtaken, or a long delay would outlast its path.
func (r *route) set(p Path) {
	r.path, r.syns = p.settled(), 0
	for i := range r.ways {
		r.ways[i].last = 0
	}
}

// there decides what becomes of a frame from the client.
func (r *route) there(f *frame, l luck) Fate {
	lost := false
	if f.isSYN() {
		r.syns++
		lost = r.path.loses(r.syns)
	}
	switch {
	case r.path.State == Blackhole:
		return Blackholed
	case lost:
		return LostSYN
	case l.loses(r.path):
		return Lost
	case r.path.State == Up:
		return Underway
	case r.path.State == TCPReset && !f.resettable(), r.path.State != TCPReset && !f.answerable():
		return Blackholed
	}
	return Rejected
}

// back decides what becomes of a frame from the server.
func (r *route) back(l luck) Fate {
	switch {
	case r.path.State != Up:
		return Blackholed
	case l.loses(r.path):
		return Lost
	}
	return Underway
}

// due is when a frame that one side sends at a time leaves the link.
func (r *route) due(at time.Duration, from Side, l luck) time.Duration {
	w := &r.ways[from]
	w.last = max(w.last, at+r.path.Delay+l.jitter(r.path))
	return w.last
}

// way is one direction of a route.
type way struct {
	random *rand.Rand
	last   time.Duration // when the last frame under the present path is due
}

// newRandom makes a stream of its own for each address and direction, so that one
// address's packets don't change another's luck.
func newRandom(seed uint64, addr netip.Addr, from Side) *rand.Rand {
	name := fnv.New64a()
	bytes := addr.As16()
	_, _ = name.Write(append(bytes[:], byte(from))) // never fails
	return rand.New(rand.NewPCG(seed, name.Sum64()))
}

// luck is one packet's, in [0, 1) each.
type luck struct{ loss, time float64 }

// draw takes the same amount of luck for each packet, whatever its path needs of
// it: a packet that is lost at some Loss is lost at a higher one too.
func (w *way) draw() luck { return luck{w.random.Float64(), w.random.Float64()} }

func (l luck) loses(p Path) bool { return l.loss < p.Loss }

// jitter is in [-Jitter, Jitter).
func (l luck) jitter(p Path) time.Duration {
	return time.Duration((2*l.time - 1) * float64(p.Jitter))
}
