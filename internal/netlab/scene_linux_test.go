package netlab_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/internal/netlab/topology"
)

// everything has each kind of port and answer that a file can have.
const everything = `
client: [192.0.2.9/24, "2001:db8:9::9/64"]
resolver: {delay: 2ms}
hosts:
  - addresses: [198.51.100.1, "2001:db8:80::1"]
    delay: 5ms
    ports:
      80: {http: {status: 418, delay: 20ms, body: "short and stout"}}
      443: {tls: {names: [tls.example], alpn: [h2]}, http: {}}
      444: {tls: {names: [tls.example], expired: true}}
      445: stall-tls
      446: garbage
      1001: accept
      1002: hang
      1003: full-queue
      1004: {reset: 20ms}
      50051: {health: {"": SERVING, "a": NOT_SERVING, "b": HANG}}
  - address: 198.51.100.2
    state: admin-prohibited
names:
  two.example: {A: [198.51.100.1, 198.51.100.2], AAAA: {addresses: ["2001:db8:80::1"], delay: 30ms}}
  www.example: {CNAME: two.example}
  first.example: {A: {rcode: SERVFAIL, then: [198.51.100.1]}}
`

func build(t *testing.T, file string) *netlab.Scene {
	t.Helper()
	netlabtest.Need(t)
	described, err := topology.Parse("test.yaml", []byte(file))
	must(t, err)
	scene, err := netlab.Build(described)
	must(t, err)
	t.Cleanup(func() { must(t, scene.Close()) })
	return scene
}

// What the file says is what a client meets.
func TestScene(t *testing.T) {
	scene := build(t, everything)
	netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
		began := time.Now()
		r, err := http.Get("http://198.51.100.1/")
		must(t, err)
		body, err := io.ReadAll(r.Body)
		must(t, err)
		must(t, r.Body.Close())
		http.DefaultClient.CloseIdleConnections()
		if r.StatusCode != http.StatusTeapot || string(body) != "short and stout" {
			t.Errorf("%d %q", r.StatusCode, body)
		}
		watch.Near("the reply of HTTP", time.Since(began), 40*ms)
	})
	t.Run("tls", func(t *testing.T) {
		shakeWithin := func(limit time.Duration, port string, config *tls.Config) (tls.ConnectionState, error) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			d := tls.Dialer{Config: config}
			c, err := d.DialContext(ctx, "tcp", "[2001:db8:80::1]:"+port)
			if err != nil {
				return tls.ConnectionState{}, err
			}
			return c.(*tls.Conn).ConnectionState(), c.Close()
		}
		shake := func(port string, config *tls.Config) (tls.ConnectionState, error) {
			return shakeWithin(patience, port, config)
		}
		trusting := &tls.Config{RootCAs: scene.Authority.Pool(), ServerName: "tls.example", NextProtos: []string{"http/1.1", "h2"}}
		state, err := shake("443", trusting)
		must(t, err)
		if state.NegotiatedProtocol != "h2" {
			t.Errorf("agreed on %q", state.NegotiatedProtocol)
		}
		var wrong *tls.CertificateVerificationError
		for name, err := range map[string]error{
			"nobody trusts it outside": second(shake("443", &tls.Config{ServerName: "tls.example"})),
			"another name":             second(shake("443", &tls.Config{RootCAs: scene.Authority.Pool(), ServerName: "other.example"})),
			"expired":                  second(shake("444", trusting)),
		} {
			if !errors.As(err, &wrong) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := shakeWithin(500*ms, "445", trusting); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a stalled ServerHello: %v", err)
		}
		var garbled tls.RecordHeaderError
		if _, err := shake("446", trusting); !errors.As(err, &garbled) {
			t.Errorf("garbage: %v", err)
		}
	})
	t.Run("tcp", func(t *testing.T) {
		for port, want := range map[uint16]error{1001: nil, 1002: nil, 1004: syscall.ECONNRESET, 1005: syscall.ECONNREFUSED} {
			c, err := dial(t, netip.AddrPortFrom(server4, port), patience)
			if port == 1004 && err == nil { // else the RST was faster than the client
				_, err = c.Read(make([]byte, 1))
			}
			mustBe(t, err, want)
		}
		_, err := dial(t, netip.AddrPortFrom(server4, 1003), 200*ms)
		mustTimeOut(t, err)
		_, err = dial(t, netip.MustParseAddrPort("198.51.100.2:80"), patience)
		mustBe(t, err, syscall.EHOSTUNREACH)
	})
	t.Run("health", func(t *testing.T) {
		conn, err := grpc.NewClient("198.51.100.1:50051", grpc.WithTransportCredentials(insecure.NewCredentials()))
		must(t, err)
		defer conn.Close()
		for service, want := range map[string]codes.Code{"": codes.OK, "a": codes.OK, "b": codes.DeadlineExceeded, "c": codes.NotFound} {
			limit := patience
			if want == codes.DeadlineExceeded {
				limit = 300 * ms
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			r, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
			cancel()
			if status.Code(err) != want || (service == "a") != (r.GetStatus() == grpc_health_v1.HealthCheckResponse_NOT_SERVING) {
				t.Errorf("%q: %v, %v", service, r, err)
			}
		}
	})
	netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
		began := time.Now()
		got, err := net.DefaultResolver.LookupNetIP(t.Context(), "ip", "www.example.")
		must(t, err)
		if len(got) != 3 {
			t.Errorf("www.example is %v", got)
		}
		watch.Near("the answer with both families", time.Since(began), 34*ms)
		_, err = net.DefaultResolver.LookupNetIP(t.Context(), "ip4", "gone.example.")
		var dns *net.DNSError
		if !errors.As(err, &dns) || !dns.IsNotFound {
			t.Errorf("gone.example: %v", err)
		}
	})
}

// A full accept queue is a black hole whose SYNs arrive: the wire tells the two
// apart, and no client can.
func TestFullQueueOnTheWire(t *testing.T) {
	scene := build(t, everything)
	_, err := timed(t, netip.AddrPortFrom(server6, 1003), 100*ms)
	mustTimeOut(t, err)
	packets, err := scene.Packets()
	must(t, err)
	arrived := 0
	for _, p := range packets {
		switch p.Kind {
		case link.SYN:
			arrived++
			if p.Fate != link.Delivered || p.To != netip.AddrPortFrom(server6, 1003) {
				t.Errorf("SYN to %v was %s", p.To, p.Fate)
			}
		case link.SYNACK, link.Established:
			t.Errorf("the wire saw %s from %v", p.Kind, p.From)
		}
	}
	if arrived != 1 {
		t.Errorf("%d SYNs, want the one", arrived)
	}
}

// A second attempt to the same address does not wait for the kernel's second SYN:
// a lost one costs what the client's patience is, not a second.
func TestSecondAttemptBeatsALostSYN(t *testing.T) {
	netlabtest.Punctually(t, secondAttempt)
}

func secondAttempt(t *testing.T, watch *netlabtest.Watch) {
	lab := netlabtest.Start(t, netlab.Config{})
	path(t, lab, server4, link.Path{Delay: 5 * ms, LoseSYN: []int{1}})
	h := serve(t, lab, server4, netlab.Read())
	began := time.Now()
	first := make(chan time.Duration, 1)
	go func() {
		took, err := timed(t, h.Addr(), patience)
		if err != nil {
			t.Error(err)
		}
		first <- took
	}()
	eventually(t, "the first SYN is lost", func() bool {
		packets, err := lab.Packets()
		must(t, err)
		return link.Tallies(packets)[server4].SYNs == 1
	})
	time.Sleep(250 * ms)
	_, err := timed(t, h.Addr(), patience)
	must(t, err)
	watch.Near("the second attempt", time.Since(began), 260*ms)
	// A kernel counts a second in steps of 32 ms at 250 Hz, of 64 at 1000, of 80 at 100.
	watch.Between("the first attempt", <-first, 1010*ms, 1010*ms+80*ms+slack)
}
