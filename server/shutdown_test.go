package server_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
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
	at    net.Addr // of the daemon
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
	r.daemon, r.at = serveTCP(t, named(dns))
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

// What still runs when the time is almost up is told so, whatever it is, and the log says
// the same: it is the daemon that leaves, and not the caller.
func TestShutdownCutsOffWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(context.Context, *daemon) error{
		"ResolveAndRank": func(ctx context.Context, d *daemon) error {
			_, err := d.rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Target: "never.example.:80", Options: unbounded})
			return err
		},
		"Race": func(ctx context.Context, d *daemon) error {
			_, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Target: "never.example.:80", Options: unbounded})
			return err
		},
		"Race, shared": func(ctx context.Context, d *daemon) error {
			_, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Target: "never.example.:80", Options: unbounded, Share: true})
			return err
		},
		"Probe": func(ctx context.Context, d *daemon) error {
			_, err := d.rpc.Probe(ctx, &connracev1.ProbeRequest{Target: "never.example.:80"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const bound = 500 * time.Millisecond
			never := addresses(one)
			never.A.Delay, never.AAAA.Delay = patience, patience
			dns := names(t, map[string]netlab.Answers{"never.example.": never})
			d, _ := serveTCP(t, named(dns))
			over := make(chan error, 1)
			go func() { over <- call(patient(t), d) }()
			eventually(t, "it has begun", func() bool { return len(dns.Log()) > 0 })
			before := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), bound)
			defer cancel()
			if cut := d.Shutdown(ctx); !cut {
				t.Error("the shutdown says that it has cut nothing off")
			}
			if took := time.Since(before); took < bound/2 || took > patience {
				t.Errorf("the shutdown took %v of its %v", took, bound)
			}
			refusedBecause(t, <-over, codes.Unavailable, "SHUTTING_DOWN")
			lines := d.log.lines(t, "finished call")
			if len(lines) != 1 || lines[0]["grpc.code"] != "Unavailable" || lines[0]["reason"] != "SHUTTING_DOWN" {
				t.Errorf("the log has %v when the shutdown returns", lines)
			}
			must(t, <-d.done)
		})
	}
}

// Without any time at all too the shutdown ends, and the log still says why.
func TestShutdownAtOnce(t *testing.T) {
	t.Parallel()
	r := inFlight(patient(t), t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if cut := r.Shutdown(ctx); !cut {
		t.Error("the shutdown says that it has cut nothing off")
	}
	lines := r.log.lines(t, "finished call")
	if len(lines) != 1 || lines[0]["reason"] != "SHUTTING_DOWN" {
		t.Errorf("the log has %v when the shutdown returns", lines)
	}
	r.wait(t)
	if status.Code(r.err) != codes.Unavailable {
		t.Errorf("the race is cut off with %v, want UNAVAILABLE", r.err)
	}
	must(t, <-r.done)
}

// A watcher that reads nothing does not hold up the end, whether its rounds wait to be
// sent or the watch waits for them. A race that runs beside it is waited for all the same.
func TestShutdownDoesNotWaitForADeafWatcher(t *testing.T) {
	t.Parallel()
	for name, interval := range map[string]time.Duration{"one round waits": time.Hour, "the watch waits": 10 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, good := inFlight(patient(t), t), host(t, netlab.Accept)
			deaf(t, r.at, &connracev1.WatchProbeRequest{
				Target: good.Addr().String(), Interval: durationpb.New(interval), IncludeTranscript: true,
			})
			eventually(t, "the first round", func() bool { return good.Accepted() > 0 })
			if interval < time.Second {
				stalls(t, good)
			}
			over := make(chan bool)
			go func() { over <- r.Shutdown(patient(t)) }()
			select {
			case <-over:
				t.Error("the shutdown did not wait for the race")
			case <-r.over:
				t.Errorf("the race is over: %v", r.err)
			case <-time.After(time.Second):
			}
			must(t, r.hole.Drain()) // the kernel sends the SYN again
			r.wait(t)
			must(t, r.err)
			before := time.Now()
			if cut := <-over; cut {
				t.Error("the shutdown says that it has cut a call off")
			}
			if took := time.Since(before); took > 4*time.Second { // of patience, which is 20s
				t.Errorf("the shutdown took %v more", took)
			}
			var reasons []string
			for _, line := range r.log.lines(t, "finished call") {
				reasons = append(reasons, fmt.Sprint(line["grpc.method"], " ", line["reason"]))
			}
			if interval < time.Second {
				slices.Sort(reasons) // the watch is cut off when it has taken nothing for long, whatever the race does
				slices.Reverse(reasons)
			}
			if want := []string{"WatchProbe SHUTTING_DOWN", "Race <nil>"}; !slices.Equal(reasons, want) {
				t.Errorf("the log has %q, want %q", reasons, want)
			}
		})
	}
}

// deaf begins a watch and reads nothing of it, nor lets anything be sent.
func deaf(t *testing.T, daemon net.Addr, req *connracev1.WatchProbeRequest) {
	t.Helper()
	conn, err := net.Dial("tcp", daemon.String())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	message, err := proto.Marshal(req)
	must(t, err)
	var block bytes.Buffer
	fields := hpack.NewEncoder(&block)
	for _, f := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":authority", daemon.String()},
		{":path", connracev1.RacerService_WatchProbe_FullMethodName},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		must(t, fields.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	_, err = io.WriteString(conn, http2.ClientPreface)
	must(t, err)
	frames := http2.NewFramer(conn, nil)
	must(t, frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	must(t, frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}))
	must(t, frames.WriteData(1, true, append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)))
}

// stalls returns when a watch with often as its interval no longer connects.
func stalls(t *testing.T, h *netlab.Host) {
	t.Helper()
	for before, deadline := 0, time.Now().Add(patience); before < h.Accepted(); time.Sleep(30 * often().AsDuration()) {
		before = h.Accepted()
		if time.Now().After(deadline) {
			t.Fatalf("the watch still goes on after %v", patience)
		}
	}
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
