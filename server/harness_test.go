package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/server"
)

// patience is how long a test waits for what must happen: long enough for a
// busy machine, and far below what a hanging call would take.
const patience = 20 * time.Second

// daemon is a server under test, a client of it and what it logged.
type daemon struct {
	*server.Server
	conn *grpc.ClientConn
	rpc  connracev1.RacerServiceClient
	log  *logbook
	done chan error // what Serve returns
}

// serve starts a daemon that is reached through memory.
func serve(t *testing.T, cfg server.Config) *daemon {
	t.Helper()
	l := bufconn.Listen(1 << 16)
	return serveOn(t, cfg, l, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return l.DialContext(ctx)
	}))
}

// serveTCP starts a daemon on loopback.
func serveTCP(t *testing.T, cfg server.Config, opts ...grpc.DialOption) (*daemon, net.Addr) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return serveOn(t, cfg, l, opts...), l.Addr()
}

func serveOn(t *testing.T, cfg server.Config, l net.Listener, opts ...grpc.DialOption) *daemon {
	t.Helper()
	d := &daemon{log: &logbook{}, done: make(chan error, 1)}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewJSONHandler(d.log, nil))
	}
	d.Server = server.New(cfg)
	go func() { d.done <- d.Serve(l) }()
	d.conn = dial(t, l.Addr(), opts...)
	d.rpc = connracev1.NewRacerServiceClient(d.conn)
	t.Cleanup(func() {
		must(t, d.conn.Close())
		d.shutdown(t)
	})
	return d
}

// dial returns a connection to a daemon that is closed when the test ends.
func dial(t *testing.T, to net.Addr, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	opts = append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient("passthrough:///"+to.String(), opts...)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// shutdown stops the daemon, which must come to an end by itself.
func (d *daemon) shutdown(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d.Shutdown(ctx)
	if ctx.Err() != nil {
		t.Errorf("the daemon is not down after %v", patience)
	}
}

// plain is the configuration of a daemon that needs no DNS.
func plain() server.Config {
	return server.Config{Racer: racer.New(racer.Config{}), Version: "v1.2.3", Vantage: "lab"}
}

// named is the configuration of a daemon that asks dns.
func named(dns *netlab.DNS) server.Config {
	cfg := plain()
	cfg.Racer = racer.New(racer.Config{DNSServer: dns.Addr()})
	return cfg
}

var (
	one = netip.MustParseAddr("127.0.0.1")
	two = netip.MustParseAddr("127.0.0.2")
)

// host starts a host on a port of its own.
func host(t *testing.T, behave func(netip.AddrPort) (*netlab.Host, error)) *netlab.Host {
	t.Helper()
	return hostAt(t, behave, netip.AddrPortFrom(one, 0))
}

func hostAt(t *testing.T, behave func(netip.AddrPort) (*netlab.Host, error), at netip.AddrPort) *netlab.Host {
	t.Helper()
	h, err := behave(at)
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	return h
}

// port returns one that is free on both addresses.
func port(t *testing.T) uint16 {
	t.Helper()
	p, err := netlab.FreePort(one, two)
	must(t, err)
	return p
}

// names starts a name server.
func names(t *testing.T, script map[string]netlab.Answers) *netlab.DNS {
	t.Helper()
	dns, err := netlab.StartDNS(netip.AddrPortFrom(one, 0))
	must(t, err)
	t.Cleanup(func() { must(t, dns.Close()) })
	for name, answers := range script {
		dns.Set(name, answers)
	}
	return dns
}

// addresses is an answer of A records.
func addresses(addrs ...netip.Addr) netlab.Answers {
	return netlab.Answers{A: netlab.Answer{Addrs: addrs}}
}

// candidates are a request's, without labels.
func candidates(endpoints ...string) []*connracev1.CandidateSpec {
	specs := make([]*connracev1.CandidateSpec, len(endpoints))
	for i, e := range endpoints {
		specs[i] = &connracev1.CandidateSpec{Endpoint: e}
	}
	return specs
}

// patient is a context that ends a test that would hang.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(patience, cancel)
	t.Cleanup(func() { timer.Stop(); cancel() })
	return ctx // no deadline: the server would see it
}

// logbook is where a daemon logs to: JSON, an object a line.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logbook) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(line)
}

func (b *logbook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// lines returns all lines with the given message.
func (b *logbook) lines(t *testing.T, message string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for text := range bytes.Lines([]byte(b.String())) {
		var line map[string]any
		must(t, json.Unmarshal(text, &line))
		if line["msg"] == message {
			found = append(found, line)
		}
	}
	return found
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for what another goroutine or the kernel is about to do.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}
