//go:build linux

package netlab_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/connrace/connrace/internal/netlab"
)

// What was sent to a hanging host lies in its kernel's buffer, to the byte.
func TestHangLeavesDataUnread(t *testing.T) {
	t.Parallel()
	h := serving(t, netlab.Hang())
	c := mustDial(t, h.Addr())
	counts(t, h, 1, 1)
	sent := 0
	for range 3 {
		n, err := c.Write([]byte("hello"))
		must(t, err)
		sent += n
		eventually(t, "all of it unread", func() bool { return unread(t, h.Addr(), local(c)) == sent })
	}
	time.Sleep(silence)
	if got := unread(t, h.Addr(), local(c)); got != sent {
		t.Errorf("%d bytes unread, want %d", got, sent)
	}
}

func local(c net.Conn) netip.AddrPort { return c.LocalAddr().(*net.TCPAddr).AddrPort() }

// unread asks the kernel how many bytes wait at the end of a connection that
// belongs to the host.
func unread(t *testing.T, host, client netip.AddrPort) int {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	must(t, err)
	for line := range strings.Lines(string(table)) {
		// sl local remote st tx:rx ...
		f := strings.Fields(line)
		if len(f) < 5 || f[1] != procAddr(host) || f[2] != procAddr(client) {
			continue
		}
		_, rx, _ := strings.Cut(f[4], ":")
		n, err := strconv.ParseInt(rx, 16, 64)
		must(t, err)
		return int(n)
	}
	t.Fatalf("no connection from %v to %v", client, host)
	return 0
}

// procAddr writes an IPv4 address as /proc/net/tcp does: as a number of this
// machine's.
func procAddr(a netip.AddrPort) string {
	ip := a.Addr().As4()
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip[:]), a.Port())
}

// A host that does not read sees all the same that its peer is gone, so that it
// keeps no connection nobody has the other end of.
func TestPeerLeavesWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]netlab.Behaviour{"hang": netlab.Hang(), "reset": netlab.Reset(time.Hour)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := serving(t, b)
			leave := map[string]func(c *net.TCPConn){
				"FIN":       func(c *net.TCPConn) { must(t, c.Close()) },
				"half":      func(c *net.TCPConn) { must(t, c.CloseWrite()) },
				"RST":       func(c *net.TCPConn) { must(t, c.SetLinger(0)); must(t, c.Close()) },
				"sent, FIN": func(c *net.TCPConn) { c.Write([]byte("unread")); must(t, c.Close()) },
				"sent, RST": func(c *net.TCPConn) { c.Write([]byte("unread")); must(t, c.SetLinger(0)); must(t, c.Close()) },
			}
			n := 0
			for _, f := range leave {
				stays, leaves := mustDial(t, h.Addr()), mustDial(t, h.Addr())
				n += 2
				counts(t, h, n, 2)
				f(leaves.(*net.TCPConn))
				counts(t, h, n, 1)
				_, err := stays.Write([]byte("data is no goodbye"))
				must(t, err)
				time.Sleep(5 * time.Millisecond)
				counts(t, h, n, 1)
				must(t, stays.Close())
				counts(t, h, n, 0)
			}
		})
	}
}

// Not parallel: for a moment nobody gets a descriptor.
func TestServeOutlivesALackOfDescriptors(t *testing.T) {
	h := serving(t, netlab.HTTP(netlab.HTTPServer{Body: "alive"}))
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	scarce := limit
	scarce.Cur = uint64(freeDescriptor(t)) + 1 // the client's

	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &scarce))
	c, err := net.DialTimeout("tcp", h.Addr().String(), patience)
	time.Sleep(silence)
	accepted := h.Accepted()
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))

	must(t, err)
	defer c.Close()
	if accepted != 0 {
		t.Fatal("accepted without a descriptor: this test tests nothing")
	}
	counts(t, h, 1, 1)
	get(t, httpClient(t, nil), "http://"+h.Addr().String(), 200, "alive")
}

// freeDescriptor returns the lowest free one, which the next to be opened gets.
func freeDescriptor(t *testing.T) int {
	t.Helper()
	f, err := os.Open(os.DevNull)
	must(t, err)
	defer f.Close()
	return int(f.Fd())
}

// phase is a moment in the life of a connection at which its host closes.
type phase struct {
	name      string
	behaviour netlab.Behaviour

	// client brings the connection there. What it returns waits for what the
	// client sees of the end.
	client client
}

type client = func(t *testing.T, h *netlab.Host) (end func() error)

// Not parallel, so that nobody else opens anything. In whatever phase a client
// hangs, Close ends it at once and leaves nothing.
func TestCloseInEveryPhase(t *testing.T) {
	for _, p := range phases(t) {
		t.Run(p.name, func(t *testing.T) {
			live := func(t *testing.T) {
				h := serving(t, p.behaviour)
				end := p.client(t, h)
				eventually(t, "accepted", func() bool { return h.Accepted() >= 1 })
				time.Sleep(10 * time.Millisecond) // into the phase; no test hangs on it
				if h.Open() != 1 {
					t.Errorf("%d connections open in this phase, want 1", h.Open())
				}
				began := time.Now()
				must(t, h.Close())
				if took := time.Since(began); took > patience/2 {
					t.Errorf("Close took %v", took)
				}
				if h.Open() != 0 {
					t.Errorf("%d connections open after Close", h.Open())
				}
				if err := end(); err == nil || os.IsTimeout(err) {
					t.Errorf("the client sees %v, want it to see the end", err)
				}
			}
			t.Run("warm up", live)
			before := resources(t)
			t.Run("round", func(t *testing.T) {
				for range 3 {
					live(t)
				}
			})
			eventually(t, "no more descriptors and goroutines than before", func() bool {
				now := resources(t)
				return now.descriptors <= before.descriptors && now.goroutines <= before.goroutines
			})
		})
	}
}

func phases(t *testing.T) []phase {
	ca := authority(t)
	server := netlab.TLSServer{Certificate: certificate(t, ca, netlab.Valid, "127.0.0.1"), ALPN: []string{"h2", "http/1.1"}}
	trust := &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"}
	inTLS := func(then netlab.Behaviour) netlab.Behaviour { return netlab.TLS(server, then) }

	late := netlab.HTTP(netlab.HTTPServer{Delay: time.Hour})
	prompt := netlab.HTTP(netlab.HTTPServer{Body: "prompt"})
	big := netlab.HTTP(netlab.HTTPServer{Body: strings.Repeat("big", 32<<20)})
	health, hangs := netlab.Health(netlab.NewHealthServer()), netlab.Health(healthServer(t, "", netlab.HealthHangs))
	hello := string(clientHello(t))

	const request = "GET / HTTP/1.1\r\nHost: lab\r\n\r\n"
	const half = "POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 1000\r\n\r\nhalf"
	return []phase{
		{name: "read", behaviour: netlab.Read(), client: sends("")},
		{name: "hang", behaviour: netlab.Hang(), client: sends("unread")},
		{name: "hang, a write blocks", behaviour: netlab.Hang(), client: blocksInWrite},
		{name: "reset to come", behaviour: netlab.Reset(time.Hour), client: sends("unread")},
		{name: "garbage to come", behaviour: netlab.Garbage(), client: sends("")},
		{name: "garbage", behaviour: netlab.Garbage(), client: sends("anything")},
		{name: "stalled", behaviour: netlab.StallTLS(), client: shakes(trust)},
		{name: "stalled midway", behaviour: netlab.StallTLSMidway(), client: shakes(trust)},
		{name: "stalled midway, half a ClientHello", behaviour: netlab.StallTLSMidway(), client: sends(hello[:100])},

		{name: "tls, no ClientHello", behaviour: inTLS(netlab.Read()), client: sends("")},
		{name: "tls, half a ClientHello", behaviour: inTLS(netlab.Read()), client: sends(hello[:100])},
		{name: "tls, no answer to the ServerHello", behaviour: inTLS(netlab.Read()), client: sends(hello)},
		{name: "tls, failed", behaviour: inTLS(netlab.Read()), client: fails},
		{name: "tls, read", behaviour: inTLS(netlab.Read()), client: shakesAndSends(trust, "")},
		{name: "tls, hang", behaviour: inTLS(netlab.Hang()), client: shakesAndSends(trust, "unread")},
		{name: "tls in tls, no ClientHello", behaviour: inTLS(inTLS(netlab.Read())), client: shakesAndSends(trust, "")},

		{name: "http, no request", behaviour: prompt, client: sends("")},
		{name: "http, half a header", behaviour: prompt, client: sends(request[:20])},
		{name: "http, half a body", behaviour: late, client: sends(half)},
		{name: "http, delay", behaviour: late, client: sends(request)},
		{name: "http, kept alive", behaviour: prompt, client: sends(request)},
		{name: "http, the client does not read", behaviour: big, client: sends(request)},
		{name: "https, delay", behaviour: inTLS(late), client: shakesAndSends(trust, request)},
		{name: "https, kept alive", behaviour: inTLS(prompt), client: shakesAndSends(trust, request)},
		{name: "https, the client does not read", behaviour: inTLS(big), client: shakesAndSends(trust, request)},
		{name: "http/2, no preface", behaviour: inTLS(prompt), client: shakesAndSends(h2(trust), "")},
		{name: "http/2, delay", behaviour: inTLS(late), client: gets(trust, nil)},
		{name: "http/2, a body without end", behaviour: inTLS(late), client: gets(trust, zeros{})},
		{name: "http/2, kept alive", behaviour: inTLS(prompt), client: keepsAlive(trust)},

		{name: "grpc, no preface", behaviour: health, client: sends("")},
		{name: "grpc, half a preface", behaviour: health, client: sends("PRI * HTTP")},
		{name: "grpc, Check hangs", behaviour: hangs, client: checks(nil)},
		{name: "grpc, Watch", behaviour: health, client: watches(nil)},
		{name: "grpc, Watch hangs", behaviour: hangs, client: watches(nil)},
		{name: "grpc over tls, Check hangs", behaviour: inTLS(hangs), client: checks(trust)},
		{name: "grpc over tls, Watch", behaviour: inTLS(health), client: watches(trust)},
	}
}

func h2(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.NextProtos = []string{"h2"}
	return config
}

// sends is a client that sends and then only waits.
func sends(what string) client {
	return func(t *testing.T, h *netlab.Host) func() error {
		c := mustDial(t, h.Addr())
		_, err := c.Write([]byte(what))
		must(t, err)
		return func() error { return reads(t, c) }
	}
}

// shakes is a client in its handshake.
func shakes(config *tls.Config) client {
	return func(t *testing.T, h *netlab.Host) func() error {
		c := mustDial(t, h.Addr())
		must(t, c.SetDeadline(time.Now().Add(patience)))
		return async(tls.Client(c, config).Handshake)
	}
}

// shakesAndSends is sends inside TLS.
func shakesAndSends(config *tls.Config, what string) client {
	return func(t *testing.T, h *netlab.Host) func() error {
		c, err := handshake(t, h, config)
		must(t, err)
		_, err = c.Write([]byte(what))
		must(t, err)
		return func() error { return reads(t, c) }
	}
}

// reads wants the connection to end with RST, whatever comes before.
func reads(t *testing.T, c net.Conn) error {
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.Copy(io.Discard, c)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reading ends with %v, want a reset", err)
	}
	return err
}

// fails is a client whose handshake failed and that does not close.
func fails(t *testing.T, h *netlab.Host) func() error {
	c := mustDial(t, h.Addr())
	_, err := c.Write([]byte("no TLS at all"))
	must(t, err)
	ends(t, c, nil)
	return func() error {
		_, err := c.Write([]byte("anybody there?"))
		return err
	}
}

func blocksInWrite(t *testing.T, h *netlab.Host) func() error {
	return blocks(t, mustDial(t, h.Addr()))
}

// gets is a request in flight; a client of its own makes each.
func gets(config *tls.Config, body io.Reader) client {
	return func(t *testing.T, h *netlab.Host) func() error {
		client := httpClient(t, config.Clone())
		r, err := http.NewRequest(http.MethodPost, "https://"+h.Addr().String(), body)
		must(t, err)
		return async(func() error {
			answer, err := client.Do(r)
			if err == nil {
				answer.Body.Close()
			}
			return err
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func keepsAlive(config *tls.Config) client {
	return func(t *testing.T, h *netlab.Host) func() error {
		client, url := httpClient(t, config.Clone()), "https://"+h.Addr().String()
		if _, proto := get(t, client, url, 200, "prompt"); proto != "HTTP/2.0" {
			t.Errorf("protocol is %s", proto)
		}
		return func() error { return fetch(client, url) }
	}
}

// checks is a health check in flight; nil is no TLS.
func checks(config *tls.Config) client {
	return func(t *testing.T, h *netlab.Host) func() error {
		client := healthClient(t, h.Addr(), config)
		return async(func() error {
			_, err := check(t, client, "", patience)
			return notByDeadline(err)
		})
	}
}

func watches(config *tls.Config) client {
	return func(t *testing.T, h *netlab.Host) func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		t.Cleanup(cancel)
		stream, err := healthClient(t, h.Addr(), config).Watch(ctx, &healthpb.HealthCheckRequest{})
		must(t, err)
		return async(func() error {
			for {
				if _, err := stream.Recv(); err != nil {
					return notByDeadline(err)
				}
			}
		})
	}
}

// notByDeadline turns gRPC's word for a timeout into the one of the others.
func notByDeadline(err error) error {
	if status.Code(err) == codes.DeadlineExceeded {
		return os.ErrDeadlineExceeded
	}
	return err
}

// async starts f; what it returns waits for it.
func async(f func() error) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return func() error { return <-done }
}
