package sim

import (
	"net/netip"
	"time"
)

// Oracle is a lower bound of what any dialer needs in w: the time of a client that
// knows which address is the best one, starts it as soon as DNS brings it, and
// loses no packet. ok is false if not even that client connects before the
// caller's patience ends.
func (w *World) Oracle() (best time.Duration, ok bool) {
	for _, r := range []*Resolution{&w.AAAA, &w.A} {
		answer, delay := r.answer()
		for _, addr := range answer.Addrs {
			reachable, roundTrip := w.reach(addr)
			if t := delay + roundTrip; reachable && (!ok || t < best) {
				best, ok = t, true
			}
		}
	}
	return best, ok && best <= w.patience()
}

// reach says whether a connect to addr can succeed, and how long it takes at
// the least.
func (w *World) reach(addr netip.Addr) (bool, time.Duration) {
	i := w.backend(addr.Unmap())
	if i == nobody || !w.source(addr).IsValid() {
		return false, 0
	}
	b := &w.Backends[i]
	return b.State == Up && b.Loss < 1, b.floor()
}
