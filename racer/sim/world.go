package sim

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// World is one client host, the name it connects to, and all that the network
// will do. It is plain values: two dialers in the same world meet the same luck.
type World struct {
	// Name is what a table calls it. Worlds of the same name share a row. May be
	// empty.
	Name string

	// Seed is the luck of loss and jitter. Default 0, a seed like any other.
	Seed uint64

	// Kernel is that of the client host. Default LinearSYN, today's.
	Kernel Kernel

	// Patience is how long the caller of a dialer waits for it. Default
	// DefaultPatience.
	Patience time.Duration

	// Client holds the client host's address and prefix length, at most one for
	// each family. The host has no route for a family that is left out.
	Client []netip.Prefix

	// A and AAAA are what DNS says to questions for the two types.
	A, AAAA Resolution

	// Backends are who is there. No address is in two of them; an address that
	// none of them has is as silent as one that is Silent.
	Backends []Backend
}

// DefaultPatience is that of callers: the timeout of the dialer of Go's
// http.DefaultTransport.
const DefaultPatience = 30 * time.Second

func (w *World) patience() time.Duration {
	if w.Patience > 0 {
		return w.Patience
	}
	return DefaultPatience
}

// Resolution is how DNS answers questions of one type, each alike.
type Resolution struct {
	// Delay is the time from the question to the answer. At least 0.
	Delay time.Duration

	// Status says how the question ends. Default Positive.
	Status sched.Answer

	// Addrs are the addresses of a Positive answer, in its order; with none of them
	// the answer is NotFound.
	Addrs []netip.Addr

	// Dropped leaves the question without an answer. The resolver of the client
	// host gives up after ResolverTimeout; Delay, Status and Addrs do not count.
	Dropped bool
}

// ResolverTimeout is how long the resolver of a client host waits before it says
// that a question cannot be answered: two attempts of 5 s each, what resolv.conf
// has by default.
const ResolverTimeout = 10 * time.Second

// answer is what the client gets, and how long after its question.
func (r *Resolution) answer() (Answer, time.Duration) {
	switch {
	case r.Dropped:
		return Answer{Status: sched.Broken}, ResolverTimeout
	case r.Status != sched.Positive:
		return Answer{Status: r.Status}, r.Delay
	case len(r.Addrs) == 0:
		return Answer{Status: sched.NotFound}, r.Delay
	default:
		return Answer{Addrs: r.Addrs}, r.Delay
	}
}

// Backend is one address behind the name, and the way to it.
type Backend struct {
	// Addr is where it is.
	Addr netip.Addr

	// RTT is the time from a SYN to what it is answered with, on average. At least 0.
	RTT time.Duration

	// Jitter is how far each of the two ways may be off half of RTT, to both sides,
	// evenly spread. 0 to half of RTT. Packets do not keep their order.
	Jitter time.Duration

	// Loss is the probability of each packet to be lost, each way. 0 to 1.
	Loss float64

	// LoseSYN are the SYNs to this backend that are lost, whatever Loss is: 1 is the
	// first one of a run. Those the kernel sends again count.
	LoseSYN []int

	// State is what becomes of SYNs that are not lost. Default Up.
	State State

	// Errno is what a connect fails with if State is Unreachable. Default
	// EHOSTUNREACH.
	Errno syscall.Errno

	// Slowdown is what each connection that the backend holds adds to the time of
	// its answers. It matters where many clients share the backends: see Crowd.
	// Default 0.
	Slowdown time.Duration

	// Known is what a history would say of this address: see sched.Learn. It need not be
	// true any more. The zero value: nothing is known.
	Known sched.Expectation
}

// State is what a backend does with SYNs.
type State uint8

const (
	// Up accepts connections.
	Up State = iota
	// Refusing answers with RST: ECONNREFUSED.
	Refusing
	// Unreachable is answered for by a router, with an ICMP error: Backend.Errno.
	Unreachable
	// Silent never answers: a blackhole.
	Silent
)

var stateNames = []string{"up", "refusing", "unreachable", "silent"}

// String returns a stable word such as "refusing".
func (s State) String() string { return word(stateNames, int(s)) }

// failure is what a connect gets from a backend that answers; nil: it is up.
func (b *Backend) failure() error {
	switch {
	case b.State == Refusing:
		return syscall.ECONNREFUSED
	case b.State == Unreachable && b.Errno != 0:
		return b.Errno
	case b.State == Unreachable:
		return syscall.EHOSTUNREACH
	default:
		return nil
	}
}

// resolution is what DNS says to questions of type t.
func (w *World) resolution(t sched.RecordType) *Resolution {
	if t == sched.A {
		return &w.A
	}
	return &w.AAAA
}

// source is the address that packets to addr leave from; the zero Prefix: there
// is no route.
func (w *World) source(addr netip.Addr) netip.Prefix {
	for _, p := range w.Client {
		if addrsel.FamilyOf(p.Addr()) == addrsel.FamilyOf(addr) {
			return p
		}
	}
	return netip.Prefix{}
}

// backend is the index of who is at addr, or nobody.
func (w *World) backend(addr netip.Addr) int {
	for i := range w.Backends {
		if w.Backends[i].Addr == addr {
			return i
		}
	}
	return nobody
}

// nobody is the index of no backend.
const nobody = -1
