package server_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
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

// slow is the connection of a client that takes 100 KB a second.
type slow struct{ net.Conn }

func (s slow) Read(b []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return s.Conn.Read(b[:min(len(b), 4<<10)])
}

// A reply that is on its way when the daemon stops arrives, as long as its caller goes on
// taking it.
func TestShutdownLetsASlowReaderHaveItsReply(t *testing.T) {
	t.Parallel()
	l := bufconn.Listen(1 << 10) // no kernel keeps anything
	d := serveOn(t, plain(), l, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		c, err := l.DialContext(ctx)
		return slow{c}, err
	}), grpc.WithInitialWindowSize(1<<16), grpc.WithInitialConnWindowSize(1<<16))
	req := &connracev1.ProbeRequest{IncludeTranscript: true}
	closed := port(t)
	for i := range 400 {
		req.Candidates = append(req.Candidates, &connracev1.CandidateSpec{Endpoint: fmt.Sprintf("127.1.%d.%d:%d", i/250, 1+i%250, closed)})
	}
	over := make(chan error, 1)
	began := time.Now()
	go func() {
		_, err := d.rpc.Probe(patient(t), req)
		over <- err
	}()
	eventually(t, "the handler has ended", func() bool { return len(d.log.lines(t, "finished call")) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if d.Shutdown(ctx) {
		t.Error("something was cut off")
	}
	if err := <-over; err != nil || time.Since(began) < time.Second {
		t.Errorf("the caller gets %v after %v, want its reply, slowly", err, time.Since(began))
	}
}
