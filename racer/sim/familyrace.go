package sim

import (
	"net/netip"
	"time"
)

// familyRace is the shape of RFC 6555: the addresses of one family are tried one
// after the other, and beside them those of the other family, which follow after a
// head start, or when all of the first have failed.
type familyRace struct {
	host      *Host
	headStart time.Duration
	share     func(left int) time.Duration // as in series

	connected func(*Socket) // by one of them; all else is stopped
	exhausted func()        // all addresses have failed

	first, second series
	head          *Timer // ends the head start; nil: there is no second family
	trying        int    // families with an address left
}

// begin begins. Without an address it is exhausted at once.
func (r *familyRace) begin(first, second []netip.Addr) {
	r.trying = 1
	r.first = series{host: r.host, addrs: first, share: r.share, connected: r.won, exhausted: r.firstFailed}
	r.second = series{host: r.host, addrs: second, share: r.share, connected: r.won, exhausted: r.familyFailed}
	if len(second) > 0 {
		r.trying = 2
		r.head = r.host.After(r.headStart, r.second.next)
	}
	r.first.next()
}

func (r *familyRace) won(s *Socket) {
	r.stop()
	r.connected(s)
}

func (r *familyRace) firstFailed() {
	if r.head != nil && !r.head.stopped {
		r.head.Stop()
		r.second.next()
	}
	r.familyFailed()
}

func (r *familyRace) familyFailed() {
	if r.trying--; r.trying == 0 {
		r.exhausted()
	}
}

// stop gives up all that is under way.
func (r *familyRace) stop() {
	r.first.stop()
	r.second.stop()
	if r.head != nil {
		r.head.Stop()
	}
}
