package connect

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Engine makes attempts on raw sockets, and keeps sockets for the next race: one
// that was given up, or that nobody wanted, is dissolved and used again. The zero
// value is ready to use; it may be used by many goroutines.
type Engine struct {
	mu   sync.Mutex
	idle []*poller

	tried  sync.Once
	unable bool // there can be no pollers

	once    sync.Once
	pollers int // that may be kept
	stock   stock
}

// stock counts the idle sockets of all pollers, those in use included: a race may wait
// long for one attempt while the sockets of all others are idle.
type stock struct {
	most int64
	idle atomic.Int64
}

// add says whether there is room for one more, and counts it.
func (s *stock) add() bool {
	if s.idle.Add(1) > s.most {
		s.idle.Add(-1)
		return false
	}
	return true
}

func (s *stock) remove(n int) { s.idle.Add(-int64(n)) }

// maxIdlePollers bounds what is kept when many races have been run side by side. Each
// has four descriptors.
const maxIdlePollers = 128

// Attempts returns an empty set of attempts. Where a sandbox forbids what they need, they
// are those of net.Dialer.
func (e *Engine) Attempts(race Race) Attempts {
	e.tried.Do(e.try)
	if e.unable {
		return Portable(race, nil)
	}
	a := &raw{race: race, engine: e}
	if race.Stage != nil {
		a.crew = newCrew(race, a.Wake)
	}
	a.ready = func(uintptr) bool { return a.look() }
	return a
}

// try finds out whether there can be pollers at all. What is short now says nothing.
func (e *Engine) try() {
	p, err := e.poller()
	if err != nil {
		e.unable = errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSYS) || errors.Is(err, os.ErrNoDeadline)
		return
	}
	e.keep(p)
}

func (e *Engine) poller() (*poller, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.idle); n > 0 {
		p := e.idle[n-1]
		e.idle = e.idle[:n-1]
		_ = p.reserve() // one that could not be had then may be there now
		return p, nil
	}
	e.once.Do(func() { e.stock.most, e.pollers = idleAllowed() })
	return newPoller(&e.stock)
}

// keep takes a poller back.
func (e *Engine) keep(p *poller) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.idle) >= e.pollers {
		p.close()
		return
	}
	e.idle = append(e.idle, p)
}

// idleAllowed is how many idle sockets may be kept, enough for a probe of a thousand
// addresses, and how many pollers. The sockets have no more than an eighth of this
// process's descriptors, the pollers half of that.
func idleAllowed() (sockets int64, pollers int) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0, 0
	}
	return int64(min(limit.Cur/8, maxIdleSockets)), int(min(limit.Cur/64, maxIdlePollers))
}

// Close closes the sockets that are kept. The engine may be used after that, and
// keeps sockets again.
func (e *Engine) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.idle {
		p.close()
	}
	e.idle = nil
}
