package client_test

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/connrace/connrace/client"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// patience is how long a test waits for what must happen: long enough for a
// busy machine.
const patience = 20 * time.Second

// scripted is a daemon that does what a test says.
type scripted struct {
	connracev1.UnimplementedRacerServiceServer
	rank  func(context.Context, *connracev1.ResolveAndRankRequest) (*connracev1.ResolveAndRankResponse, error)
	race  func(context.Context, *connracev1.RaceRequest) (*connracev1.RaceResponse, error)
	probe func(context.Context, *connracev1.ProbeRequest) (*connracev1.ProbeResponse, error)
	watch func(*connracev1.WatchProbeRequest, connracev1.RacerService_WatchProbeServer) error
}

func (s *scripted) ResolveAndRank(ctx context.Context, req *connracev1.ResolveAndRankRequest) (*connracev1.ResolveAndRankResponse, error) {
	return s.rank(ctx, req)
}

func (s *scripted) Race(ctx context.Context, req *connracev1.RaceRequest) (*connracev1.RaceResponse, error) {
	return s.race(ctx, req)
}

func (s *scripted) Probe(ctx context.Context, req *connracev1.ProbeRequest) (*connracev1.ProbeResponse, error) {
	return s.probe(ctx, req)
}

func (s *scripted) WatchProbe(req *connracev1.WatchProbeRequest, stream connracev1.RacerService_WatchProbeServer) error {
	return s.watch(req, stream)
}

// failing is a daemon that has the same error for everybody.
func failing(err error) *scripted {
	return &scripted{
		rank: func(context.Context, *connracev1.ResolveAndRankRequest) (*connracev1.ResolveAndRankResponse, error) {
			return nil, err
		},
		race:  func(context.Context, *connracev1.RaceRequest) (*connracev1.RaceResponse, error) { return nil, err },
		probe: func(context.Context, *connracev1.ProbeRequest) (*connracev1.ProbeResponse, error) { return nil, err },
		watch: func(*connracev1.WatchProbeRequest, connracev1.RacerService_WatchProbeServer) error { return err },
	}
}

// asking returns a client of a scripted daemon, reached through memory.
func asking(t *testing.T, daemon *scripted) *client.Client {
	t.Helper()
	l := bufconn.Listen(1 << 16)
	s := grpc.NewServer(grpc.WaitForHandlers(true))
	connracev1.RegisterRacerServiceServer(s, daemon)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return dial(t, "passthrough:///memory", grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return l.DialContext(ctx)
	}))
}

func dial(t *testing.T, target string, opts ...grpc.DialOption) *client.Client {
	t.Helper()
	c, err := client.New(target, opts...)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// patient is a context that ends a test that would hang.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// calls are all calls of a client, each with any request.
func calls(ctx context.Context, c *client.Client) map[string]error {
	_, rank := c.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Target: "127.0.0.1:80"})
	_, race := c.Race(ctx, &connracev1.RaceRequest{Target: "127.0.0.1:80"})
	_, probe := c.Probe(ctx, &connracev1.ProbeRequest{Target: "127.0.0.1:80"})
	var watch error
	for _, err := range c.WatchProbe(ctx, &connracev1.WatchProbeRequest{Target: "127.0.0.1:80"}) {
		watch = err
	}
	return map[string]error{"ResolveAndRank": rank, "Race": race, "Probe": probe, "WatchProbe": watch}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
