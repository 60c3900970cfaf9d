package server_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// services are what health is told of.
var services = []string{"", "connrace.v1.RacerService"}

func TestHealth(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	client := healthpb.NewHealthClient(d.conn)
	for _, service := range services {
		reply, err := client.Check(patient(t), &healthpb.HealthCheckRequest{Service: service})
		must(t, err)
		if got := reply.GetStatus(); got != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q is %v, want it SERVING", service, got)
		}
	}
	_, err := client.Check(patient(t), &healthpb.HealthCheckRequest{Service: "connrace.v1.Nothing"})
	if s := status.Convert(err); s.Code() != codes.NotFound || len(s.Details()) > 0 { // as docs/reference.md says
		t.Errorf("an unknown service is %v with %v, want NOT_FOUND without details", err, s.Details())
	}
}

// A load balancer that watches learns of the end before its connection does.
func TestHealthAtShutdown(t *testing.T) {
	t.Parallel()
	for _, service := range services {
		d := serve(t, plain())
		ctx, leave := context.WithCancel(patient(t))
		stream, err := healthpb.NewHealthClient(d.conn).Watch(ctx, &healthpb.HealthCheckRequest{Service: service})
		must(t, err)
		status := func() healthpb.HealthCheckResponse_ServingStatus {
			reply, err := stream.Recv()
			must(t, err)
			return reply.GetStatus()
		}
		if got := status(); got != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q is %v at first, want it SERVING", service, got)
		}
		down := make(chan struct{})
		go func() {
			defer close(down)
			d.shutdown(t)
		}()
		if got := status(); got != healthpb.HealthCheckResponse_NOT_SERVING {
			t.Errorf("%q is %v at the end, want it NOT_SERVING", service, got)
		}
		leave()
		<-down
	}
}

// A load balancer that goes on watching does not hold up the stop: its stream
// ends by itself, after it has heard NOT_SERVING.
func TestShutdownEndsAHealthWatch(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	ctx := patient(t)
	stream, err := healthpb.NewHealthClient(d.conn).Watch(ctx, &healthpb.HealthCheckRequest{})
	must(t, err)
	_, err = stream.Recv()
	must(t, err)
	unbounded, cancel := context.WithCancel(context.Background())
	defer cancel()
	down := make(chan struct{})
	go func() {
		defer close(down)
		d.Shutdown(unbounded)
	}()
	reply, err := stream.Recv()
	must(t, err)
	if reply.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("the last word is %v, want NOT_SERVING", reply.GetStatus())
	}
	if _, err := stream.Recv(); err == nil || ctx.Err() != nil {
		t.Errorf("the watch ends with %v, want the daemon to end it", err)
	}
	select {
	case <-down:
	case <-ctx.Done():
		t.Fatal("the shutdown waits for a health watch")
	}
}
