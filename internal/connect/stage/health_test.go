package stage

import (
	"context"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// A peer that is no gRPC server costs a check about as much memory as it has said,
// whatever lengths an HTTP/2 frame would have that begins like that.
func TestHealthOfOtherPeersIsCheap(t *testing.T) {
	const checks, most = 10, 1 << 20
	for name, words := range map[string]string{
		"SSH":          "SSH-2.0-OpenSSH_9.6\r\n",
		"HTTP/1.1":     "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
		"a long frame": "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\xff\xff\xff\x00\x00\x00\x00\x00\x01",
	} {
		at := script(t, says(words))
		check := func() {
			conn, err := net.Dial("tcp", at.String())
			must(t, err)
			began := time.Now()
			c := Criterion{Health: &Health{}}
			if _, _, f, ok := c.Run(t.Context(), Peer{Endpoint: at}, conn, func() time.Duration { return time.Since(began) }); ok {
				t.Errorf("%s: the check says %+v", name, f)
			}
		}
		check()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range checks {
			check()
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / checks; each > most {
			t.Errorf("%s: a check allocates %d KiB", name, each>>10)
		}
	}
}

// A check has one connection, and gRPC does not spin for another one.
func TestHealthDoesNotSpin(t *testing.T) {
	at := script(t, says("SSH-2.0-OpenSSH_9.6\r\n"))
	conn, err := net.Dial("tcp", at.String())
	must(t, err)
	defer func() { _ = conn.Close() }()
	var dials atomic.Int64
	r := &run{Criterion: &Criterion{Health: &Health{}}, peer: Peer{Endpoint: at}, conn: conn}
	client, err := grpc.NewClient("passthrough:///peer", append(r.dialOptions(conn),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if dials.Add(1) == 1 {
				return conn, nil
			}
			return nil, errGone
		}))...)
	must(t, err)
	defer func() { _ = client.Close() }()
	_, err = grpc_health_v1.NewHealthClient(client).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err == nil {
		t.Error("it is healthy")
	}
	time.Sleep(100 * time.Millisecond) // spinning it dials some 2,000 times meanwhile
	if n := dials.Load(); n > 100 {
		t.Errorf("it dials %d times: %v", n, err)
	}
}
