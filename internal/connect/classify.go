package connect

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/connrace/connrace/racer/sched"
)

// class is what an errno of an attempt means.
type class struct {
	errno syscall.Errno
	name  string
	typ   string // OpenTelemetry's error.type
	fault sched.Fault
	text  string // what it is; and what the reader can do next
}

// other is OpenTelemetry's word for an error that has no word of its own.
const other = "_OTHER"

// classes are the errnos that a connect comes to, and those of the calls around it
// that a person can do something about. What a router or the target answers makes the
// first two groups, also by ICMP: RFC 1122 section 4.2.3.9 leaves the rest to each
// system, and Linux has it in icmp_err_convert.
var classes = []class{
	{syscall.ECONNREFUSED, "ECONNREFUSED", "connection_refused", sched.FaultTarget, "nothing listens on this port; start the service there, or ask another port"},
	{syscall.ECONNRESET, "ECONNRESET", "connection_reset", sched.FaultTarget, "the peer reset the connection as soon as it was up; look at its log"},
	{syscall.EPIPE, "EPIPE", other, sched.FaultTarget, "the peer closed the connection before it was used; look at its log"},
	{syscall.ETIMEDOUT, "ETIMEDOUT", "timed_out", sched.FaultTarget, "the system gave up waiting for an answer; " + whySilent},
	{syscall.EHOSTDOWN, "EHOSTDOWN", "host_unreachable", sched.FaultTarget, "the network says the target is down, or does not exist; " + findHost},

	{syscall.ENETUNREACH, "ENETUNREACH", "network_unreachable", sched.FaultPath, "no route to this network; `traceroute` shows where the way ends"},
	{syscall.EHOSTUNREACH, "EHOSTUNREACH", "host_unreachable", sched.FaultPath, "a router or the last hop cannot reach the target; " + findHost},
	{syscall.ENOPROTOOPT, "ENOPROTOOPT", "protocol_type", sched.FaultPath, "TCP is not spoken at the target; check the address, and the firewall rules there"},
	{syscall.EPROTO, "EPROTO", other, sched.FaultPath, "the network says a packet was malformed; look for what rewrites packets on the way"},
	{syscall.EMSGSIZE, "EMSGSIZE", other, sched.FaultPath, "the network says a packet was too big; check the MTU on the way"},
	{syscall.EOPNOTSUPP, "EOPNOTSUPP", other, sched.FaultPath, "the network could not follow the source route; send without one"},
	{syscall.EACCES, "EACCES", "access_denied", sched.FaultUnknown, "forbidden by a firewall, here or on the path; find out which one, and " + allowIt},

	{syscall.EPERM, "EPERM", "access_denied", sched.FaultHost, "forbidden by a firewall of this host; " + allowIt},
	{syscall.ENETDOWN, "ENETDOWN", "network_down", sched.FaultHost, "the network interface of this host is down; bring it up, `ip link` shows which it is"},
	{syscall.ENETRESET, "ENETRESET", other, sched.FaultHost, "the network of this host was reset; try again"},
	{syscall.ENODEV, "ENODEV", other, sched.FaultHost, "this host has no such network interface; give one that `ip link` lists"},
	{syscall.ENXIO, "ENXIO", other, sched.FaultHost, "this host has no such network interface, or it is gone; give one that `ip link` lists"},
	{syscall.EADDRNOTAVAIL, "EADDRNOTAVAIL", "address_not_available", sched.FaultHost, "this host has no free port or no source address for it; widen net.ipv4.ip_local_port_range, or add an address"},
	{syscall.EADDRINUSE, "EADDRINUSE", "address_already_in_use", sched.FaultHost, "the local port is taken; try again, or leave from another address"},
	{syscall.EAFNOSUPPORT, "EAFNOSUPPORT", "address_family_not_supported", sched.FaultHost, "this host does not speak this address family; " + enableIt},
	{syscall.EPFNOSUPPORT, "EPFNOSUPPORT", "address_family_not_supported", sched.FaultHost, "this host does not speak this protocol family; " + enableIt},
	{syscall.EPROTONOSUPPORT, "EPROTONOSUPPORT", other, sched.FaultHost, "this host does not speak TCP in this address family; " + enableIt},
	{syscall.ESOCKTNOSUPPORT, "ESOCKTNOSUPPORT", other, sched.FaultHost, "this host has no stream sockets in this address family; " + enableIt},
	{syscall.EPROTOTYPE, "EPROTOTYPE", "protocol_type", sched.FaultHost, mistaken},
	{syscall.ECONNABORTED, "ECONNABORTED", other, sched.FaultHost, "somebody on this host has ended the connection, as `ss --kill` does; find out who, and try again"},

	{syscall.EMFILE, "EMFILE", other, sched.FaultHost, "this process is out of file descriptors; raise its limit or lower max_in_flight"},
	{syscall.ENFILE, "ENFILE", other, sched.FaultHost, "this host is out of file descriptors; raise fs.file-max"},
	{syscall.ENOBUFS, "ENOBUFS", "no_buffer_space_available", sched.FaultHost, "this host is out of network buffers; wait, or lower max_in_flight"},
	{syscall.ENOMEM, "ENOMEM", "no_buffer_space_available", sched.FaultHost, "this host is out of memory; free some, or lower max_in_flight"},
	{syscall.ENOSPC, "ENOSPC", other, sched.FaultHost, "this host watches too many sockets; raise fs.epoll.max_user_watches"},
	{syscall.EAGAIN, "EAGAIN", other, sched.FaultHost, "this host is short of something for a moment; try again"},
	{syscall.EUSERS, "EUSERS", other, sched.FaultHost, "this host has too many users of it; try again"},

	{syscall.EINVAL, "EINVAL", "invalid_argument", sched.FaultHost, "the operating system refuses this address; check it, and the route of this host to it"},
	{syscall.EFAULT, "EFAULT", "fault", sched.FaultHost, mistaken},
	{syscall.EINTR, "EINTR", "interrupted", sched.FaultHost, "a signal interrupted the call; try again"},
	{syscall.EINPROGRESS, "EINPROGRESS", "in_progress", sched.FaultHost, mistaken},
	{syscall.EALREADY, "EALREADY", "already_in_progress", sched.FaultHost, mistaken},
	{syscall.EISCONN, "EISCONN", "is_connected", sched.FaultHost, mistaken},
	{syscall.ENOTCONN, "ENOTCONN", other, sched.FaultHost, mistaken},
	{syscall.EBADF, "EBADF", other, sched.FaultHost, mistaken},
	{syscall.ENOTSOCK, "ENOTSOCK", other, sched.FaultHost, mistaken},
	{syscall.EDESTADDRREQ, "EDESTADDRREQ", other, sched.FaultHost, mistaken},

	{syscall.ENOSYS, "ENOSYS", other, sched.FaultHost, forbidden},
}

// What several of them say.
const (
	whySilent = "see whether the host is up and whether a firewall drops packets"
	findHost  = "see whether the host is up, and check the address"
	allowIt   = "allow it in its rules"
	enableIt  = "enable it here, or ask for the other family only"

	mistaken  = "connrace used a socket in a wrong way; please report this"
	forbidden = "this host lacks the system call, or its sandbox forbids it; allow it in the seccomp profile"
)

// Classify says in plain words why an attempt failed, whose trouble it is and, after a
// semicolon, what can be done next.
func Classify(err error) sched.Failure {
	if source, ok := errors.AsType[*sourceError](err); ok {
		f := sched.Failure{Type: other}
		if source.errno != 0 {
			f = classify(source.errno)
		}
		f.Text, f.Fault = source.text, sched.FaultHost
		return f
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return sched.Failure{Type: other, Text: err.Error() + "; please report this"}
	}
	return classify(errno)
}

// classify is of an errno. The network answers with none but those of the table, so
// any other is this host's.
func classify(errno syscall.Errno) sched.Failure {
	for _, c := range classes {
		if c.errno == errno {
			return sched.Failure{Type: c.typ, Errno: c.name, Text: c.text, Fault: c.fault}
		}
	}
	return sched.Failure{
		Type: other, Errno: errnoName(errno), Fault: sched.FaultHost,
		Text: fmt.Sprintf("a call failed on this host: %v; see its system log, or report this", errno),
	}
}
