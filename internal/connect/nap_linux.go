package connect

import "time"

// nap is a race's sleep while it has no poller. The zero value is one that nobody has
// begun. Its methods but wait need a lock.
type nap struct {
	rung    bool          // wake was called, and nobody has slept since
	sleeper chan struct{} // has room for one; nil: nobody has slept yet
}

// wake ends the nap, or the next one.
func (n *nap) wake() {
	n.rung = true
	if n.sleeper == nil {
		return
	}
	select {
	case n.sleeper <- struct{}{}:
	default: // it has been told
	}
}

// begin returns what rings.
func (n *nap) begin() <-chan struct{} {
	if n.sleeper == nil {
		n.sleeper = make(chan struct{}, 1)
	}
	if n.rung {
		n.wake()
	}
	return n.sleeper
}

// wait returns when it rings, or after that long; less than 0: without bound.
func (*nap) wait(rung <-chan struct{}, d time.Duration) {
	var expired <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-rung:
	case <-expired:
	}
}

// end forgets that wake was called, and says whether it was.
func (n *nap) end() bool {
	rung := n.rung
	n.rung = false
	select {
	case <-n.sleeper: // of nil nothing comes
	default:
	}
	return rung
}

// doze waits for Wake, or for that long; less than 0: without bound.
func (a *raw) doze(d time.Duration) {
	if a.news {
		return
	}
	a.mu.Lock()
	rung := a.nap.begin()
	a.mu.Unlock()
	a.nap.wait(rung, d)
	a.mu.Lock()
	a.nap.end()
	a.mu.Unlock()
}
