package sim

import (
	"net/netip"
	"syscall"
	"time"
)

// Socket is one TCP connect, and the connection it becomes.
type Socket struct {
	host    *Host
	backend int // or nobody
	done    func(error)
	state   socketState
	opened  time.Duration // when the first SYN left
	sent    int           // SYNs
	timer   *Timer        // of the next SYN, or of giving up
	answer  *Timer        // the soonest one under way, if there is one
	due     time.Duration // when that comes
}

type socketState uint8

const (
	pending socketState = iota
	established
	won
	failed
	closed
)

// kernelEvent is what a kernel's timer is about.
type kernelEvent uint8

const (
	sendSYN kernelEvent = iota
	giveUp
	answered
	noRoute
)

// class is that of the network's news, or that of a timer.
func (e kernelEvent) class() class {
	if e == sendSYN || e == giveUp {
		return kernel
	}
	return news
}

// Connect begins to connect: the SYN leaves now, and the kernel repeats it. done
// is called at most once, and never before Connect has returned: with nil when the
// connection is established, else with a syscall.Errno: ECONNREFUSED, EHOSTUNREACH
// (or what else a router said), ETIMEDOUT, or ENETUNREACH at once if there is no
// route.
func (h *Host) Connect(to netip.Addr, done func(error)) *Socket {
	to = to.Unmap()
	s := h.clock.sockets.next()
	*s = Socket{host: h, backend: h.world.backend(to), done: done, opened: h.clock.now}
	h.sockets = append(h.sockets, s)
	if !h.world.source(to).IsValid() {
		s.timer = s.schedule(h.clock.now, noRoute)
		return s
	}
	s.send()
	return s
}

// Close gives the socket up: done will not be called any more. One that is pending
// ends silently, one that is established was in vain. It may be called again, and
// after a failure, or for the winner, which stays the caller's.
func (s *Socket) Close() {
	switch s.state {
	case pending:
		if s.underway() {
			s.host.result.HalfOpen++
		}
		s.silence()
		s.state = closed
	case established:
		s.state = closed
		s.host.release(s.backend)
	}
}

// underway says that the answer of a backend that accepts is on its way: for that
// backend the connection exists already, and a RST will end it.
func (s *Socket) underway() bool {
	return s.answer != nil && !s.answer.stopped && s.host.world.Backends[s.backend].State == Up
}

// silence stops the kernel's timers.
func (s *Socket) silence() {
	s.timer.Stop()
	if s.answer != nil {
		s.answer.Stop()
	}
}

// happens is what the kernel does when one of its timers fires.
func (s *Socket) happens(e kernelEvent) {
	switch e {
	case sendSYN:
		s.send()
	case giveUp:
		s.end(syscall.ETIMEDOUT)
	case noRoute:
		s.end(syscall.ENETUNREACH)
	case answered:
		s.end(s.host.world.Backends[s.backend].failure())
	}
}

// end tells the dialer how it went.
func (s *Socket) end(err error) {
	s.silence()
	s.state = failed
	if err == nil {
		s.state = established
		s.host.result.Established++
		s.host.hold(s.backend)
	}
	s.done(err)
}

// send lets a SYN leave, and sets the time of the next one.
func (s *Socket) send() {
	h := s.host
	h.result.SYNs++
	if s.backend != nobody {
		s.travel()
	}
	repeats := h.world.Kernel.repeats()
	if s.sent < len(repeats) {
		s.timer = s.schedule(s.opened+repeats[s.sent], sendSYN)
	} else {
		s.timer = s.schedule(s.opened+h.world.Kernel.giveUp(), giveUp)
	}
	s.sent++
}

// travel is the way of a SYN to its backend and of the answer back.
func (s *Socket) travel() {
	h, b := s.host, &s.host.world.Backends[s.backend]
	h.syns[s.backend]++
	n := h.syns[s.backend]
	if b.State == Silent || h.luck.lost(b, s.backend, n) {
		return
	}
	due := h.clock.now + h.luck.roundTrip(b, s.backend, n) + h.queueing(s.backend)
	if s.answer != nil && s.due <= due {
		return // an earlier SYN is answered sooner
	}
	if s.answer != nil {
		s.answer.Stop()
	}
	s.answer, s.due = s.schedule(due, answered), due
}

func (s *Socket) schedule(at time.Duration, what kernelEvent) *Timer {
	t := s.host.clock.schedule(at, what.class(), s.host)
	t.socket, t.what = s, what
	return t
}
