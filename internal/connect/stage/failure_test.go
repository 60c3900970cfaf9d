package stage

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/racer/sched"
)

// failing is a peer, what is asked of it and how it must be called.
type failing struct {
	what   string
	at     netip.AddrPort
	ask    *Criterion
	typ    string
	text   string // in the sentence
	phases string
}

func TestFailures(t *testing.T) {
	w, stranger := newWorld(t), newWorld(t)
	for _, f := range [][]failing{
		certificateFailures(t, w, stranger), tlsFailures(t, w), httpFailures(t, w), healthFailures(t, w), firstByteFailures(t, w),
	} {
		for _, f := range f {
			t.Run(f.what, func(t *testing.T) {
				o := attempt(t, f.ask, f.at, "lab.example")
				if o.ok || o.failure.Type != f.typ || !strings.Contains(o.failure.Text, f.text) || o.phases() != f.phases {
					t.Errorf("ok %v in %q with %+v,\nwant %q in %q with %q", o.ok, o.phases(), o.failure, f.typ, f.phases, f.text)
				}
				if reset := f.typ == "connection_reset"; reset != (o.failure.Errno == "ECONNRESET" || o.failure.Errno == "EPIPE") {
					t.Errorf("errno is %q", o.failure.Errno)
				}
				if o.failure.Fault != sched.FaultTarget {
					t.Errorf("it is the fault of %s", o.failure.Fault)
				}
			})
		}
	}
}

func certificateFailures(t *testing.T, w, stranger *world) []failing {
	showing := func(cert tls.Certificate) netip.AddrPort {
		return serve(t, netlab.TLS(netlab.TLSServer{Certificate: cert}, netlab.Read()))
	}
	many := w.certificate(t, netlab.Valid, "a.example", "b.example", "c.example", "d.example", "e.example", "f.example", "192.0.2.7")
	expired, early := w.certificate(t, netlab.Expired, "lab.example"), w.certificate(t, netlab.NotYetValid, "lab.example")
	wrongUse := clientsOnly(t, w)
	ask := &Criterion{TLS: w.tls(), HTTP: &HTTP{}}
	const phase = "tls_handshake"
	return []failing{
		{"expired", showing(expired), ask, "certificate_expired", "expired on " + date(expired.Leaf.NotAfter), phase},
		{"not yet valid", showing(early), ask, "certificate_not_yet_valid", "valid from " + date(early.Leaf.NotBefore), phase},
		{"another name", showing(many), ask, "certificate_name_mismatch", `"e.example" and 2 more and not for "lab.example"`, phase},
		{"another address", showing(many), &Criterion{TLS: &TLS{Roots: w.Pool(), ServerName: "192.0.2.8"}}, "certificate_name_mismatch", `not for "192.0.2.8"`, phase},
		{"unknown root", showing(stranger.cert), ask, "certificate_unknown_authority", "connrace netlab authority", phase},
		{"the system's roots", showing(w.cert), &Criterion{TLS: &TLS{}}, "certificate_unknown_authority", "not trusted here", phase},
		{"self-signed", showing(selfSigned(t, "lab.example")), ask, "certificate_unknown_authority", "self-signed", phase},
		{"not for servers", showing(wrongUse), ask, "certificate_invalid", "key usage", phase},
	}
}

func tlsFailures(t *testing.T, w *world) []failing {
	speaking := func(config *tls.Config) netip.AddrPort {
		config.Certificates = []tls.Certificate{w.cert}
		return script(t, func(c net.Conn) {
			if tls.Server(c, config).Handshake() == nil {
				io.Copy(io.Discard, c)
			}
			hangUp(c)
		})
	}
	ask := &Criterion{TLS: w.tls("h2", "foo")}
	const phase = "tls_handshake"
	return []failing{
		{"garbage", serve(t, netlab.Garbage()), ask, "tls_not_spoken", "not TLS", phase},
		{"HTTP", script(t, says("HTTP/1.1 400 Bad Request\r\n\r\n")), ask, "tls_not_spoken", "not TLS", phase},
		{"reset at the hello", script(t, resetting), ask, "connection_reset", "in the TLS handshake", phase},
		{"reset in a flight", script(t, func(c net.Conn) {
			c.Read(make([]byte, 4096))
			io.WriteString(c, "\x16\x03\x03\x00\x7a\x02\x00\x00\x76")
			c.(*net.TCPConn).SetLinger(0)
		}), ask, "connection_reset", "in the TLS handshake", phase},
		{"closed", script(t, closesWith("")), ask, "connection_closed", "in the TLS handshake", phase},
		{"no protocol in common", serve(t, w.secure(netlab.Read(), "acme-tls/1")), ask, "tls_alpn_mismatch", `"h2" and "foo"`, phase},
		{"no ALPN, and some was asked for", speaking(&tls.Config{}), ask, "tls_alpn_mismatch", `asked for, "h2" and "foo": it has no ALPN`, phase},
		{"TLS 1.0", speaking(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}), ask, "tls_version_unsupported", "TLS 1.2", phase},
		{"chooses TLS 1.0", script(t, says(hello10)), ask, "tls_version_unsupported", "TLS 1.2", phase},
		{"wants a certificate, 1.2", speaking(&tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}), ask, "tls_alert", `"handshake failure"`, phase},
		{"unknown name", script(t, says("\x15\x03\x03\x00\x02\x02\x70")), ask, "tls_alert", `"unrecognized name"`, phase},
		{"internal error", script(t, says("\x15\x03\x03\x00\x02\x02\x50")), ask, "tls_alert", `"internal error"`, phase},
		{"no such alert", script(t, says("\x15\x03\x03\x00\x02\x02\xfa")), ask, "tls_alert", `"alert(250)"`, phase},
		{"another message", script(t, says("\x16\x03\x03\x00\x04\x0e\x00\x00\x00")), ask, "tls_malformed", "rules of TLS", phase},
	}
}

// hello10 is a ServerHello of TLS 1.0.
const hello10 = "\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01" + "0123456789abcdef0123456789abcdef" + "\x00\xc0\x14\x00"

// resetting resets at once when it has read something.
func resetting(c net.Conn) {
	c.Read(make([]byte, 1))
	c.(*net.TCPConn).SetLinger(0)
}

func httpFailures(t *testing.T, w *world) []failing {
	ask := &Criterion{HTTP: &HTTP{}}
	secure := &Criterion{TLS: w.tls(), HTTP: &HTTP{}}
	two := &Criterion{TLS: w.tls("h2"), HTTP: &HTTP{Path: "/x"}}
	busy := netlab.HTTP(netlab.HTTPServer{Status: http.StatusServiceUnavailable})
	wants := &tls.Config{Certificates: []tls.Certificate{w.cert}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}
	const phase, both = "http_response", "tls_handshake http_response"
	return []failing{
		{"503", serve(t, busy), ask, "503", "GET / with 503 (Service Unavailable); success is 200 to 399", phase},
		{"503 by h2", serve(t, w.secure(busy, "h2")), two, "503", "GET /x with 503", both},
		{"a status that is not wanted", serve(t, netlab.HTTP(netlab.HTTPServer{})), &Criterion{HTTP: &HTTP{Statuses: []int{204, 301}}}, "200", "success is 204 and 301", phase},
		{"a status of its own", script(t, says("HTTP/1.1 999 No\r\n\r\n")), ask, "999", "with 999; success", phase},
		{"101", script(t, says("HTTP/1.1 101 Switching Protocols\r\n\r\n")), ask, "101", "", phase},
		{"garbage", serve(t, netlab.Garbage()), ask, "http_malformed", "not HTTP", phase},
		{"a status that is none", script(t, says("HTTP/1.1 099 No\r\n\r\n")), ask, "http_malformed", "099", phase},
		{"another protocol", script(t, says("HTTP/2.0 200 OK\r\n\r\n")), ask, "http_malformed", `answers by "HTTP/2.0"`, phase},
		{"an interim one of another", script(t, says("HTTP/3.0 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")), ask, "http_malformed", `answers by "HTTP/3.0"`, phase},
		{"garbage inside TLS", serve(t, w.secure(netlab.Garbage())), secure, "http_malformed", "not HTTP", both},
		{"garbage inside h2", serve(t, w.secure(netlab.Garbage(), "h2")), two, "http_malformed", "not HTTP", both},
		{"an endless header", script(t, endless), ask, "http_malformed", "longer than 65536", phase},
		{"interim for ever", script(t, says(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 4000))), ask, "http_malformed", "longer than 65536", phase},
		{"reset at once", script(t, resetting), ask, "connection_reset", "before it had answered", phase},
		{"reset in the header", script(t, func(c net.Conn) { resetAfter(c, "HTTP/1.1 200 OK\r\nA: b") }), ask, "connection_reset", "before it had answered", phase},
		{"closed", script(t, closesWith("")), ask, "connection_closed", "before it had answered", phase},
		{"closed in the header", script(t, closesWith("HTTP/1.1 200 OK\r\nA: b")), ask, "connection_closed", "before it had answered", phase},
		{"closed after TLS", script(t, func(c net.Conn) {
			inside := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{w.cert}})
			inside.Read(make([]byte, 1000))
			inside.CloseWrite()
			hangUp(c)
		}), secure, "connection_closed", "before it had answered", both},
		{"reset after TLS", script(t, func(c net.Conn) {
			tls.Server(c, &tls.Config{Certificates: []tls.Certificate{w.cert}}).Read(make([]byte, 1000))
			c.(*net.TCPConn).SetLinger(0)
		}), secure, "connection_reset", "before it had answered", both},
		{"wants a certificate, 1.3", script(t, func(c net.Conn) {
			tls.Server(c, wants).Handshake()
			hangUp(c)
		}), secure, "tls_alert", "cannot be given here", both},
	}
}

// closesWith answers what it has read with text and hangs up.
func closesWith(text string) func(net.Conn) {
	return func(c net.Conn) {
		c.Read(make([]byte, 4096))
		io.WriteString(c, text)
		hangUp(c)
	}
}

// hangUp ends a connection by FIN and never by RST, which is what closing it would send
// if anything of the peer's came that was not read.
func hangUp(c net.Conn) {
	c.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, c)
}

// resetAfter answers with text, and resets when the peer must have it.
func resetAfter(c net.Conn, text string) {
	c.Read(make([]byte, 4096))
	io.WriteString(c, text)
	c.(*net.TCPConn).SetLinger(0)
}

// endless sends a header that does not end until the peer has gone.
func endless(c net.Conn) {
	c.Read(make([]byte, 4096))
	_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n")
	for err == nil {
		_, err = io.WriteString(c, "X-Again: and again\r\n")
	}
}

func healthFailures(t *testing.T, w *world) []failing {
	states := netlab.NewHealthServer()
	for service, state := range map[string]netlab.HealthState{
		"down": netlab.NotServing, "unsure": netlab.HealthUnknown, "none": netlab.HealthUnimplemented,
	} {
		must(t, states.Set(service, state))
	}
	plain, secure := serve(t, netlab.Health(states)), serve(t, w.secure(netlab.Health(states), "h2"))
	ask := func(service string) *Criterion { return &Criterion{Health: &Health{Service: service}} }
	askTLS := func(service string) *Criterion {
		return &Criterion{TLS: w.tls(), Health: &Health{Service: service}}
	}
	either := &Criterion{TLS: w.tls("h2", "http/1.1"), Health: &Health{}}
	web := netlab.HTTP(netlab.HTTPServer{Body: "<html>"})
	const phase, both = "grpc_health", "tls_handshake grpc_health"
	return []failing{
		{"not serving", plain, ask("down"), "grpc_not_serving", `"down" is not serving`, phase},
		{"not serving, TLS", secure, askTLS("down"), "grpc_not_serving", `"down" is not serving`, both},
		{"unknown service", plain, ask("other"), "grpc_service_unknown", `"other"`, phase},
		{"unknown service, TLS", secure, askTLS("other"), "grpc_service_unknown", `"other"`, both},
		{"unknown state", plain, ask("unsure"), "grpc_health_unknown", `"unsure"`, phase},
		{"no health service", plain, ask("none"), "grpc_unimplemented", "register one", phase},
		{"says service unknown", script(t, healthSays(t, 3)), ask(""), "grpc_service_unknown", "the server as a whole", phase},
		{"a state of its own", script(t, healthSays(t, 77)), ask(""), "grpc_health_malformed", "the state 77", phase},
		{"no state", script(t, healthSays(t, 0)), ask(""), "grpc_health_unknown", "does not know", phase},
		{"draining", script(t, givesUp(goAway(0, http2.ErrCodeNo), stays)), ask(""), "grpc_refused", "gave the connection up with NO_ERROR", phase},
		{"draining, and gone", script(t, givesUp(goAway(0, http2.ErrCodeNo), hangUp)), ask(""), "grpc_refused", "gave the connection up with NO_ERROR", phase},
		{"draining, TLS", script(t, inside(w, givesUp(goAway(0, http2.ErrCodeNo), stays))), askTLS(""), "grpc_refused", "shutting down", both},
		{"calm down", script(t, givesUp(goAway(1, http2.ErrCodeEnhanceYourCalm), hangUp)), ask(""), "grpc_refused", "ENHANCE_YOUR_CALM", phase},
		{"refused", script(t, givesUp(refuse, refusing)), ask(""), "grpc_refused", "gave the stream up with REFUSED_STREAM", phase},
		{"refused, and reset", script(t, givesUp(refuse, resets)), ask(""), "grpc_refused", "gave the stream up with REFUSED_STREAM", phase},
		{"answers and goes", script(t, givesUp(goAway(1, http2.ErrCodeNo), hangUp)), ask(""), "connection_closed", "health check", phase},
		{"no SETTINGS", script(t, says("\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")), ask(""), "grpc_not_spoken", "", phase},
		{"permission denied", script(t, healthEnds(7, "no\x00entry")), ask(""), "grpc_permission_denied", "PermissionDenied (no?entry)", phase},
		{"unavailable", script(t, healthEnds(14, "later")), ask(""), "grpc_unavailable", "later", phase},
		{"a code of its own", script(t, healthEnds(99, "")), ask(""), "grpc_status_other", "", phase},
		{"a web server", serve(t, w.secure(web, "h2")), askTLS(""), "grpc_not_spoken", "text/html", both},
		{"HTTP/1.1", script(t, says("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")), ask(""), "grpc_not_spoken", "", phase},
		{"garbage", serve(t, netlab.Garbage()), ask(""), "grpc_not_spoken", "", phase},
		{"no ALPN", serve(t, w.secure(netlab.Health(states))), askTLS(""), "tls_alpn_mismatch", "gRPC over TLS needs h2", "tls_handshake"},
		{"another protocol over TLS", serve(t, w.secure(web, "http/1.1")), either, "tls_alpn_mismatch", `agreed on "http/1.1", and gRPC over TLS needs h2`, "tls_handshake"},
		{"no ALPN over TLS, and more was asked for", serve(t, w.secure(netlab.Health(states))), either, "tls_alpn_mismatch", `"h2" and "http/1.1", and gRPC`, "tls_handshake"},
		{"TLS unasked", secure, ask(""), "connection_closed", "with or without TLS", phase},
		{"reset", script(t, resetting), ask(""), "connection_reset", "health check", phase},
		{"closed", script(t, closesWith("")), ask(""), "connection_closed", "health check", phase},
	}
}

func firstByteFailures(t *testing.T, w *world) []failing {
	ask, secure := &Criterion{FirstByte: true}, &Criterion{TLS: w.tls(), FirstByte: true}
	return []failing{
		{"closed", script(t, func(net.Conn) {}), ask, "connection_closed", "before it sent a byte", "first_byte"},
		{"closed inside TLS", script(t, func(c net.Conn) {
			inside := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{w.cert}})
			inside.Handshake()
			inside.CloseWrite()
			hangUp(c)
		}), secure, "connection_closed", "before it sent a byte", "tls_handshake first_byte"},
	}
}

// A connection that was reset before anybody looked.
func TestResetBefore(t *testing.T) {
	w := newWorld(t)
	ln, err := net.Listen("tcp", v4.String())
	must(t, err)
	defer ln.Close()
	at := netip.MustParseAddrPort(ln.Addr().String())
	for _, ask := range []*Criterion{{TLS: w.tls()}, {HTTP: &HTTP{}}, {Health: &Health{}}, {FirstByte: true}} {
		conn := dial(t, at)
		peer, err := ln.Accept()
		must(t, err)
		must(t, peer.(*net.TCPConn).SetLinger(0))
		must(t, peer.Close())
		if o := over(t.Context(), t, ask, Peer{Name: "lab.example", Endpoint: at}, conn); o.ok || o.failure.Type != "connection_reset" || o.failure.Errno == "" {
			t.Errorf("%s: %+v", o.phases(), o.failure)
		}
	}
}

// What no peer on loopback can bring about.
func TestFailuresOfThisHostAndThePath(t *testing.T) {
	roots := &tls.CertificateVerificationError{Err: x509.SystemRootsError{Err: errors.New("no disk")}}
	if f := handshakeFailure(roots, "lab.example", nil); f.Type != "system_roots_unavailable" || f.Fault != sched.FaultHost || !strings.Contains(f.Text, "no disk") {
		t.Errorf("%v is %+v", roots, f)
	}
	for errno, want := range map[syscall.Errno]sched.Failure{
		syscall.ETIMEDOUT:    {Type: "timed_out", Errno: "ETIMEDOUT", Fault: sched.FaultPath},
		syscall.EHOSTUNREACH: {Type: "host_unreachable", Errno: "EHOSTUNREACH", Fault: sched.FaultPath},
		syscall.ENETDOWN:     {Type: "network_down", Errno: "ENETDOWN", Fault: sched.FaultHost},
		syscall.EPIPE:        {Type: "connection_reset", Errno: "EPIPE", Fault: sched.FaultTarget},
		syscall.EIO:          {Type: other, Errno: "errno 5"},
	} {
		got := *broken(&net.OpError{Op: "read", Err: errno}, "when", "next")
		got.Text = ""
		if got != want {
			t.Errorf("%v is %+v, want %+v", errno, got, want)
		}
	}
	for _, b := range breakages { // what is not the peer's doing is not mended at the peer
		f := broken(&net.OpError{Op: "read", Err: b.errno}, "when", "ask the peer")
		if at := b.fault == sched.FaultTarget && b.typ == "connection_reset"; strings.HasSuffix(f.Text, " when; ask the peer") != at || strings.HasSuffix(f.Text, "; ") {
			t.Errorf("%s: %s", b.name, f.Text)
		}
	}
	if f := broken(errors.New("odd\n"), "", ""); *f != (sched.Failure{Type: other, Text: "odd?; please report this"}) {
		t.Errorf("it is %+v", f)
	}
}

// What the server has said counts, also when the connection broke right behind it.
func TestHealthAndThenNothing(t *testing.T) {
	h := &Health{}
	for code, want := range map[codes.Code]string{codes.NotFound: "grpc_service_unknown", codes.Unavailable: "connection_closed"} {
		if f := h.failure(status.New(code, ""), true, io.EOF); f.Type != want {
			t.Errorf("%s is %+v", code, f)
		}
	}
}

// A connection that was given back is not broken.
func TestWitness(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	w := &witness{Conn: near}
	must(t, w.Close())
	if _, err := w.Read(make([]byte, 1)); err == nil || w.broken() != nil {
		t.Errorf("reading returns %v, broken is %v", err, w.broken())
	}
	must(t, near.SetDeadline(time.Time{}))
	must(t, near.Close())
	w = &witness{Conn: near}
	if _, err := w.Write([]byte("x")); err == nil || !errors.Is(w.broken(), err) {
		t.Errorf("writing returns %v, broken is %v", err, w.broken())
	}
}
