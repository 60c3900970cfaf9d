package connect

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/rawsock"
)

// maxDSCP is the highest that six bits hold (RFC 2474 section 3).
const maxDSCP = 63

// applyTo prepares a socket of the family that has not connected yet.
func (s Source) applyTo(c syscall.RawConn, family int) error {
	if s == (Source{}) {
		return nil
	}
	var err error
	if failed := c.Control(func(fd uintptr) { err = s.apply(int(fd), family) }); failed != nil {
		return failed
	}
	return err
}

// localAddr is nil: apply binds, without a port.
func (s Source) localAddr(int) net.Addr { return nil }

// apply prepares a socket. The interface comes before the address, which may be one
// of the interface only (RFC 4007).
func (s Source) apply(fd, family int) error {
	if err := s.leaveThrough(fd); err != nil {
		return err
	}
	if err := s.mark(fd, family); err != nil {
		return err
	}
	return s.bind(fd, family)
}

func (s Source) leaveThrough(fd int) error {
	if s.Interface == "" {
		return nil
	}
	err := rawsock.LeaveThrough(fd, s.Interface)
	switch {
	case errors.Is(err, unix.ENODEV):
		return refusal(err, "this host has no interface %q; give one that `ip link` lists", s.Interface)
	case errors.Is(err, unix.EPERM):
		return refusal(err, "interface %q may not be chosen; give this process CAP_NET_RAW", s.Interface)
	}
	return refusal(err, "interface %q cannot be chosen: %v; give another, or none", s.Interface, err)
}

// mark sets what packets carry: the mark for this host's routing, the DSCP for all.
func (s Source) mark(fd, family int) error {
	if s.Mark != 0 {
		err := rawsock.Mark(fd, s.Mark)
		if errors.Is(err, unix.EPERM) {
			return refusal(err, "packets may not be marked; give this process CAP_NET_ADMIN, or CAP_NET_RAW from Linux 5.17 on")
		} else if err != nil {
			return refusal(err, "packets cannot be marked with %d: %v; give another mark, or none", s.Mark, err)
		}
	}
	if s.DSCP > maxDSCP {
		return refusal(unix.EINVAL, "there is no DSCP %d; give one from 0 to %d", s.DSCP, maxDSCP)
	}
	if s.DSCP == 0 {
		return nil
	}
	err := rawsock.DSCP(fd, family == 1, s.DSCP)
	return refusal(err, "packets cannot have the DSCP %d: %v; give another, or none", s.DSCP, err)
}

func (s Source) bind(fd, family int) error {
	addr := s.address(family)
	if !addr.IsValid() {
		return nil
	}
	// Else the port would be unique over all destinations, and 28,000 connections all
	// there could be. A kernel without it (before 4.2) binds all the same.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	err := unix.Bind(fd, sockaddr(addr, family))
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return refusal(err, "%s is no address of this host; give one that `ip address` lists", addr)
	case errors.Is(err, unix.EADDRINUSE):
		return refusal(err, "every port of %s is in use; give another address, or wait", addr)
	case errors.Is(err, unix.EINVAL):
		return refusal(err, "%s cannot be bound to; a link-local address needs its interface (options.source.interface)", addr)
	}
	return refusal(err, "%s cannot be bound to: %v; give another address, or none", addr, err)
}

func sockaddr(addr netip.Addr, family int) unix.Sockaddr {
	if family == 0 && addr.Is4() {
		return &unix.SockaddrInet4{Addr: addr.As4()}
	}
	return &unix.SockaddrInet6{Addr: addr.As16()}
}

// refusal is nil if err is.
func refusal(err error, format string, args ...any) error {
	var errno syscall.Errno
	if err == nil {
		return nil
	}
	_ = errors.As(err, &errno) // all of these are
	return &sourceError{text: fmt.Sprintf(format, args...), errno: errno}
}
