package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/connrace/connrace/client"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/server"
)

// daemonFlags say who is asked.
type daemonFlags struct {
	Server string     `placeholder:"HOST:PORT" group:"daemon" help:"Ask the daemon there, or at unix:PATH. Default: one inside this process, for this question only."`
	DNS    nameServer `name:"dns" placeholder:"ADDR:PORT" group:"daemon" help:"The name server that is asked instead of the system's; not with --server."`
}

// nameServer is the address and port of one; the zero value is none.
type nameServer struct{ netip.AddrPort }

// UnmarshalText takes the value of a flag.
func (s *nameServer) UnmarshalText(text []byte) (err error) {
	s.AddrPort, err = netip.ParseAddrPort(string(text))
	switch {
	case err != nil:
		return fmt.Errorf("%q is no ADDR:PORT; write it as in 192.0.2.53:53 or [2001:db8::53]:53", text)
	case s.Port() == 0:
		return fmt.Errorf("%s has the port 0; allowed is 1 to 65535", text)
	}
	return nil
}

// callerFlags say who asks.
type callerFlags struct {
	CallerKey string `placeholder:"KEY" group:"daemon" help:"Who asks, for the daemon's limits of each caller. Default: nobody in particular."`
}

const (
	// connectTimeout is how long a daemon may take to accept a connection. gRPC
	// would wait 20 s.
	connectTimeout = 5 * time.Second
	// stopTimeout bounds the end of the daemon inside this process: it serves one
	// client, which has gone by then.
	stopTimeout = time.Second
	// pipeBytes is what the connection inside this process buffers.
	pipeBytes = 256 << 10
)

// ask connects to the daemon, calls question, which sends req, and says what an error of
// it means.
func (f *daemonFlags) ask(ctx context.Context, out *output, req proto.Message, question func(*client.Client) error) error {
	if err := checkSize(req); err != nil {
		return err
	}
	if f.Server != "" && f.DNS.IsValid() {
		return &exitError{exitUsage, fmt.Errorf("--dns is for the daemon inside this process, and --server asks another one: leave one of the two out, or give --dns to the `connrace serve` at %s", f.Server)}
	}
	if err := checkServer(f.Server); err != nil {
		return &exitError{exitUsage, fmt.Errorf("--server %w", err)}
	}
	daemon, stop, err := f.connect(out.stderr)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("--server %s: %w", f.Server, err)}
	}
	defer stop()
	return f.explain(ctx, question(daemon))
}

// checkServer refuses what no daemon can be at, and takes targets of gRPC's own schemes,
// such as dns:///daemon.example:8305. Empty is the daemon inside this process. Its error
// goes on after "--server".
func checkServer(at string) error {
	scheme, rest, _ := strings.Cut(at, ":")
	known := rest != "" && resolver.Get(strings.ToLower(scheme)) != nil
	switch path, unix := strings.CutPrefix(at, unixPrefix); {
	case unix && (path == "" || path == "//"):
		return fmt.Errorf("%s has no path; write it as in unix:/run/connrace.sock", at)
	case unix && strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///"): // what a URL has there is a host
		return fmt.Errorf("%s has a host before its path; write it as in unix:/run/connrace.sock", at)
	case at == "", known:
		return nil
	case strings.Contains(at, "://"):
		return fmt.Errorf("%q is a URL and no HOST:PORT; write it as in 127.0.0.1:8305 or [::1]:8305, or unix:PATH for a Unix socket", at)
	}
	return checkHostPort(at, "HOST:PORT", 1)
}

func (f *daemonFlags) connect(stderr io.Writer) (daemon *client.Client, stop func(), err error) {
	if f.Server == "" {
		return startDaemon(f.DNS.AddrPort, stderr)
	}
	// gRPC reads its target as a URL, in which the zone of an address is escaped.
	at := f.Server
	if !strings.HasPrefix(at, unixPrefix) && !strings.Contains(at, "://") {
		at = strings.ReplaceAll(at, "%", "%25")
	}
	daemon, err = client.New(at, grpc.WithConnectParams(grpc.ConnectParams{
		Backoff: backoff.DefaultConfig, MinConnectTimeout: connectTimeout,
	}))
	if err != nil {
		return nil, nil, err
	}
	return daemon, func() { _ = daemon.Close() }, nil
}

// startDaemon starts a daemon inside this process and connects to it, so that
// both ways of asking are one. Its log has errors only.
func startDaemon(dns netip.AddrPort, stderr io.Writer) (daemon *client.Client, stop func(), err error) {
	pipe := bufconn.Listen(pipeBytes)
	daemon, err = client.New("passthrough:///in-process",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))
	if err != nil {
		return nil, nil, err
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	srv := server.New(server.Config{
		Racer:   racer.New(racer.Config{DNSServer: dns, Panicked: logPanic(log)}),
		Version: buildVersion(),
		Logger:  log,
	})
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(pipe) }) // the client says what went wrong
	return daemon, func() {
		_ = daemon.Close()
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		srv.Shutdown(ctx)
		serving.Wait()
	}, nil
}

// explain turns the client's errors into exit codes and says what to do next.
func (f *daemonFlags) explain(ctx context.Context, err error) error {
	failed, ok := errors.AsType[*client.Error](err)
	switch {
	case !ok:
		return err
	case ctx.Err() != nil:
		return errInterrupted()
	case errors.Is(err, client.ErrInvalidRequest):
		return &exitError{exitUsage, invalidRequest(failed)}
	case f.Server == "":
		return &exitError{exitFailed, fmt.Errorf("the daemon inside this process: %s", failed.Status.Message())}
	case failed.Reason != "":
		return &exitError{exitFailed, fmt.Errorf("the daemon at %s: %s", f.Server, failed.Status.Message())}
	case errors.Is(err, client.ErrUnavailable):
		return &exitError{exitFailed, fmt.Errorf("no daemon answers at %s: %s; start one with `connrace serve`, or leave --server out", f.Server, cause(failed))}
	default:
		return &exitError{exitFailed, fmt.Errorf("what answers at %s is no daemon of this version: %s (%v); look at its version and its log, or leave --server out", f.Server, failed.Status.Message(), failed.Status.Code())}
	}
}
