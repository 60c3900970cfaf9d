package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
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
	if len(classes) != len(errnos) {
		t.Errorf("the table has %d rows, the test %d", len(classes), len(errnos))
	}
}

// What the table lacks is nobody's fault that is known, and says what it is.
func TestClassifyUnknown(t *testing.T) {
	f := Classify(os.NewSyscallError("connect", syscall.ELOOP))
	want := sched.Failure{Type: "_OTHER", Errno: fmt.Sprintf("errno %d", int(syscall.ELOOP)), Text: syscall.ELOOP.Error()}
	if f != want {
		t.Errorf("ELOOP is %+v, want %+v", f, want)
	}
	for _, err := range []error{errors.New("out of luck"), context.DeadlineExceeded, errUnchecked} {
		if f := Classify(err); f != (sched.Failure{Type: "_OTHER", Text: err.Error()}) {
			t.Errorf("%q is %+v", err, f)
		}
	}
}
