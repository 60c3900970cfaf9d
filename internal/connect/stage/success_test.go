package stage

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/racer/sched"
)

// What is known of TLS, by version and by what both sides speak.
func TestTLS(t *testing.T) {
	w := newWorld(t)
	leaf := w.cert.Leaf
	sum := sha256.Sum256(leaf.Raw)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, alpn := range []struct {
			server, client []string
			agreed         string
		}{
			{nil, nil, ""},
			{[]string{"h2"}, nil, ""},
			{[]string{"b", "a"}, []string{"a", "b"}, "b"},
		} {
			var hello *tls.ClientHelloInfo
			at := script(t, func(c net.Conn) {
				inside := tls.Server(c, &tls.Config{
					Certificates: []tls.Certificate{w.cert}, NextProtos: alpn.server, MaxVersion: version,
					GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) { hello = h; return nil, nil }, //nolint:nilnil // nil: this one
				})
				io.Copy(io.Discard, inside)
			})
			o := attempt(t, &Criterion{TLS: w.tls(alpn.client...)}, at, "lab.example.")
			if !o.ok || o.phases() != "tls_handshake" {
				t.Fatalf("outcome is %+v", o)
			}
			got := *o.stages.TLS
			want := sched.TLS{
				Version: tls.VersionName(version), CipherSuite: got.CipherSuite, ALPN: alpn.agreed, ServerName: "lab.example", Verified: true,
				Certificates: []sched.Certificate{{
					Subject: "CN=connrace netlab server", Issuer: "CN=connrace netlab authority", Names: []string{"lab.example", "127.0.0.1"},
					NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Serial: leaf.SerialNumber.Text(16), Fingerprint: hex.EncodeToString(sum[:]),
				}},
			}
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) || !strings.HasPrefix(got.CipherSuite, "TLS_") {
				t.Errorf("known is %+v,\nwant %+v", got, want)
			}
			if hello.ServerName != "lab.example" || !slices.Equal(hello.SupportedProtos, alpn.client) || slices.Min(hello.SupportedVersions) < tls.VersionTLS12 {
				t.Errorf("the hello asks %q for %q in %x", hello.ServerName, hello.SupportedProtos, hello.SupportedVersions)
			}
		}
	}
}

// An address is verified and is not sent: RFC 6066 section 3.
func TestServerNames(t *testing.T) {
	w := newWorld(t)
	for _, n := range []struct{ given, asked, sni, verified string }{
		{"", "", "", "127.0.0.1"},
		{"", "127.0.0.1", "", "127.0.0.1"},
		{"", "lab.example", "lab.example", "lab.example"},
		{"lab.example", "other.example", "lab.example", "lab.example"},
		{"127.0.0.1", "other.example", "", "127.0.0.1"},
		{"::ffff:127.0.0.1", "other.example", "", "127.0.0.1"},
	} {
		sni := "?"
		at := script(t, func(c net.Conn) {
			inside := tls.Server(c, &tls.Config{
				Certificates:       []tls.Certificate{w.cert},
				GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) { sni = h.ServerName; return nil, nil }, //nolint:nilnil // nil: this one
			})
			io.Copy(io.Discard, inside)
		})
		ask := w.tls()
		ask.ServerName = n.given
		o := attempt(t, &Criterion{TLS: ask}, at, n.asked)
		if !o.ok || sni != n.sni || o.stages.TLS.ServerName != n.verified {
			t.Errorf("%+v: sent is %q, verified %+v with %+v", n, sni, o.stages.TLS, o.failure)
		}
	}
}

// Nothing is resumed, though the server would: every handshake brings certificates.
func TestNoSessionIsResumed(t *testing.T) {
	w := newWorld(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := &tls.Config{Certificates: []tls.Certificate{w.cert}, MaxVersion: version}
		resumed := make(chan bool, 3)
		at := script(t, func(c net.Conn) {
			inside := tls.Server(c, config)
			if inside.Handshake() == nil {
				resumed <- inside.ConnectionState().DidResume
				io.WriteString(inside, "x") // behind the ticket
				io.Copy(io.Discard, inside)
			}
		})
		c := &Criterion{TLS: w.tls(), FirstByte: true}
		for range 3 {
			if o := attempt(t, c, at, "lab.example"); !o.ok || <-resumed || len(o.stages.TLS.Certificates) != 1 {
				t.Errorf("outcome is %+v", o)
			}
		}
	}
}

// A failed verification tells of the certificates all the same.
func TestCertificatesThatFailed(t *testing.T) {
	w := newWorld(t)
	at := serve(t, netlab.TLS(netlab.TLSServer{Certificate: w.certificate(t, netlab.Expired, "lab.example")}, netlab.Read()))
	known := attempt(t, &Criterion{TLS: w.tls()}, at, "lab.example").stages.TLS
	if known.Verified || known.Version != "TLS 1.3" || len(known.Certificates) != 1 || !known.Certificates[0].NotAfter.Before(time.Now()) {
		t.Errorf("known is %+v", known)
	}
}

// A peer may send a long chain of certificates with many names, and odd ones.
func TestCertificatesAreBounded(t *testing.T) {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: strings.Repeat("x", 3000) + "\n\xff", Organization: []string{"a\x1b[2Jb"}}}
	for i := range 90 {
		template.DNSNames = append(template.DNSNames, fmt.Sprintf("%d.example", i))
		template.IPAddresses = append(template.IPAddresses, net.IPv4(192, 0, 2, byte(i)))
	}
	template.DNSNames[0], template.DNSNames[1] = strings.Repeat("n", 300), "short.example"
	template.Subject.CommonName = strings.ToValidUTF8(template.Subject.CommonName, "")
	leaf := sign(t, template)
	var chain [][]byte
	for range 15 {
		chain = append(chain, leaf.Certificate[0])
	}
	leaf.Certificate = chain
	w := newWorld(t)
	at := serve(t, netlab.TLS(netlab.TLSServer{Certificate: leaf}, netlab.Read()))
	o := attempt(t, &Criterion{TLS: w.tls()}, at, "lab.example")
	known := o.stages.TLS
	if o.failure.Type != "certificate_name_mismatch" || len(known.Certificates) != 10 || len(known.Certificates[0].Names) != 100 {
		t.Fatalf("failure is %+v, %d certificates", o.failure, len(known.Certificates))
	}
	if n := known.Certificates[0].Names; n[1] != "short.example" || n[90] != "192.0.2.0" || len(n[0]) > maxName+3 || len(known.Certificates[0].Subject) > maxSubject+3 {
		t.Errorf("names are %q", n[:3])
	}
	all := 0
	for _, c := range known.Certificates {
		all += len(strings.Join(c.Names, ""))
	}
	if last := known.Certificates[9]; all > maxAllNames || all < maxAllNames-maxName || len(last.Names) != 0 || last.Fingerprint == "" {
		t.Errorf("the names have %d bytes, the last certificate is %+v", all, last)
	}
}

// HTTP over every transport, whatever the answer looks like.
func TestHTTP(t *testing.T) {
	w := newWorld(t)
	web := netlab.HTTP(netlab.HTTPServer{Body: strings.Repeat("body ", 100_000), Header: http.Header{"Location": {"/elsewhere"}}, Status: 302})
	plain, secure := serve(t, web), serve(t, w.secure(web, "h2", "http/1.1"))
	for _, c := range []struct {
		what   string
		at     netip.AddrPort
		ask    Criterion
		status int
		proto  string
	}{
		{"plain", plain, Criterion{HTTP: &HTTP{}}, 302, "HTTP/1.1"},
		{"HEAD", plain, Criterion{HTTP: &HTTP{Method: "HEAD"}}, 302, "HTTP/1.1"},
		{"TLS", secure, Criterion{TLS: w.tls(), HTTP: &HTTP{}}, 302, "HTTP/1.1"},
		{"h2", secure, Criterion{TLS: w.tls("h2"), HTTP: &HTTP{}}, 302, "HTTP/2.0"},
		{"h2, HEAD", secure, Criterion{TLS: w.tls("h2", "http/1.1"), HTTP: &HTTP{Method: "HEAD"}}, 302, "HTTP/2.0"},
		{"the status that is wanted", plain, Criterion{HTTP: &HTTP{Statuses: []int{500, 302}}}, 302, "HTTP/1.1"},
		{"HTTP/1.0", script(t, says("HTTP/1.0 200 OK\r\n\r\n")), Criterion{HTTP: &HTTP{}}, 200, "HTTP/1.0"},
		{"interim", script(t, says("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 None\r\n\r\n")), Criterion{HTTP: &HTTP{}}, 204, "HTTP/1.1"},
		{"no body where one was promised", script(t, says("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")), Criterion{HTTP: &HTTP{}}, 200, "HTTP/1.1"},
	} {
		t.Run(c.what, func(t *testing.T) {
			o := attempt(t, &c.ask, c.at, "lab.example")
			if !o.ok || o.stages.HTTP == nil || o.stages.HTTP.Status != c.status || o.stages.HTTP.Protocol != c.proto || o.stages.HTTP.FirstByte <= 0 {
				t.Errorf("HTTP is %+v with %+v", o.stages.HTTP, o.failure)
			}
		})
	}
}

// The phase ends with the head of the answer that counts, and the first byte of that is
// known as well. Of the clock here each reading is a time of its own, 1 ms after the one
// before: at the start of the phase, of the request, at each first byte, at the end.
func TestHTTPPhaseEndsWithTheHead(t *testing.T) {
	slowly := func(text string) netip.AddrPort {
		return script(t, func(c net.Conn) {
			c.(*net.TCPConn).SetNoDelay(true)
			c.Read(make([]byte, 4096))
			for i := range len(text) { // byte by byte
				io.WriteString(c, text[i:i+1])
			}
			io.Copy(io.Discard, c)
		})
	}
	for _, c := range []struct {
		at        netip.AddrPort
		firstByte time.Duration
	}{
		{slowly("HTTP/1.1 200 OK\r\nA: b\r\n\r\n"), 1 * ms},
		{slowly("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), 2 * ms},
	} {
		o := attempt(t, &Criterion{HTTP: &HTTP{}}, c.at, "")
		if !o.ok || o.stages.HTTP.FirstByte != c.firstByte {
			t.Fatalf("of HTTP is known %+v, want the first byte after %v", o.stages.HTTP, c.firstByte)
		}
		if o.stages.Phases[0] != (sched.Phase{Kind: sched.PhaseHTTP, Start: ms, Duration: c.firstByte + 2*ms}) {
			t.Errorf("phases are %+v with the first byte after %v", o.stages.Phases, c.firstByte)
		}
	}
}

// A head that comes slowly takes its time in the phase, from the request to its last
// byte; the first byte has a time of its own.
func TestSlowHead(t *testing.T) {
	const first, rest = 20 * ms, 50 * ms
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			far.Read(make([]byte, 4096))
			time.Sleep(first)
			io.WriteString(far, "HTTP/1.1 204 No Content\r\n")
			time.Sleep(rest)
			io.WriteString(far, "\r\n")
		}()
		began := time.Now()
		now := func() time.Duration { return time.Since(began) }
		_, stages, failure, ok := (&Criterion{HTTP: &HTTP{}}).Run(t.Context(), Peer{}, near, now)
		if want := (sched.Phase{Kind: sched.PhaseHTTP, Duration: first + rest}); !ok || stages.Phases[0] != want || stages.HTTP.FirstByte != first {
			t.Errorf("phases are %+v, HTTP is %+v with %+v", stages.Phases, stages.HTTP, failure)
		}
		must(t, near.Close())
	})
}

// http2Run is a run that speaks HTTP/2 in the clear.
func http2Run(conn net.Conn, now func() time.Duration) *run {
	return &run{Criterion: &Criterion{HTTP: &HTTP{}}, conn: conn, now: now, stages: &sched.Stages{TLS: &sched.TLS{ALPN: "h2"}}}
}

// h2Exchange asks over h2 in the clear, which only this test can.
func h2Exchange(t *testing.T, at netip.AddrPort) (sched.HTTP, *sched.Failure) {
	t.Helper()
	var c clock
	r := http2Run(dial(t, at), c.now)
	_, failed := r.request()
	if failed == nil {
		return *r.stages.HTTP, nil
	}
	checkText(t, failed.Text)
	return sched.HTTP{}, failed
}

// What servers may do in HTTP/2, allowed or not.
func TestHTTP2Frames(t *testing.T) {
	headers := func(fields ...string) func(*http2.Framer, func(...string) []byte) {
		return func(f *http2.Framer, block func(...string) []byte) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: block(fields...)})
		}
	}
	ended := func(fields ...string) func(*http2.Framer, func(...string) []byte) {
		return func(f *http2.Framer, block func(...string) []byte) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: block(fields...)})
		}
	}
	type frames = func(*http2.Framer, func(...string) []byte)
	for _, c := range []struct {
		what string
		send []frames
		want string // status, or error.type
		text string
	}{
		{"plain", []frames{headers(":status", "200")}, "200", ""},
		{"interim", []frames{headers(":status", "103"), headers(":status", "204")}, "204", ""},
		{"interim that ends", []frames{ended(":status", "103")}, "http_malformed", "interim"},
		{"ping and settings", []frames{func(f *http2.Framer, _ func(...string) []byte) {
			f.WritePing(false, [8]byte{})
			f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
			f.WriteWindowUpdate(0, 100)
			f.WriteGoAway(1, http2.ErrCodeNo, nil)
		}, ended(":status", "301")}, "301", ""},
		{"continued", []frames{func(f *http2.Framer, block func(...string) []byte) {
			b := block(":status", "200", "server", "x")
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:1]})
			f.WriteContinuation(1, true, b[1:])
		}}, "200", ""},
		{"no status", []frames{ended("server", "x")}, "http_malformed", `status ""`},
		{"odd status", []frames{ended(":status", "+20")}, "http_malformed", "+20"},
		{"status of four", []frames{ended(":status", "0200")}, "http_malformed", "0200"},
		{"too long", []frames{func(f *http2.Framer, block func(...string) []byte) {
			b := block(":status", "200")
			for range 30 { // the same header again and again, from HPACK's table
				b = append(b, block("x", strings.Repeat("y", 3000))...)
			}
			for f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:100]}); len(b) > 16000; b = b[100:] {
				b = b[:min(len(b), 16000)]
			}
			f.WriteContinuation(1, true, b[100:])
		}}, "http_malformed", ""},
		{"body first", []frames{func(f *http2.Framer, _ func(...string) []byte) { f.WriteData(1, false, []byte("x")) }}, "http_malformed", "before the body"},
		{"stream refused", []frames{func(f *http2.Framer, _ func(...string) []byte) { f.WriteRSTStream(1, http2.ErrCodeRefusedStream) }}, "http_refused", "REFUSED_STREAM"},
		{"go away", []frames{func(f *http2.Framer, _ func(...string) []byte) { f.WriteGoAway(0, http2.ErrCodeNo, nil) }}, "http_refused", "NO_ERROR"},
		{"calm down", []frames{func(f *http2.Framer, _ func(...string) []byte) { f.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, nil) }}, "http_refused", "ENHANCE_YOUR_CALM"},
	} {
		t.Run(c.what, func(t *testing.T) {
			at := script(t, h2Peer(func(f *http2.Framer, block func(...string) []byte) {
				for _, send := range c.send {
					send(f, block)
				}
			}))
			answer, failed := h2Exchange(t, at)
			got, text := fmt.Sprint(answer.Status), ""
			if failed != nil {
				got, text = failed.Type, failed.Text
			}
			if got != c.want || !strings.Contains(text, c.text) {
				t.Errorf("it is %s: %s", got, text)
			}
		})
	}
	if _, failed := h2Exchange(t, script(t, says("\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88"))); failed == nil || failed.Type != "http_malformed" {
		t.Errorf("without SETTINGS it is %+v", failed)
	}
}

// SERVING, with TLS and without, of the server and of a service.
func TestHealth(t *testing.T) {
	w := newWorld(t)
	states := netlab.NewHealthServer()
	must(t, states.Set("shop.v1.Cart", netlab.Serving))
	plain, secure := serve(t, netlab.Health(states)), serve(t, w.secure(netlab.Health(states), "h2"))
	for _, service := range []string{"", "shop.v1.Cart"} {
		for _, c := range []struct {
			at  netip.AddrPort
			tls *TLS
		}{{plain, nil}, {secure, w.tls()}} {
			o := attempt(t, &Criterion{TLS: c.tls, Health: &Health{Service: service}}, c.at, "lab.example")
			if !o.ok || o.stages.Health != "SERVING" {
				t.Fatalf("%q: %+v with %+v", service, o.stages, o.failure)
			}
		}
	}
}

func TestFirstByte(t *testing.T) {
	w := newWorld(t)
	greeting := script(t, func(c net.Conn) {
		io.WriteString(c, "SSH-2.0-x\r\n")
		io.Copy(io.Discard, c)
	})
	o := attempt(t, &Criterion{FirstByte: true}, greeting, "")
	if !o.ok || o.phases() != "first_byte" {
		t.Errorf("outcome is %+v", o)
	}
	inside := script(t, func(c net.Conn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{w.cert}})
		io.WriteString(s, "220 ready\r\n")
		io.Copy(io.Discard, s)
	})
	if o := attempt(t, &Criterion{TLS: w.tls(), FirstByte: true}, inside, "lab.example"); !o.ok || o.phases() != "tls_handshake first_byte" {
		t.Errorf("outcome is %+v", o)
	}
}
