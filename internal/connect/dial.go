package connect

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/connrace/connrace/internal/policy"
)

// errUnchecked is a programmer's error: the zero Allowed was dialed.
var errUnchecked = errors.New("the endpoint has not passed the destination policy")

// dialFor connects over TCP with net.Dialer, for the connections that a race wants. The
// endpoint is an address, so nothing is resolved again: what was checked is what is
// dialed. Closing the connection resets it, unless the race is polite, until its
// SetLinger says otherwise: a FIN would leave the port in TIME_WAIT on this host, and a
// prober runs out of ports that way.
func dialFor(race Race) DialFunc {
	return func(ctx context.Context, to policy.Allowed, starting func()) (net.Conn, error) {
		return dialFrom(ctx, race.Source, race.Polite, to, starting)
	}
}

func dialFrom(ctx context.Context, from Source, polite bool, to policy.Allowed, starting func()) (net.Conn, error) {
	if to == (policy.Allowed{}) {
		return nil, errUnchecked
	}
	d := net.Dialer{
		LocalAddr: from.localAddr(familyOf(to)),
		KeepAlive: -1, // a connection that carries nothing needs no probes
		ControlContext: func(_ context.Context, _, _ string, c syscall.RawConn) error {
			if !polite {
				if err := resetOnClose(c); err != nil {
					return err
				}
			}
			if err := from.applyTo(c, familyOf(to)); err != nil {
				return err
			}
			starting()
			return nil
		},
	}
	d.SetMultipathTCP(false) // one SYN, as the target's other clients send it
	return d.DialContext(ctx, "tcp", to.Endpoint().String())
}

// familyOf is 0 for IPv4 and 1 for IPv6.
func familyOf(to policy.Allowed) int {
	if to.Endpoint().Addr().Is6() {
		return 1
	}
	return 0
}
