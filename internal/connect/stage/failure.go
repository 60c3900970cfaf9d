package stage

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"unicode"

	"github.com/connrace/connrace/racer/sched"
)

// other is OpenTelemetry's word for an error that has no word of its own.
const other = "_OTHER"

// maxText bounds what of a peer's words gets into a sentence, in bytes.
const maxText = 200

// breakage is what an errno of a connection that was up means.
type breakage struct {
	errno syscall.Errno
	name  string
	typ   string // OpenTelemetry's error.type
	fault sched.Fault
	text  string
	next  string // what to do; empty: what helps with this peer
}

var breakages = []breakage{
	{syscall.ECONNRESET, "ECONNRESET", "connection_reset", sched.FaultTarget, "the peer reset the connection", ""},
	{syscall.EPIPE, "EPIPE", "connection_reset", sched.FaultTarget, "the peer had reset the connection", ""},
	{syscall.ETIMEDOUT, "ETIMEDOUT", "timed_out", sched.FaultPath, "the peer no longer acknowledged anything", "see whether the host is still up"},
	{syscall.EHOSTUNREACH, "EHOSTUNREACH", "host_unreachable", sched.FaultPath, "a router could no longer reach the peer", "see whether the host is still up"},
	{syscall.ENETUNREACH, "ENETUNREACH", "network_unreachable", sched.FaultPath, "the route to the peer was lost", "`traceroute` shows where the way ends"},
	{syscall.EHOSTDOWN, "EHOSTDOWN", "host_unreachable", sched.FaultTarget, "the network says the peer went down", "see whether it is up"},
	{syscall.EACCES, "EACCES", "access_denied", sched.FaultUnknown, "a firewall, here or on the path, forbade it", "find out which one, and allow it in its rules"},
	{syscall.EPERM, "EPERM", "access_denied", sched.FaultHost, "a firewall of this host forbade it", "allow it in its rules"},
	{syscall.ECONNABORTED, "ECONNABORTED", other, sched.FaultHost, "somebody on this host has ended the connection, as `ss --kill` does,", "ask again"},
	{syscall.ENETRESET, "ENETRESET", other, sched.FaultHost, "the network of this host was reset", "ask again"},
	{syscall.ENETDOWN, "ENETDOWN", "network_down", sched.FaultHost, "the network interface of this host went down", "see what its log says"},
	{syscall.ENOBUFS, "ENOBUFS", "no_buffer_space_available", sched.FaultHost, "this host is out of network buffers", "lower max_in_flight, or give it more memory"},
	{syscall.ENOMEM, "ENOMEM", "no_buffer_space_available", sched.FaultHost, "this host is out of memory", "lower max_in_flight, or give it more memory"},
}

// broken says why reading or writing has failed; when goes on after "the peer closed
// the connection", and next is what to do about a peer that does.
func broken(err error, when, next string) *sched.Failure {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &sched.Failure{Type: "connection_closed", Fault: sched.FaultTarget, Text: "the peer closed the connection " + when + "; " + next}
	}
	if alert := alertOf(err); alert != "" {
		return alertFailure(alert, nil)
	}
	if isLocalAlert(err) {
		return malformedTLS(err)
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return &sched.Failure{Type: other, Text: printable(err.Error(), maxText) + "; please report this"}
	}
	for _, b := range breakages {
		if b.errno == errno {
			return &sched.Failure{Type: b.typ, Errno: b.name, Fault: b.fault, Text: b.text + " " + when + "; " + cmp.Or(b.next, next)}
		}
	}
	return &sched.Failure{Type: other, Errno: fmt.Sprintf("errno %d", int(errno)), Text: errno.Error() + "; please report this"}
}

// printable is what can be shown of a peer's words: valid UTF-8 of at most so many
// bytes, without anything that would move a cursor.
func printable(s string, most int) string {
	cut := len(s) > most
	if cut {
		s = s[:most]
	}
	s = strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) && c != unicode.ReplacementChar {
			return c
		}
		return '?'
	}, s)
	if cut {
		s += "..."
	}
	return s
}
