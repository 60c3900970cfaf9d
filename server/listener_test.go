package server_test

import (
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// short is a listener of a process that is out of descriptors for a moment.
type short struct {
	net.Listener
	failed atomic.Bool
}

func (s *short) Accept() (net.Conn, error) {
	if !s.failed.Swap(true) {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return s.Listener.Accept()
}

// A client that cannot be accepted is told to the log, once for each try, and the daemon
// goes on.
func TestClientThatCannotBeAccepted(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	d := serveOn(t, plain(), &short{Listener: l})
	_, err = healthpb.NewHealthClient(d.conn).Check(patient(t), &healthpb.HealthCheckRequest{})
	must(t, err)
	const message = "a client cannot be accepted; with too many open files, raise the limit (ulimit -n)"
	lines := d.log.lines(t, message)
	if len(lines) != 1 || lines[0]["level"] != "WARN" || !strings.Contains(lines[0]["error"].(string), "too many open files") {
		t.Errorf("the log has %v", lines)
	}
	d.shutdown(t)
	if lines := d.log.lines(t, message); len(lines) != 1 {
		t.Errorf("a listener that is closed is told as %v", lines)
	}
}
