package server

import (
	"context"

	"google.golang.org/grpc"
)

// endStreams ends the context of every stream with ending. A load balancer that
// watches health checks would otherwise hold up each stop of the daemon until its
// bound.
func endStreams(ending context.Context) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx, cancel := context.WithCancel(stream.Context())
		defer cancel()
		defer context.AfterFunc(ending, cancel)()
		return handler(srv, &endingStream{stream, ctx})
	}
}

type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns the one that ends with the daemon.
func (s *endingStream) Context() context.Context { return s.ctx }
