package stage

import (
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
}

var breakages = []breakage{
	{syscall.ECONNRESET, "ECONNRESET", "connection_reset", sched.FaultTarget, "the peer reset the connection"},
	{syscall.EPIPE, "EPIPE", "connection_reset", sched.FaultTarget, "the peer had reset the connection"},
	{syscall.ETIMEDOUT, "ETIMEDOUT", "timed_out", sched.FaultPath, "the peer no longer acknowledged anything"},
	{syscall.EHOSTUNREACH, "EHOSTUNREACH", "host_unreachable", sched.FaultPath, "a router could no longer reach the peer"},
	{syscall.ENETUNREACH, "ENETUNREACH", "network_unreachable", sched.FaultPath, "the route to the peer was lost"},
	{syscall.EHOSTDOWN, "EHOSTDOWN", "host_unreachable", sched.FaultTarget, "the network says the peer went down"},
	{syscall.EACCES, "EACCES", "access_denied", sched.FaultUnknown, "a firewall, here or on the path, forbade it"},
	{syscall.EPERM, "EPERM", "access_denied", sched.FaultHost, "a firewall of this host forbade it"},
	{syscall.ECONNABORTED, "ECONNABORTED", other, sched.FaultHost, "somebody on this host has ended the connection, as `ss --kill` does,"},
	{syscall.ENETRESET, "ENETRESET", other, sched.FaultHost, "the network of this host was reset"},
	{syscall.ENETDOWN, "ENETDOWN", "network_down", sched.FaultHost, "the network interface of this host went down"},
	{syscall.ENOBUFS, "ENOBUFS", "no_buffer_space_available", sched.FaultHost, "this host is out of network buffers"},
	{syscall.ENOMEM, "ENOMEM", "no_buffer_space_available", sched.FaultHost, "this host is out of memory"},
}

// broken says why reading or writing has failed; when goes on after "the peer closed
// the connection".
func broken(err error, when string) *sched.Failure {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &sched.Failure{Type: "connection_closed", Fault: sched.FaultTarget, Text: "the peer closed the connection " + when}
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
			return &sched.Failure{Type: b.typ, Errno: b.name, Fault: b.fault, Text: b.text + " " + when}
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
