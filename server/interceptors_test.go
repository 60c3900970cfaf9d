package server

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// broken is a log that cannot even be written to.
type broken struct{ slog.Handler }

func (broken) Enabled(context.Context, slog.Level) bool  { return true }
func (broken) Handle(context.Context, slog.Record) error { panic("the log is broken") }

// A panic anywhere becomes Internal, that of the log too: the daemon must not
// end by it, whether or not the handler panics as well.
func TestBrokenLogEndsNothing(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]grpc.UnaryHandler{
		"a handler that works":  func(context.Context, any) (any, error) { return "reply", nil },
		"a handler that panics": func(context.Context, any) (any, error) { panic("the handler is broken") },
	} {
		unary, stream := interceptors(slog.New(broken{slog.DiscardHandler}))
		outcome(t, name, func() error {
			_, err := chain(unary, handler)(t.Context(), nil)
			return err
		})
		outcome(t, "stream: "+name, func() error {
			return chainStream(stream, func(any, grpc.ServerStream) error {
				_, err := handler(t.Context(), nil)
				return err
			})(nil, silent{ctx: t.Context()})
		})
	}
}

func outcome(t *testing.T, name string, call func() error) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s: the panic %q would end the daemon", name, p)
		}
	}()
	if err := call(); err != nil && status.Code(err) != codes.Internal {
		t.Errorf("%s: %v, want Internal or nothing", name, err)
	}
}

// chain calls interceptors as grpc does, the first one outermost.
func chain(all []grpc.UnaryServerInterceptor, handler grpc.UnaryHandler) grpc.UnaryHandler {
	for _, around := range slices.Backward(all) {
		inner := handler
		handler = func(ctx context.Context, req any) (any, error) {
			return around(ctx, req, &grpc.UnaryServerInfo{FullMethod: "/connrace.v1.RacerService/Race"}, inner)
		}
	}
	return handler
}

func chainStream(all []grpc.StreamServerInterceptor, handler grpc.StreamHandler) grpc.StreamHandler {
	for _, around := range slices.Backward(all) {
		inner := handler
		handler = func(srv any, stream grpc.ServerStream) error {
			return around(srv, stream, &grpc.StreamServerInfo{FullMethod: "/connrace.v1.RacerService/WatchProbe"}, inner)
		}
	}
	return handler
}

// silent is a stream that carries nothing.
type silent struct {
	grpc.ServerStream

	ctx context.Context
}

func (s silent) Context() context.Context { return s.ctx }
