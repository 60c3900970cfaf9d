package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// HealthState is what a [HealthServer] says of one service.
type HealthState string

// The states of a service: first those with a name in grpc.health.v1, then the
// ways not to say any.
const (
	Serving        HealthState = "serving"
	NotServing     HealthState = "not-serving"
	HealthUnknown  HealthState = "unknown"
	ServiceUnknown HealthState = "service-unknown" // Check ends with NOT_FOUND, Watch says SERVICE_UNKNOWN

	HealthUnimplemented HealthState = "unimplemented" // calls end with UNIMPLEMENTED, as without a health service
	HealthHangs         HealthState = "hang"          // calls get no answer
)

// spoken are the states that have a name on the wire.
var spoken = map[HealthState]grpc_health_v1.HealthCheckResponse_ServingStatus{
	Serving:        grpc_health_v1.HealthCheckResponse_SERVING,
	NotServing:     grpc_health_v1.HealthCheckResponse_NOT_SERVING,
	HealthUnknown:  grpc_health_v1.HealthCheckResponse_UNKNOWN,
	ServiceUnknown: grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN,
}

// HealthServer is what the hosts of [Health] know about services. It can be
// changed while they run, from any goroutine. [NewHealthServer] makes one.
type HealthServer struct {
	watched *health.Server // knows the states that are spoken, and who watches them

	mu     sync.Mutex
	states map[string]HealthState // of the services that were set
}

// NewHealthServer returns one that knows the server as a whole, which is the
// service "", to be [Serving], and no other service.
func NewHealthServer() *HealthServer {
	return &HealthServer{watched: health.NewServer(), states: map[string]HealthState{"": Serving}}
}

// Set changes the state of a service. Calls that hang go on hanging. A Watch
// that is open is told of the states with a name in grpc.health.v1, not of the
// others. It is an error if there is no such state.
func (s *HealthServer) Set(service string, state HealthState) error {
	name, named := spoken[state]
	if !named && state != HealthUnimplemented && state != HealthHangs {
		return fmt.Errorf("netlab: health of %q: no state %q; use %s, %s, %s, %s, %s or %s", service, state,
			Serving, NotServing, HealthUnknown, ServiceUnknown, HealthUnimplemented, HealthHangs)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[service] = state
	if named {
		s.watched.SetServingStatus(service, name)
	}
	return nil
}

func (s *HealthServer) state(service string) HealthState {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state, ok := s.states[service]; ok {
		return state
	}
	return ServiceUnknown
}

// Health is a gRPC server that answers Check and Watch of grpc.health.v1 by what
// s says, and any other call with UNIMPLEMENTED. On its own it speaks HTTP/2
// without TLS; clients with TLS need it inside [TLS] with the ALPN h2.
func Health(s *HealthServer) Behaviour {
	if s == nil {
		return Behaviour{err: errors.New("health: no server; NewHealthServer makes one")}
	}
	return Behaviour{serve: func(ctx context.Context, c net.Conn) { s.serve(ctx, c) }}
}

// serve has a gRPC server for this connection alone, which ends with it.
func (s *HealthServer) serve(ctx context.Context, c net.Conn) {
	server := grpc.NewServer(grpc.WaitForHandlers(true))
	grpc_health_v1.RegisterHealthServer(server, healthService{states: s})
	_ = server.Serve(&single{conn: c, done: ctx.Done()})
	server.Stop()
}

// healthService is a HealthServer as gRPC wants it.
type healthService struct {
	grpc_health_v1.UnimplementedHealthServer

	states *HealthServer
}

func (s healthService) Check(ctx context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	state := s.states.state(r.GetService())
	if state == ServiceUnknown {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	if err := unspoken(ctx, state); err != nil {
		return nil, err
	}
	return &grpc_health_v1.HealthCheckResponse{Status: spoken[state]}, nil
}

func (s healthService) Watch(r *grpc_health_v1.HealthCheckRequest, stream grpc_health_v1.Health_WatchServer) error {
	if err := unspoken(stream.Context(), s.states.state(r.GetService())); err != nil {
		return err
	}
	return s.states.watched.Watch(r, stream)
}

// unspoken does what has to be done in the states without a name, and returns
// nil in the others.
func unspoken(ctx context.Context, state HealthState) error {
	switch state {
	case HealthUnimplemented:
		return status.Errorf(codes.Unimplemented, "unknown service %s", grpc_health_v1.Health_ServiceDesc.ServiceName)
	case HealthHangs:
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	default:
		return nil
	}
}
