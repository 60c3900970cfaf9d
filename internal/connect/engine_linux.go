package connect

import "sync"

// Engine makes attempts on raw sockets, and keeps sockets for the next race: one
// that was given up, or that nobody wanted, is dissolved and used again. The zero
// value is ready to use; it may be used by many goroutines.
type Engine struct {
	mu   sync.Mutex
	idle []*poller
}

// What is kept when many races have been run side by side, or large ones: an idle
// socket takes about 4 KB of the kernel's memory, and a descriptor.
const (
	maxIdlePollers    = 32
	maxIdleSocketsAll = 1024 // of all pollers
)

// Attempts returns an empty set of attempts. A host that is out of descriptors gets
// those of net.Dialer, whose errors say so.
func (e *Engine) Attempts(race Race) Attempts {
	p, err := e.poller()
	if err != nil {
		return Portable(race, nil)
	}
	a := &raw{race: race, engine: e, poller: p, flights: p.flights[:0]}
	if race.Stage != nil {
		a.crew = newCrew(race, a.Wake)
	}
	a.ready = func(uintptr) bool { return a.look() }
	return a
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
	if len(e.idle) >= maxIdlePollers || e.sockets()+p.idleSockets() > maxIdleSocketsAll {
		p.close()
		return
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
