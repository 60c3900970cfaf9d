package server

import (
	"context"
	"log/slog"
	"runtime/debug"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// interceptors returns the chains, outermost first: recovery also around
// logging, so that a panic of the log cannot end the daemon; logging; recovery
// around the handler, so that a panic is logged as the Internal it becomes. The
// library's default handler would show the stack to the caller.
func interceptors(log *slog.Logger) ([]grpc.UnaryServerInterceptor, []grpc.StreamServerInterceptor) {
	// Only the end of a call is logged, and nothing of its messages: they hold the
	// names and addresses that callers ask for.
	options := []logging.Option{logging.WithLogOnEvents(logging.FinishCall), logging.WithErrorFields(reasonField)}
	hide := recovery.WithRecoveryHandler(func(any) error { return internalError() })
	tell := recovery.WithRecoveryHandlerContext(func(ctx context.Context, p any) error {
		log.ErrorContext(ctx, "panic in a handler", "panic", p, "stack", string(debug.Stack()))
		return internalError()
	})
	unary := []grpc.UnaryServerInterceptor{
		recovery.UnaryServerInterceptor(hide),
		logging.UnaryServerInterceptor(slogLogger(log), options...),
		recovery.UnaryServerInterceptor(tell),
	}
	stream := []grpc.StreamServerInterceptor{
		recovery.StreamServerInterceptor(hide),
		logging.StreamServerInterceptor(slogLogger(log), options...),
		recovery.StreamServerInterceptor(tell),
	}
	return unary, stream
}

// slogLogger adapts slog: the interceptor's levels have slog's values, but are a
// type of their own. It leaves out the error's text, which quotes the request.
func slogLogger(log *slog.Logger) logging.Logger {
	return logging.LoggerFunc(func(ctx context.Context, level logging.Level, msg string, fields ...any) {
		kept := make([]any, 0, len(fields))
		for i := 0; i+1 < len(fields); i += 2 {
			if fields[i] != "grpc.error" {
				kept = append(kept, fields[i], fields[i+1])
			}
		}
		log.Log(ctx, slog.Level(level), msg, kept...)
	})
}

// reasonField logs an error's ErrorInfo reason in place of its text.
func reasonField(err error) logging.Fields {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return logging.Fields{"reason", info.GetReason()}
		}
	}
	return nil
}
