package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/connrace/connrace/racer/sched"
)

// Whose trouble each errno of connect() is, and OpenTelemetry's word for it.
var errnos = []struct {
	errno syscall.Errno
	name  string
	typ   string
	fault sched.Fault
}{
	{syscall.ECONNREFUSED, "ECONNREFUSED", "connection_refused", sched.FaultTarget},
	{syscall.ECONNRESET, "ECONNRESET", "connection_reset", sched.FaultTarget},
	{syscall.ETIMEDOUT, "ETIMEDOUT", "timed_out", sched.FaultTarget},
	{syscall.ENETUNREACH, "ENETUNREACH", "network_unreachable", sched.FaultPath},
	{syscall.EHOSTUNREACH, "EHOSTUNREACH", "host_unreachable", sched.FaultPath},
	{syscall.ENOPROTOOPT, "ENOPROTOOPT", "protocol_type", sched.FaultPath},
	{syscall.EACCES, "EACCES", "access_denied", sched.FaultUnknown},
	{syscall.EPERM, "EPERM", "access_denied", sched.FaultHost},
	{syscall.ENETDOWN, "ENETDOWN", "network_down", sched.FaultHost},
	{syscall.EADDRNOTAVAIL, "EADDRNOTAVAIL", "address_not_available", sched.FaultHost},
	{syscall.EADDRINUSE, "EADDRINUSE", "address_already_in_use", sched.FaultHost},
	{syscall.EAFNOSUPPORT, "EAFNOSUPPORT", "address_family_not_supported", sched.FaultHost},
	{syscall.ENOBUFS, "ENOBUFS", "no_buffer_space_available", sched.FaultHost},
	{syscall.ENOMEM, "ENOMEM", "no_buffer_space_available", sched.FaultHost},
	{syscall.EMFILE, "EMFILE", "_OTHER", sched.FaultHost},
	{syscall.ENFILE, "ENFILE", "_OTHER", sched.FaultHost},
	{syscall.EINVAL, "EINVAL", "invalid_argument", sched.FaultHost},
}

// An errno is found in whatever it is wrapped in, and comes with a sentence.
func TestClassify(t *testing.T) {
	for _, c := range errnos {
		for _, err := range []error{
			c.errno,
			os.NewSyscallError("connect", c.errno),
			&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", c.errno)},
			fmt.Errorf("wrapped: %w", &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", c.errno)}),
		} {
			f := Classify(err)
			if f.Type != c.typ || f.Errno != c.name || f.Fault != c.fault {
				t.Errorf("%v is %+v, want %s %s, fault of %s", err, f, c.typ, c.name, c.fault)
			}
			if f.Text == "" || strings.Contains(f.Text, c.name) || strings.HasSuffix(f.Text, ".") {
				t.Errorf("%s is explained with %q", c.name, f.Text)
			}
		}
	}
}

// A RST to a SYN is ECONNREFUSED. One that comes as ECONNRESET came after the handshake.
func TestClassifyReset(t *testing.T) {
	if f := Classify(syscall.ECONNRESET); !strings.Contains(f.Text, "as soon as it was up") {
		t.Errorf("it is explained with %q", f.Text)
	}
}

// words are OpenTelemetry's for a connect that fails (conventions.md): the names of
// .NET's SocketError, of which connection_reset is one more.
var words = strings.Fields(`network_down address_already_in_use interrupted in_progress already_in_progress
	address_not_available address_family_not_supported connection_refused fault invalid_argument is_connected
	network_unreachable host_unreachable no_buffer_space_available timed_out access_denied protocol_type
	connection_reset`)

// ofNetwork are the errnos that say something of the target or of the way there. A
// kernel makes them of a RST, of ICMP (icmp_err_convert, icmpv6_err_convert, and
// EPROTO of a parameter problem), of silence, or of a missing route.
var ofNetwork = []syscall.Errno{
	syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.ETIMEDOUT, syscall.EHOSTDOWN,
	syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENOPROTOOPT, syscall.EPROTO, syscall.EMSGSIZE, syscall.EOPNOTSUPP,
	syscall.EACCES,
}

// saysWhatToDo says whether a text has two halves: what it is; and what to do next.
func saysWhatToDo(text string) bool {
	what, next, _ := strings.Cut(text, "; ")
	return what != "" && next != "" && !strings.HasSuffix(next, ".")
}

// Every errno has a name, a word, a text that says what to do next, and somebody to
// blame: this host for all but those that the network can bring.
func TestClassifyEveryErrno(t *testing.T) {
	const (
		lastErrno = 133 // EHWPOISON
		longest   = 112 // bytes: a line of a terminal, or little more
	)
	for errno := syscall.Errno(1); errno <= lastErrno; errno++ {
		f := Classify(os.NewSyscallError("connect", errno))
		if f.Type != other && !slices.Contains(words, f.Type) {
			t.Errorf("the type of %v is %q", errno, f.Type)
		}
		gap := errno == 41 || errno == 58 // there is none of that number
		if !gap && (len(f.Errno) < 3 || f.Errno[0] != 'E') {
			t.Errorf("%d is %+v", int(errno), f)
		}
		if !saysWhatToDo(f.Text) {
			t.Errorf("%s is explained with %q, want what it is; and what to do", f.Errno, f.Text)
		}
		if blamed := f.Fault == sched.FaultHost; blamed == slices.Contains(ofNetwork, errno) {
			t.Errorf("%s is the fault of %s", f.Errno, f.Fault)
		}
	}
	names := make(map[string]bool)
	for _, c := range classes {
		if names[c.name] || len(c.text) > longest {
			t.Errorf("%s is there twice, or is explained at length: %q", c.name, c.text)
		}
		names[c.name] = true
	}
}

// What the table lacks is this host's, and says what it is; what is no errno is
// nobody's that is known.
func TestClassifyUnknown(t *testing.T) {
	f := Classify(os.NewSyscallError("connect", syscall.ELOOP))
	want := sched.Failure{Type: "_OTHER", Errno: "ELOOP", Fault: sched.FaultHost}
	want.Text = "a call failed on this host: " + syscall.ELOOP.Error() + "; see its system log, or report this"
	if f != want {
		t.Errorf("ELOOP is %+v, want %+v", f, want)
	}
	for _, err := range []error{errors.New("out of luck"), context.DeadlineExceeded, errUnchecked} {
		if f := Classify(err); f != (sched.Failure{Type: "_OTHER", Text: err.Error() + "; please report this"}) {
			t.Errorf("%q is %+v", err, f)
		}
	}
}
