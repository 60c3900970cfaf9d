package sim

import "time"

// clock is virtual time and what is still to come. What is due at the same
// instant comes in the order of its class, and within a class in the order in
// which it was scheduled.
type clock struct {
	now       time.Duration
	scheduled uint64
	queue     []event // a binary heap, the next one first
	timers    slab[Timer]
	sockets   slab[Socket]
}

// event is a timer at its place in the queue.
type event struct {
	at    time.Duration
	rank  uint64 // class, then the order of scheduling
	timer *Timer
}

// class orders what happens at one instant.
type class uint64

const (
	news   class = iota // of the network, and the timers of a dialer
	reply               // to all news of the instant
	kernel              // its timers, which fire a little late and never early
	end                 // of a run, when nothing happens any more at the instant
)

// Timer is something that is to happen. It belongs to its run.
type Timer struct {
	host    *Host
	f       func()
	socket  *Socket // the kernel's timer; f is nil then
	what    kernelEvent
	stopped bool
}

// Stop keeps it from happening, if it hasn't yet.
func (t *Timer) Stop() { t.stopped = true }

// reset goes back to the beginning of time, when nothing is to come.
func (c *clock) reset() {
	c.now, c.scheduled = 0, 0
	c.queue = c.queue[:0]
	c.timers.reset()
	c.sockets.reset()
}

// schedule makes a timer of h for the time at.
func (c *clock) schedule(at time.Duration, k class, h *Host) *Timer {
	t := c.timers.next()
	t.host = h
	c.scheduled++
	c.push(event{at: max(at, c.now), rank: uint64(k)<<62 | c.scheduled, timer: t})
	return t
}

// advance lets the next thing happen, unless it was stopped, and reports whether
// there was one.
func (c *clock) advance() bool {
	if len(c.queue) == 0 {
		return false
	}
	e := c.pop()
	t := e.timer
	if t.stopped || t.host.over {
		return true // nothing happens, so no time passes
	}
	c.now, t.stopped = e.at, true
	if t.socket != nil {
		t.socket.happens(t.what)
	} else {
		t.f()
	}
	return true
}

func (e event) before(other event) bool {
	return e.at < other.at || e.at == other.at && e.rank < other.rank
}

func (c *clock) push(e event) {
	c.queue = append(c.queue, e)
	i := len(c.queue) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(c.queue[parent]) {
			break
		}
		c.queue[i] = c.queue[parent]
		i = parent
	}
	c.queue[i] = e
}

func (c *clock) pop() event {
	first := c.queue[0]
	last := len(c.queue) - 1
	e := c.queue[last]
	c.queue = c.queue[:last]
	if last > 0 {
		c.sink(e)
	}
	return first
}

// sink puts e, for which the root is free, at its place.
func (c *clock) sink(e event) {
	i := 0
	for {
		child := 2*i + 1
		if child >= len(c.queue) {
			break
		}
		if child+1 < len(c.queue) && c.queue[child+1].before(c.queue[child]) {
			child++
		}
		if !c.queue[child].before(e) {
			break
		}
		c.queue[i] = c.queue[child]
		i = child
	}
	c.queue[i] = e
}

// slab hands out zero values one by one and takes all of them back at once, so
// that the next run costs no memory.
type slab[T any] struct {
	chunks [][]T
	used   int
}

const chunk = 32

func (s *slab[T]) next() *T {
	if s.used == len(s.chunks)*chunk {
		s.chunks = append(s.chunks, make([]T, chunk))
	}
	p := &s.chunks[s.used/chunk][s.used%chunk]
	s.used++
	var zero T
	*p = zero
	return p
}

func (s *slab[T]) reset() { s.used = 0 }
