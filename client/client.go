package client

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// maxReplyBytes fits the largest reply: a probe of 20,000 samples with its transcript,
// and with what peers can put into their certificates.
const maxReplyBytes = 64 << 20

// Client asks one daemon. Use New.
type Client struct {
	conn *grpc.ClientConn
	rpc  connracev1.RacerServiceClient
}

// New returns a client of the daemon at target, such as "127.0.0.1:8305" or any
// other gRPC target. It connects when it is first used. Without transport
// credentials in opts nothing is encrypted: the daemon listens on loopback.
func New(target string, opts ...grpc.DialOption) (*Client, error) {
	opts = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReplyBytes)),
	}, opts...)
	conn, err := grpc.NewClient(target, opts...)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn, rpc: connracev1.NewRacerServiceClient(conn)}, nil
}

// Close ends the connection to the daemon and all calls.
func (c *Client) Close() error { return c.conn.Close() }

// ResolveAndRank asks for the order of a target's addresses. Errors are *Error.
func (c *Client) ResolveAndRank(ctx context.Context, req *connracev1.ResolveAndRankRequest) (*connracev1.ResolveAndRankResponse, error) {
	reply, err := c.rpc.ResolveAndRank(ctx, req)
	return reply, fromStatus(err)
}

// Race asks for a race. Errors are *Error.
func (c *Client) Race(ctx context.Context, req *connracev1.RaceRequest) (*connracev1.RaceResponse, error) {
	reply, err := c.rpc.Race(ctx, req)
	return reply, fromStatus(err)
}

// Probe asks for a probe. Errors are *Error.
func (c *Client) Probe(ctx context.Context, req *connracev1.ProbeRequest) (*connracev1.ProbeResponse, error) {
	reply, err := c.rpc.Probe(ctx, req)
	return reply, fromStatus(err)
}

// WatchProbe asks for probes, a round at a time, until the loop is left, ctx
// ends or the daemon stops. An error is a *Error and the last that is yielded.
//
//	for round, err := range c.WatchProbe(ctx, req) {
//		if err != nil { ... }
//		...
//	}
func (c *Client) WatchProbe(ctx context.Context, req *connracev1.WatchProbeRequest) iter.Seq2[*connracev1.WatchProbeResponse, error] {
	return func(yield func(*connracev1.WatchProbeResponse, error) bool) {
		ctx, cancel := context.WithCancel(ctx) // leaving the loop ends the stream
		defer cancel()
		stream, err := c.rpc.WatchProbe(ctx, req)
		if err != nil {
			yield(nil, fromStatus(err))
			return
		}
		for {
			round, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(round, fromStatus(err)) || err != nil {
				return
			}
		}
	}
}
