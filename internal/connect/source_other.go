//go:build !linux

package connect

import (
	"net"
	"syscall"
)

// applyTo prepares a socket that has not connected yet.
func (s Source) applyTo(syscall.RawConn, int) error {
	switch {
	case s.Interface != "":
		return unsupported("interface")
	case s.Mark != 0:
		return unsupported("mark")
	case s.DSCP != 0:
		return unsupported("DSCP")
	}
	return nil
}

// localAddr is what to bind to; nil: nothing.
func (s Source) localAddr(family int) net.Addr {
	addr := s.address(family)
	if !addr.IsValid() {
		return nil
	}
	return &net.TCPAddr{IP: addr.AsSlice(), Zone: addr.Zone()}
}

func unsupported(what string) error {
	return &sourceError{text: "the " + what + " of packets cannot be chosen on this system; leave it out, or run on Linux"}
}
