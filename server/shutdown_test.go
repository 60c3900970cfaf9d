package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/server"
)

// unbounded lets only what a test does end a race.
var unbounded = &connracev1.RaceOptions{AttemptTimeout: durationpb.New(endless), Timeout: durationpb.New(endless)}

// raceInFlight is a race in flight to a host that swallows, and the daemon it runs in.
type raceInFlight struct {
	*daemon
	hole  *netlab.Host
	reply *connracev1.RaceResponse
	err   error
	over  chan struct{}
}

// inFlight returns when the daemon has begun to race: it has asked for the name.
func inFlight(ctx context.Context, t *testing.T) *raceInFlight {
	t.Helper()
	r := &raceInFlight{hole: host(t, netlab.Swallow), over: make(chan struct{})}
	dns := names(t, map[string]netlab.Answers{"hole.example.": addresses(r.hole.Addr().Addr())})
	r.daemon = serve(t, named(dns))
	go func() {
		defer close(r.over)
		r.reply, r.err = r.rpc.Race(ctx, &connracev1.RaceRequest{
			Target: fmt.Sprintf("hole.example.:%d", r.hole.Addr().Port()), Options: unbounded,
		})
	}()
	eventually(t, "the race has begun", func() bool { return len(dns.Log()) > 0 })
	return r
}

// wait returns when the race is over for its caller.
func (r *raceInFlight) wait(t *testing.T) {
	t.Helper()
	select {
	case <-r.over:
	case <-time.After(patience):
		t.Fatalf("the race is not over after %v", patience)
	}
}

// refusesAll wants every new call to find nobody.
func refusesAll(t *testing.T, d *daemon) {
	t.Helper()
	ctx := patient(t)
	_, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Target: "127.0.0.1:80"})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a new race is %v, want it UNAVAILABLE", err)
	}
	_, err = healthpb.NewHealthClient(d.conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a new health check is %v, want it UNAVAILABLE", err)
	}
}

// shuttingDown begins a shutdown without a bound and returns when the daemon
// takes nothing new. The channel is closed when the shutdown has returned.
func shuttingDown(t *testing.T, d *daemon) <-chan struct{} {
	t.Helper()
	down := make(chan struct{})
	go func() {
		defer close(down)
		d.Shutdown(context.Background())
	}()
	eventually(t, "no new call is taken", func() bool {
		_, err := healthpb.NewHealthClient(d.conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
		return status.Code(err) == codes.Unavailable
	})
	return down
}

func TestShutdownLetsARaceFinish(t *testing.T) {
	t.Parallel()
	r := inFlight(patient(t), t)
	down := shuttingDown(t, r.daemon)
	refusesAll(t, r.daemon)
	select {
	case <-down:
		t.Error("the shutdown did not wait for the race")
	case <-r.over:
		t.Errorf("the race is over: %v", r.err)
	default:
	}
	must(t, r.hole.Drain()) // the kernel sends the SYN again
	r.wait(t)
	must(t, r.err)
	if got := r.reply.GetWinner().GetEndpoint(); got != r.hole.Addr().String() {
		t.Errorf("the winner is %q, want %v", got, r.hole.Addr())
	}
	<-down
	must(t, <-r.done) // Serve has returned
	refusesAll(t, r.daemon)
}

func TestShutdownEndsAWatch(t *testing.T) {
	t.Parallel()
	for name, interval := range map[string]time.Duration{"between rounds": time.Hour, "in a round": 10 * time.Millisecond} {
		d, good := serve(t, plain()), host(t, netlab.Accept).Addr()
		stream := watch(t, d, &connracev1.WatchProbeRequest{Target: good.String(), Interval: durationpb.New(interval)})
		receive(t, stream)
		d.shutdown(t)
		var err error
		for err == nil {
			_, err = stream.Recv()
		}
		if st, _ := refusedBecause(t, err, codes.Unavailable, "SHUTTING_DOWN"); len(st.Message()) == 0 {
			t.Errorf("%s: no message", name)
		}
	}
}

// A watch whose round hangs does not hold up the end.
func TestShutdownEndsAWatchOfASilentHost(t *testing.T) {
	t.Parallel()
	hole := host(t, netlab.Swallow).Addr()
	dns := names(t, map[string]netlab.Answers{"hole.example.": addresses(hole.Addr())})
	d := serve(t, named(dns))
	stream := watch(t, d, &connracev1.WatchProbeRequest{
		Target:  fmt.Sprintf("hole.example.:%d", hole.Port()),
		Options: &connracev1.ProbeOptions{AttemptTimeout: durationpb.New(endless), Timeout: durationpb.New(endless)},
	})
	eventually(t, "the round has begun", func() bool { return len(dns.Log()) > 0 })
	d.shutdown(t)
	_, err := stream.Recv()
	refusedBecause(t, err, codes.Unavailable, "SHUTTING_DOWN")
}

func TestShutdownCutsOffWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	r := inFlight(patient(t), t)
	before := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r.Shutdown(ctx)
	if took := time.Since(before); took < 50*time.Millisecond || took > patience {
		t.Errorf("the shutdown took %v of its 50ms", took)
	}
	if n := len(r.log.lines(t, "finished call")); n != 1 {
		t.Errorf("%d handlers have ended when the shutdown returns, want 1", n)
	}
	r.wait(t)
	if status.Code(r.err) != codes.Unavailable {
		t.Errorf("the race is cut off with %v, want UNAVAILABLE", r.err)
	}
	must(t, <-r.done)
}

// A client that connects and says nothing is not an RPC and no reason to wait
// beyond the bound.
func TestShutdownCutsOffAHandshake(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	accepted := &announcing{Listener: l, taken: make(chan struct{}, 1)}
	d := serveOn(t, plain(), accepted)
	mute, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer mute.Close()
	<-accepted.taken
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	before := time.Now()
	d.Shutdown(ctx)
	if took := time.Since(before); took > 5*time.Second {
		t.Errorf("the shutdown took %v of its 50ms", took)
	}
}

// announcing tells of connections as they are accepted.
type announcing struct {
	net.Listener
	taken chan struct{}
}

func (l *announcing) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.taken <- struct{}{}
	}
	return conn, err
}

func TestShutdownAgain(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	livesOn(t, d)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { d.shutdown(t) })
	}
	all.Wait()
	d.shutdown(t)
	must(t, <-d.done)
}

// A daemon that is stopped before it has begun does not serve after all.
func TestShutdownBeforeServe(t *testing.T) {
	t.Parallel()
	s := server.New(plain())
	s.Shutdown(t.Context())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, s.Serve(l))
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("somebody still listens")
	}
}

// A caller who leaves ends its race, and what it did is logged.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(patient(t))
	r := inFlight(ctx, t)
	leave()
	r.wait(t)
	if status.Code(r.err) != codes.Canceled {
		t.Errorf("the race ends with %v", r.err)
	}
	eventually(t, "the handler has ended", func() bool { return len(r.log.lines(t, "finished call")) == 1 })
	if got := r.log.lines(t, "finished call")[0]["grpc.code"]; got != "Canceled" {
		t.Errorf("the log says %v", got)
	}
	r.shutdown(t)
}

// A caller who leaves a watch ends it at the server too.
func TestCallerLeavesAWatch(t *testing.T) {
	t.Parallel()
	d, good := serve(t, plain()), host(t, netlab.Accept)
	ctx, leave := context.WithCancel(patient(t))
	stream, err := d.rpc.WatchProbe(ctx, &connracev1.WatchProbeRequest{Target: good.Addr().String(), Interval: often()})
	must(t, err)
	receive(t, stream)
	leave()
	eventually(t, "the handler has ended", func() bool { return len(d.log.lines(t, "finished call")) == 1 })
	probes := acceptedBefore(t, good)
	time.Sleep(5 * often().AsDuration())
	if more := acceptedBefore(t, good) - probes - 1; more > 0 { // the first look is one
		t.Errorf("%d more probes after the end", more)
	}
}

// acceptedBefore counts the connections that a host got before one of our own, which it
// accepts in its turn and closes after us.
func acceptedBefore(t *testing.T, h *netlab.Host) int {
	t.Helper()
	c, err := net.Dial("tcp", h.Addr().String())
	must(t, err)
	defer c.Close()
	must(t, c.(*net.TCPConn).CloseWrite())
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.Copy(io.Discard, c)
	must(t, err)
	return h.Accepted() - 1
}
