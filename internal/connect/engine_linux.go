package connect

import (
	"sync"

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
	most    int // idle sockets that may be kept
	pollers int // likewise
}

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

// try finds out whether there can be pollers at all. That there is no descriptor for one
// now says nothing.
func (e *Engine) try() {
	p, err := newPoller()
	if err != nil {
		e.unable = !descriptorsAreOut(err)
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
	return newPoller()
}

// keep takes a poller back.
func (e *Engine) keep(p *poller) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.once.Do(func() { e.most, e.pollers = idleAllowed() })
	if len(e.idle) >= e.pollers {
		p.close()
		return
	}
	for most := max(e.most-e.sockets(), 0); p.idleSockets() > most; {
		p.shed()
	}
	e.idle = append(e.idle, p)
}

func (e *Engine) sockets() int {
	n := 0
	for _, p := range e.idle {
		n += p.idleSockets()
	}
	return n
}

// idleAllowed is how many idle sockets may be kept, enough for a probe of a thousand
// addresses, and how many pollers. The sockets have no more than an eighth of this
// process's descriptors, the pollers half of that.
func idleAllowed() (sockets, pollers int) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0, 0
	}
	return int(min(limit.Cur/8, maxIdleSockets)), int(min(limit.Cur/64, maxIdlePollers))
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
