//go:build linux

package netlab

import "net/netip"

// Refuse starts a host that answers every SYN with RST: its port is bound, so
// nobody else gets it, and nobody listens. Port 0 takes any free port. It is an
// error if the port is taken or the address is not one of loopback. On systems
// other than Linux the error wraps [errors.ErrUnsupported].
func Refuse(at netip.AddrPort) (*Host, error) {
	s, err := loopback.bind(at)
	if err != nil {
		return nil, hostError("refuse", at, err)
	}
	h, err := refuseOn(s)
	if err != nil {
		_ = s.Close()
		return nil, hostError("refuse", at, err)
	}
	return h, nil
}

func refuseOn(s socket) (*Host, error) {
	if err := s.hold(); err != nil {
		return nil, err
	}
	addr, err := s.localAddr()
	if err != nil {
		return nil, err
	}
	return newHost(addr, s), nil
}
