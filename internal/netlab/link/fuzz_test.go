package link

import (
	"bytes"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
)

// script is what the fuzzer has said, byte by byte; at its end there are zeros.
type script struct{ bytes []byte }

func (s *script) next() int {
	if len(s.bytes) == 0 {
		return 0
	}
	b := s.bytes[0]
	s.bytes = s.bytes[1:]
	return int(b)
}

func (s *script) addr() netip.Addr { return []netip.Addr{server4, server6, other4}[s.next()%3] }

// path is any, right or wrong.
func (s *script) path(addr netip.Addr) Path {
	states := append(States(addr), "", "no such")
	p := Path{
		Delay: time.Duration(s.next()) * 300 * ms, // may be too long
		Loss:  []float64{0, 0.1, 0.5, 1, 2, math.NaN()}[s.next()%6],
		State: states[s.next()%len(states)],
	}
	p.Jitter = p.Delay * time.Duration(s.next()%6) / 4 // may be too much
	if n := s.next() % 4; n > 0 {
		p.LoseSYN = []int{n, 2*n - 1}
	}
	return p
}

// FuzzEmulator has a script of paths, frames and time, with one frame of the
// fuzzer's own and some right ones with a byte that may be wrong. Whatever they
// are, nothing panics; a frame in is a frame out at most; what leaves is either a
// frame that came, unchanged and not before its time, or an answer that is right
// in itself and is never answered in turn; the log agrees.
func FuzzEmulator(f *testing.F) {
	for _, server := range []netip.Addr{server4, server6} {
		for _, flags := range []string{"S", "SA", "A", "FA", "R", ""} {
			f.Add(uint64(1), []byte("\x00\x00\x01\x02\x03\x04\x05\x20\x11\x22\x33\x44"), tcp(server, flags).frame())
		}
		f.Add(uint64(2), []byte("\x01\x00\x00\x01\x00\x00\x00\x01\x00\x00\x01\x00\x01"), udp(server, 100).frame())
	}
	f.Add(uint64(3), []byte("\x01\x00\x01\x01"), icmp6(server6, 128, 0).frame())
	f.Add(uint64(4), []byte("\x01\x00\x01\x01"), icmp4(server4, 3, 1).frame())
	f.Add(uint64(5), []byte("\x01\x00\x01\x01"), fragment6(8, true).frame())
	f.Add(uint64(6), []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, seed uint64, said []byte, own []byte) {
		run := newFuzzRun(t, seed)
		s := &script{said}
		for len(s.bytes) > 0 {
			switch s.next() % 4 {
			case 0:
				run.set(s.addr(), s)
			case 1:
				run.arrive(Side(s.next()%2), own)
			case 2:
				run.arrive(Side(s.next()%2), s.frame())
			case 3:
				run.pass(time.Duration(s.next()*s.next()) * ms)
			}
		}
		run.arrive(Client, own)
		run.arrive(Server, own)
		run.pass(time.Hour)
		run.check()
	})
}

// frame is a right one with one byte changed, perhaps to the same.
func (s *script) frame() []byte {
	server := s.addr()
	all := []packet{
		tcp(server, "S"), tcp(server, "SA").reversed(), tcp(server, "A"), tcp(server, "FA"), tcp(server, "R").reversed(),
		udp(server, 300), udp(server, 900).reversed(),
		tcp(server6, "").upper(&layers.ICMPv6{TypeCode: layers.ICMPv6TypeCode(s.next() << 8)}),
		fragment6(uint16(s.next()), true), icmp4(server4, uint8(s.next()), 3),
	}
	raw := all[s.next()%len(all)].frame()
	raw[(s.next()*256+s.next())%len(raw)] ^= byte(s.next())
	return raw
}

type fuzzRun struct {
	t    *testing.T
	e    *Emulator
	now  time.Duration
	came []came
}

// came is a frame that was given to the emulator.
type came struct {
	at   time.Duration
	from Side
	raw  []byte
	path Path // of its address then; unknown if State is empty
	left bool
}

func newFuzzRun(t *testing.T, seed uint64) *fuzzRun {
	cfg := Config{Seed: seed, Router4: router4, Router6: router6}
	return &fuzzRun{t: t, e: New(cfg), now: time.Hour}
}

func (r *fuzzRun) set(addr netip.Addr, s *script) {
	p := s.path(addr)
	if err := r.e.Set(addr, p); (err == nil) != (p.Check(addr) == nil) {
		r.t.Fatalf("Set %+v: %v", p, err)
	}
}

func (r *fuzzRun) arrive(from Side, raw []byte) {
	kept := bytes.Clone(raw)
	before := r.waiting()
	r.e.Arrive(r.now, from, raw)
	if !bytes.Equal(raw, kept) {
		r.t.Fatal("the caller's frame has changed")
	}
	if r.waiting() > before+1 {
		r.t.Fatalf("a frame became %d", r.waiting()-before)
	}
	c := came{at: r.now, from: from, raw: kept}
	if f := new(frame); f.decode(raw) {
		server := f.dst
		if from == Server {
			server = f.src
		}
		if known := r.e.routes[server]; known != nil {
			c.path = known.path
		}
	}
	r.came = append(r.came, c)
}

func (r *fuzzRun) waiting() int { return len(r.e.queues[Client].heap) + len(r.e.queues[Server].heap) }

// pass lets time pass in one step, so that frames leave late.
func (r *fuzzRun) pass(d time.Duration) {
	r.now += d
	last := time.Duration(-1)
	for {
		due, ok := r.e.Next()
		if !ok || due > r.now {
			if r.e.Leave(r.now, r.send) {
				r.t.Fatal("a frame leaves before its time")
			}
			return
		}
		if due < last {
			r.t.Fatalf("due at %v after one at %v", due, last)
		}
		last = due
		if !r.e.Leave(r.now, func(to Side, raw []byte) error { return r.leave(due, to, raw) }) {
			r.t.Fatal("a frame stays after its time")
		}
	}
}

func (r *fuzzRun) send(Side, []byte) error { return nil }

// leave finds out what it is that leaves: the first of the same that came, or
// else an answer.
func (r *fuzzRun) leave(due time.Duration, to Side, raw []byte) error {
	for i := range r.came {
		c := &r.came[i]
		if c.left || c.from == to || !bytes.Equal(c.raw, raw) || c.path.State != Up {
			continue
		}
		if least := c.at + c.path.Delay - c.path.Jitter; due < least && !r.another(i, due) {
			r.t.Fatalf("due at %v, after %v at the earliest", due, least)
		}
		c.left = true
		return nil
	}
	if to != Client {
		r.t.Fatalf("nobody sent what goes to the server: % x", raw)
	}
	r.answer(raw)
	return nil
}

// another reports whether a later one of the same frames may leave at due.
func (r *fuzzRun) another(i int, due time.Duration) bool {
	return slices.ContainsFunc(r.came[i+1:], func(c came) bool {
		return !c.left && bytes.Equal(c.raw, r.came[i].raw) && due >= c.at+c.path.Delay-c.path.Jitter
	})
}

// answer is right in itself, and nobody answers it: neither where errors are the
// rule nor, if it is one, a reset.
func (r *fuzzRun) answer(raw []byte) {
	s := look(r.t, raw)
	states := []State{TCPReset}
	if s.protocol != 6 {
		states = append(states, AdminProhibited)
	}
	for _, state := range states {
		h := newHarness(r.t, Config{})
		if s.dst.IsMulticast() || s.dst == broadcast {
			r.t.Fatalf("an answer to %v", s.dst)
		}
		h.set(s.dst, Path{State: state})
		h.e.Arrive(0, Client, raw)
		if out := h.end(); len(out) != 0 {
			r.t.Fatalf("an answer is answered: % x", raw)
		}
	}
}

func (r *fuzzRun) check() {
	if due, ok := r.e.Next(); ok {
		r.t.Fatalf("a frame waits until %v", due)
	}
	if n := r.e.queues[Client].bytes + r.e.queues[Server].bytes; n != 0 {
		r.t.Fatalf("%d bytes wait", n)
	}
	packets, _ := r.e.Packets(math.MaxInt64)
	for _, p := range packets {
		if p.Fate == Underway || (p.Fate == Delivered) != (p.Arrived != 0) || p.Arrived != 0 && p.Arrived < p.Sent {
			r.t.Fatalf("the log has %+v", p)
		}
		if p.Forged && p.By == Client || p.Kind == "" || !p.From.IsValid() || !p.To.IsValid() {
			r.t.Fatalf("the log has %+v", p)
		}
	}
	for _, late := range r.e.Lateness() {
		if late < 0 {
			r.t.Fatalf("a frame left %v early", -late)
		}
	}
	Tallies(packets)
}
