package racer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/racer/sched"
)

// BenchmarkConnect compares a race on loopback with a plain connect. Compare the
// rows of one run with each other, never with those of another.
func BenchmarkConnect(b *testing.B) {
	b.Run("net.Dialer", func(b *testing.B) {
		endpoint := acceptHosts(b, 1)[0].Endpoint
		for b.Loop() {
			conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", endpoint)
			if err != nil {
				b.Fatal(err)
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	})
	for _, n := range []int{1, 2, 8} {
		b.Run(fmt.Sprintf("all at once of %d", n), func(b *testing.B) {
			request := RaceRequest{
				Target:  Target{Candidates: acceptHosts(b, n)},
				Options: Options{Strategy: sched.AllAtOnce}, NoTranscript: true,
			}
			r := New(Config{})
			b.ReportAllocs()
			for b.Loop() {
				if result, err := r.Race(context.Background(), request); err != nil || result.Winner == nil {
					b.Fatalf("no winner: %v", err)
				}
			}
		})
	}
}

// acceptHosts starts n healthy hosts.
func acceptHosts(b *testing.B, n int) []CandidateSpec {
	b.Helper()
	specs := make([]CandidateSpec, n)
	for i := range specs {
		host, err := netlab.Accept(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}), 0))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = host.Close() })
		specs[i].Endpoint = host.Addr().String()
	}
	return specs
}
