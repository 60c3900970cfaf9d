package sim

import (
	"net/netip"
	"time"
)

// series tries addresses one after the other: the next one when one has failed or
// has had its time.
type series struct {
	host  *Host
	addrs []netip.Addr // still to try

	// share is how long the next address may take when that many are left, itself
	// included, or unlimited: as long as the kernel tries. Nil: none has a limit.
	share func(left int) time.Duration

	connected func(*Socket) // by one of them, which is the caller's then
	exhausted func()        // none is left

	socket *Socket // the one under way; nil: none
	timer  *Timer  // ends its share; nil: it has none
}

// unlimited is the share of an address that has as long as the kernel tries.
const unlimited time.Duration = 0

// next goes on to the next address.
func (s *series) next() {
	s.stop()
	left := len(s.addrs)
	if left == 0 {
		s.exhausted()
		return
	}
	s.socket = s.host.Connect(s.addrs[0], s.ended)
	s.addrs = s.addrs[1:]
	if s.share == nil {
		return
	}
	if share := s.share(left); share != unlimited {
		s.timer = s.host.After(share, s.next)
	}
}

func (s *series) ended(err error) {
	if err != nil {
		s.next()
		return
	}
	winner := s.socket
	s.socket = nil
	s.stop()
	s.connected(winner)
}

// stop gives up what is under way.
func (s *series) stop() {
	if s.socket != nil {
		s.socket.Close()
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.socket, s.timer = nil, nil
}
