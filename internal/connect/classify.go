package connect

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/connrace/connrace/racer/sched"
)

// class is what an errno of connect() means.
type class struct {
	errno syscall.Errno
	name  string
	typ   string // OpenTelemetry's error.type
	fault sched.Fault
	text  string
}

// other is OpenTelemetry's word for an error that has no word of its own.
const other = "_OTHER"

var classes = []class{
	{syscall.ECONNREFUSED, "ECONNREFUSED", "connection_refused", sched.FaultTarget, "nothing listens on this port"},
	{syscall.ECONNRESET, "ECONNRESET", "connection_reset", sched.FaultTarget, "the peer reset the connection during the handshake"},
	{syscall.ETIMEDOUT, "ETIMEDOUT", "timed_out", sched.FaultTarget, "the operating system gave up waiting for an answer"},
	{syscall.ENETUNREACH, "ENETUNREACH", "network_unreachable", sched.FaultPath, "no route to this network"},
	{syscall.EHOSTUNREACH, "EHOSTUNREACH", "host_unreachable", sched.FaultPath, "a router or the last hop cannot reach this host"},
	{syscall.ENETDOWN, "ENETDOWN", "network_down", sched.FaultHost, "the network interface of this host is down"},
	{syscall.EACCES, "EACCES", "access_denied", sched.FaultUnknown, "forbidden by a firewall, here or on the path"},
	{syscall.EPERM, "EPERM", "access_denied", sched.FaultHost, "forbidden by a firewall of this host"},
	{syscall.EADDRNOTAVAIL, "EADDRNOTAVAIL", "address_not_available", sched.FaultHost, "this host has no free port or no source address for it"},
	{syscall.EADDRINUSE, "EADDRINUSE", "address_already_in_use", sched.FaultHost, "the local port is taken"},
	{syscall.EAFNOSUPPORT, "EAFNOSUPPORT", "address_family_not_supported", sched.FaultHost, "this host does not speak this address family"},
	{syscall.ENOBUFS, "ENOBUFS", "no_buffer_space_available", sched.FaultHost, "this host is out of network buffers"},
	{syscall.ENOMEM, "ENOMEM", "no_buffer_space_available", sched.FaultHost, "this host is out of memory"},
	{syscall.EMFILE, "EMFILE", other, sched.FaultHost, "this process is out of file descriptors; raise its limit or lower max_in_flight"},
	{syscall.ENFILE, "ENFILE", other, sched.FaultHost, "this host is out of file descriptors"},
	{syscall.EINVAL, "EINVAL", "invalid_argument", sched.FaultHost, "the operating system refuses this address"},
	{syscall.ENOPROTOOPT, "ENOPROTOOPT", "protocol_type", sched.FaultPath, "the protocol is unreachable on this host"},
}

// Classify says in plain words why an attempt failed and whose trouble it is.
func Classify(err error) sched.Failure {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return sched.Failure{Type: other, Text: err.Error()}
	}
	return classify(errno)
}

func classify(errno syscall.Errno) sched.Failure {
	for _, c := range classes {
		if c.errno == errno {
			return sched.Failure{Type: c.typ, Errno: c.name, Text: c.text, Fault: c.fault}
		}
	}
	return sched.Failure{Type: other, Errno: fmt.Sprintf("errno %d", int(errno)), Text: errno.Error()}
}
