package netlab

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"syscall"
)

// Host is one TCP endpoint that behaves in one way until Close. [Accept],
// [Serve], [Refuse] and [Swallow] make one; the zero value is not usable.
type Host struct {
	addr    netip.AddrPort
	server  *server      // accepts; nil for a host that refuses
	hole    swallower    // nil for a host that does not swallow
	release func() error // closes what the host is made of, once
}

// swallower is the part of a Host that makes SYNs vanish. Linux alone has one.
type swallower interface {
	drain() error
	refill() error
}

// newHost returns a Host that is made of parts and ends with it.
func newHost(addr netip.AddrPort, parts io.Closer) *Host {
	return &Host{addr: addr, release: sync.OnceValue(parts.Close)}
}

// Addr returns the address and port the host is bound to.
func (h *Host) Addr() netip.AddrPort { return h.addr }

// Accepted returns how many connections the host has accepted so far. A
// connection counts when the host takes it from the kernel, which may be a
// moment after the client's connect has returned.
func (h *Host) Accepted() int {
	if h.server == nil {
		return 0
	}
	return h.server.total()
}

// Open returns how many accepted connections neither the peer nor the host has
// closed yet.
func (h *Host) Open() int {
	if h.server == nil {
		return 0
	}
	return h.server.open()
}

// Drain makes a [Swallow] host accept like a healthy one from now on. A SYN
// swallowed before stays lost: the client's kernel sends it again about 1 s
// after the first. Draining twice does nothing. Any other host, and a closed
// one, returns an error.
func (h *Host) Drain() error {
	if h.hole == nil {
		return hostError("drain", h.addr, errNoHole)
	}
	if err := h.hole.drain(); err != nil {
		return hostError("drain", h.addr, err)
	}
	return nil
}

// Refill makes a [Swallow] host swallow SYNs again, and has proved that it does
// when it returns, some 20 ms later. Connections accepted in between stay. Any
// other host, and a closed one, returns an error.
func (h *Host) Refill() error {
	if h.hole == nil {
		return hostError("refill", h.addr, errNoHole)
	}
	if err := h.hole.refill(); err != nil {
		return hostError("refill", h.addr, err)
	}
	return nil
}

// Close ends the host: its port is free again, clients whose connection is
// still open see it reset, and SYNs that were swallowed are refused when they
// are sent again. It waits for the host's goroutines. Later calls do nothing
// and return the same.
func (h *Host) Close() error {
	if err := h.release(); err != nil {
		return hostError("close", h.addr, err)
	}
	return nil
}

var (
	errNoHole      = errors.New("this host does not swallow; make it with Swallow")
	errNotLoopback = errors.New("not a loopback address; use one of 127.0.0.0/8 or ::1")
)

// checkLoopback keeps the hosts' traffic on this machine, and returns at in its
// plain form: an IPv4-mapped address is the IPv4 address.
func checkLoopback(at netip.AddrPort) (netip.AddrPort, error) {
	if !at.Addr().IsLoopback() {
		return at, errNotLoopback
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
}

// hostError says what was done where and, for the usual causes, what to do.
func hostError(op string, at netip.AddrPort, err error) error {
	return fmt.Errorf("netlab: %s at %v: %w%s", op, at, err, advice(err))
}

func advice(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "; use port 0 or one from FreePort, and close the host that had it before"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "; this machine lacks the address: use 127.0.0.1, or switch IPv6 on for ::1"
	case errors.Is(err, syscall.EACCES):
		return "; use a port above 1023"
	case errors.Is(err, syscall.EMFILE):
		return "; close hosts that are done, or raise the limit of open files (ulimit -n)"
	}
	return ""
}
