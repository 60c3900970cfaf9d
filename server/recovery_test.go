package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/prototext"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/server"
)

// insides are words of a panic and its stack.
var insides = []string{"nil pointer", "invalid memory", "panic", "goroutine", "runtime", ".go:", "racer."}

// A server without a racer panics in every handler; nobody but the log may know
// why, and the daemon lives on.
func TestPanic(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(context.Context, connracev1.RacerServiceClient, ...grpc.CallOption) error{
		"Race": func(ctx context.Context, rpc connracev1.RacerServiceClient, opts ...grpc.CallOption) error {
			_, err := rpc.Race(ctx, &connracev1.RaceRequest{Target: "127.0.0.1:80"}, opts...)
			return err
		},
		"ResolveAndRank": func(ctx context.Context, rpc connracev1.RacerServiceClient, opts ...grpc.CallOption) error {
			_, err := rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Target: "127.0.0.1:80"}, opts...)
			return err
		},
		"Probe": func(ctx context.Context, rpc connracev1.RacerServiceClient, opts ...grpc.CallOption) error {
			_, err := rpc.Probe(ctx, &connracev1.ProbeRequest{Target: "127.0.0.1:80"}, opts...)
			return err
		},
		"WatchProbe": func(ctx context.Context, rpc connracev1.RacerServiceClient, opts ...grpc.CallOption) error {
			stream, err := rpc.WatchProbe(ctx, &connracev1.WatchProbeRequest{Target: "127.0.0.1:80"}, opts...)
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := serve(t, server.Config{})
			var header, trailer metadata.MD
			err := call(patient(t), d.rpc, grpc.Header(&header), grpc.Trailer(&trailer))
			st, _ := refusedBecause(t, err, codes.Internal, "INTERNAL")
			told := fmt.Sprint(prototext.Format(st.Proto()), header, trailer)
			for _, word := range insides {
				if strings.Contains(told, word) {
					t.Errorf("the client reads %q: %s", word, told)
				}
			}
			isLogged(t, d.log, name)
			livesOn(t, d)
		})
	}
}

// isLogged wants the panic in the log with its stack, and the call as the
// Internal it became.
func isLogged(t *testing.T, log *logbook, method string) {
	t.Helper()
	panics := log.lines(t, "panic in a handler")
	if len(panics) != 1 {
		t.Fatalf("the log has %d panics: %s", len(panics), log)
	}
	for _, word := range []string{"nil pointer", ".go:", method} {
		if !strings.Contains(log.String(), word) {
			t.Errorf("the log does not say %q: %s", word, log)
		}
	}
	eventually(t, "the call is logged", func() bool { return len(log.lines(t, "finished call")) == 1 })
	if line := log.lines(t, "finished call")[0]; line["grpc.code"] != "Internal" || line["grpc.method"] != method {
		t.Errorf("the log's line is %v, want Internal of %s", line, method)
	}
}

func livesOn(t *testing.T, d *daemon) {
	t.Helper()
	reply, err := healthpb.NewHealthClient(d.conn).Check(patient(t), &healthpb.HealthCheckRequest{})
	must(t, err)
	if got := reply.GetStatus(); got != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health is %v", got)
	}
}
