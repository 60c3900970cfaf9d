package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
)

// Limits of the transport.
const (
	// maxRequestBytes fits MaxCandidates of the longest endpoints and labels, or of
	// ordinary ones with 50 past connects each.
	maxRequestBytes = 512 << 10
	// maxStreams bounds the RPCs of one connection.
	maxStreams = 256
	// maxHeaderBytes bounds the metadata of a request.
	maxHeaderBytes = 16 << 10
	// handshakeTimeout bounds how long a new connection may take.
	handshakeTimeout = 10 * time.Second
	// streamWorkers are goroutines that serve one RPC after the other: a race needs a
	// deeper stack than a new goroutine has, and growing it is a tenth of what a Race
	// RPC costs. RPCs beyond these get goroutines of their own.
	streamWorkers = 64
	// farewell is how long a watcher of health checks has to hear NOT_SERVING, and a
	// caller whose call is cut off to hear that.
	farewell = 100 * time.Millisecond
	// linger is how long the client of a daemon that stops may take nothing of the reply
	// to its last call.
	linger = 500 * time.Millisecond
	// minPing is how often a client may ping, with or without RPCs.
	minPing = 10 * time.Second
)

// Config holds what a Server needs. Racer is required.
type Config struct {
	// Racer does the work.
	Racer *racer.Racer
	// Version is reported in every reply.
	Version string
	// Vantage is where this daemon stands, as its operator calls it; reported in
	// every reply. Empty: not said.
	Vantage string
	// Logger takes a line for each RPC and each panic. nil: no log.
	Logger *slog.Logger
	// Register adds further services, which get the same interceptors. nil: none.
	Register func(grpc.ServiceRegistrar)
}

// Server serves RacerService, health checks and reflection.
type Server struct {
	grpc   *grpc.Server
	health *health.Server

	stop context.CancelFunc // ends the watches
	end  context.CancelFunc // ends all other streams

	calls *calls
	open  *connections
	log   *slog.Logger
}

// New returns a Server that does not serve yet.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	stopping, stop := context.WithCancel(context.Background())
	ending, end := context.WithCancel(context.Background())
	s := &Server{
		health: health.NewServer(),
		stop:   stop,
		end:    end,
		calls:  &calls{running: make(map[context.Context]context.CancelCauseFunc)},
		open:   &connections{open: make(map[net.Conn]struct{})},
		log:    cfg.Logger,
	}
	unary, stream := interceptors(cfg.Logger)
	unary, stream = append(unary, s.calls.follow), append(stream, endStreams(ending))
	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.ChainUnaryInterceptor(unary...),
		grpc.ChainStreamInterceptor(stream...),
	)
	connracev1.RegisterRacerServiceServer(s.grpc, &service{cfg: cfg, stopping: stopping})
	healthpb.RegisterHealthServer(s.grpc, s.health)
	// Probes ask for the whole server by the empty name, load balancers for the
	// service by its own.
	s.health.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	s.health.SetServingStatus(connracev1.RacerService_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)
	if cfg.Register != nil {
		cfg.Register(s.grpc)
	}
	registerReflection(s.grpc)
	return s
}

// Serve answers RPCs that come in at l until Shutdown, then returns nil. It
// closes l.
func (s *Server) Serve(l net.Listener) error {
	err := s.grpc.Serve(&tracked{Listener: l, open: s.open, log: s.log})
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// Shutdown turns health checks to NOT_SERVING, ends the streams of WatchProbe and
// of health checks, takes no new RPC and waits for the running ones; those still
// there when ctx ends are cut off, with a status of which their callers hear in the
// last moment before a deadline. It returns when none is left, and says whether a call
// was cut off. A stream that nobody reads is not waited for.
func (s *Server) Shutdown(ctx context.Context) (cut bool) {
	s.health.Shutdown()
	s.stop()
	time.AfterFunc(farewell, s.end)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.grpc.GracefulStop()
	}()
	cut = s.drain(ctx, drained)
	s.open.closeAll()
	s.grpc.Stop()
	<-drained
	return cut
}

// drain returns when all connections are closed, or may be.
func (s *Server) drain(ctx context.Context, drained <-chan struct{}) (cut bool) {
	start := time.Now()
	nearly, cancel := lastWord(ctx)
	defer cancel()
	look := time.NewTicker(farewell)
	defer look.Stop()
	for {
		select {
		case <-drained:
			return false
		case <-look.C:
			// What is left then is no call: a stream whose end waits behind what its
			// caller does not read, or somebody who connected and says nothing.
			quiet, ok := s.calls.quietSince(start)
			if ok && time.Since(quiet) >= linger && s.open.quietFor() >= linger {
				return false
			}
		case <-nearly.Done():
			cut = s.calls.cutOff()
			select {
			case <-drained:
			case <-ctx.Done():
			}
			return cut
		}
	}
}

// lastWord ends so long before ctx's deadline that a status still gets to its caller: a
// fifth of the time that is left, at most farewell.
func lastWord(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(farewell, time.Until(deadline)/5)))
}
