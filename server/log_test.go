package server_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/server"
)

// call is one RPC and the line it must leave.
type call struct {
	method, code string
	make         func(context.Context, connracev1.RacerServiceClient) error
}

// calls ask for a name and an address that no log may show and nobody answers
// at, and end in every way.
func calls(secret, literal string) []call {
	return []call{
		{"Race", "OK", func(ctx context.Context, rpc connracev1.RacerServiceClient) error {
			_, err := rpc.Race(ctx, &connracev1.RaceRequest{Candidates: candidates(secret, literal)})
			return err
		}},
		{"Race", "FailedPrecondition", func(ctx context.Context, rpc connracev1.RacerServiceClient) error {
			_, err := rpc.Race(ctx, &connracev1.RaceRequest{Candidates: candidates(secret, literal), FailUnlessWon: true})
			return err
		}},
		{"Race", "InvalidArgument", func(ctx context.Context, rpc connracev1.RacerServiceClient) error {
			_, err := rpc.Race(ctx, &connracev1.RaceRequest{Target: "secret.example"})
			return err
		}},
		{"ResolveAndRank", "InvalidArgument", func(ctx context.Context, rpc connracev1.RacerServiceClient) error {
			_, err := rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Target: "127.9.9.9"})
			return err
		}},
		{"ResolveAndRank", "OK", func(ctx context.Context, rpc connracev1.RacerServiceClient) error {
			_, err := rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Target: literal})
			return err
		}},
		{"Probe", "FailedPrecondition", func(ctx context.Context, rpc connracev1.RacerServiceClient) error {
			_, err := rpc.Probe(ctx, &connracev1.ProbeRequest{Target: literal, FailUnlessReachable: true})
			return err
		}},
		{"WatchProbe", "FailedPrecondition", func(ctx context.Context, rpc connracev1.RacerServiceClient) error {
			return ends(rpc.WatchProbe(ctx, &connracev1.WatchProbeRequest{Target: literal, FailUnlessReachable: true}))
		}},
		{"WatchProbe", "InvalidArgument", func(ctx context.Context, rpc connracev1.RacerServiceClient) error {
			return ends(rpc.WatchProbe(ctx, &connracev1.WatchProbeRequest{Candidates: candidates("secret.example"), Interval: durationpb.New(-1)}))
		}},
	}
}

// ends reads a stream to its end.
func ends(stream watchStream, err error) error {
	for err == nil {
		_, err = stream.Recv()
	}
	return err
}

func TestLog(t *testing.T) {
	t.Parallel()
	shy := netip.MustParseAddr("127.9.9.9")
	at := hostAt(t, netlab.Refuse, netip.AddrPortFrom(shy, 0)).Addr()
	dns := names(t, map[string]netlab.Answers{"secret.example.": addresses(shy)})
	secrets := []string{"secret", shy.String(), fmt.Sprintf(":%d", at.Port())}
	for _, c := range calls(fmt.Sprintf("secret.example.:%d", at.Port()), at.String()) {
		t.Run(c.method+" "+c.code, func(t *testing.T) {
			t.Parallel()
			d := serve(t, named(dns))
			_ = c.make(patient(t), d.rpc) // the log tells how it ended
			eventually(t, "the call is logged", func() bool { return len(d.log.lines(t, "finished call")) > 0 })
			d.shutdown(t) // nothing more can come
			lines := d.log.lines(t, "finished call")
			if all := strings.Count(d.log.String(), "\n"); len(lines) != 1 || all != 1 {
				t.Fatalf("%d of %d lines are of the call, want 1 of 1: %s", len(lines), all, d.log)
			}
			if line := lines[0]; line["grpc.service"] != "connrace.v1.RacerService" || line["grpc.method"] != c.method || line["grpc.code"] != c.code {
				t.Errorf("the line is %v, want %s of %s", line, c.code, c.method)
			}
			for _, word := range secrets {
				if strings.Contains(d.log.String(), word) {
					t.Errorf("the log tells %q: %s", word, d.log)
				}
			}
		})
	}
}

// Health checks are RPCs too.
func TestLogOfHealth(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for _, service := range []string{"", "none"} {
		_, _ = healthpb.NewHealthClient(d.conn).Check(patient(t), &healthpb.HealthCheckRequest{Service: service})
	}
	eventually(t, "both are logged", func() bool { return len(d.log.lines(t, "finished call")) == 2 })
	var codes []string
	for _, line := range d.log.lines(t, "finished call") {
		codes = append(codes, line["grpc.code"].(string))
	}
	if want := []string{"OK", "NotFound"}; !slices.Equal(codes, want) {
		t.Errorf("the codes are %v, want %v", codes, want)
	}
}

// Without a logger nothing is logged, and everything works.
func TestNoLog(t *testing.T) {
	t.Parallel()
	s := server.New(server.Config{})
	s.Shutdown(t.Context())
}
