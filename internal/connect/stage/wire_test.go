package stage

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

// The request, to the byte. Nothing of the caller's gets in where it should not: that
// is Check's part.
func TestRequestOnTheWire(t *testing.T) {
	for _, c := range []struct {
		ask  HTTP
		peer string
		want string
	}{
		{HTTP{}, "lab.example", "GET / HTTP/1.1\r\nHost: lab.example:7\r\n"},
		{HTTP{Method: "HEAD", Path: "/a?b=c%20d"}, "lab.example.", "HEAD /a?b=c%20d HTTP/1.1\r\nHost: lab.example:7\r\n"},
		{HTTP{Host: "other.example"}, "lab.example", "GET / HTTP/1.1\r\nHost: other.example\r\n"},
		{HTTP{}, "", "GET / HTTP/1.1\r\nHost: 192.0.2.1:7\r\n"},
	} {
		near, far := net.Pipe()
		got := make(chan string, 1)
		go func() {
			b := make([]byte, 4096)
			n, _ := far.Read(b)
			got <- string(b[:n])
			io.WriteString(far, "HTTP/1.1 200 OK\r\n\r\n")
		}()
		var at clock
		_, _, failure, ok := (&Criterion{HTTP: &c.ask}).Run(t.Context(), Peer{Name: c.peer, Endpoint: netip.MustParseAddrPort("192.0.2.1:7")}, near, at.now)
		if text := <-got; !ok || text != c.want+"User-Agent: connrace\r\nAccept: */*\r\nConnection: close\r\n\r\n" {
			t.Errorf("%+v: sent %q, with %+v", c.ask, text, failure)
		}
		near.Close()
		far.Close()
	}
}

// The peer as it stands in requests.
func TestAuthority(t *testing.T) {
	for _, c := range []struct {
		name, server, endpoint string
		tls                    bool
		want                   string
	}{
		{"lab.example", "", "192.0.2.1:80", false, "lab.example"},
		{"lab.example.", "", "192.0.2.1:80", false, "lab.example"},
		{"lab.example", "", "192.0.2.1:443", false, "lab.example:443"},
		{"lab.example", "", "192.0.2.1:443", true, "lab.example"},
		{"lab.example", "other.example", "192.0.2.1:80", true, "lab.example:80"},
		{"", "other.example", "192.0.2.1:443", true, "other.example"},
		{"", "", "192.0.2.1:443", true, "192.0.2.1"},
		{"", "", "[2001:db8::1]:443", true, "[2001:db8::1]"},
		{"", "", "[fe80::1%eth0]:8080", false, "[fe80::1]:8080"},
		{"", "", "[::ffff:192.0.2.1]:80", false, "192.0.2.1"},
		{"2001:db8::2", "", "[2001:db8::1]:80", false, "[2001:db8::2]"},
	} {
		ask := &Criterion{}
		if c.tls {
			ask.TLS = &TLS{ServerName: c.server}
		}
		if got := ask.authority(Peer{Name: c.name, Endpoint: netip.MustParseAddrPort(c.endpoint)}); got != c.want {
			t.Errorf("%+v is %q", c, got)
		}
	}
}

// What a server of HTTP/2 and one of gRPC see.
func TestHTTP2OnTheWire(t *testing.T) {
	w := newWorld(t)
	seen := make(chan *http.Request, 1)
	server := &http.Server{
		Handler:   http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r }),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{w.cert}},
	}
	ln, err := net.Listen("tcp", v4.String())
	must(t, err)
	go server.ServeTLS(ln, "", "")
	defer server.Close()
	at := netip.MustParseAddrPort(ln.Addr().String())
	o := attempt(t, &Criterion{TLS: w.tls("h2"), HTTP: &HTTP{Method: "HEAD", Path: "/a?b", Host: "shop.example:1"}}, at, "lab.example")
	r := <-seen
	if !o.ok || r.Proto != "HTTP/2.0" || r.Method != http.MethodHead || r.RequestURI != "/a?b" || r.Host != "shop.example:1" || r.UserAgent() != "connrace" || len(r.Header) != 2 {
		t.Errorf("seen is %+v, with %+v", r, o.failure)
	}
}

func TestHealthOnTheWire(t *testing.T) {
	seen := make(chan metadata.MD, 10)
	server := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		seen <- md
		return handle(ctx, req)
	}))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	ln, err := net.Listen("tcp", v4.String())
	must(t, err)
	go server.Serve(ln)
	defer server.Stop()
	at := netip.MustParseAddrPort(ln.Addr().String())
	for given, want := range map[string]string{"": netip.AddrPortFrom(at.Addr(), at.Port()).String(), "shop.example": "shop.example"} {
		o := attempt(t, &Criterion{Health: &Health{Authority: given}}, at, "")
		if md := <-seen; !o.ok || md.Get(":authority")[0] != want || md.Get("user-agent")[0][:9] != "connrace " {
			t.Errorf("seen is %v, with %+v", md, o.failure)
		}
	}
	if len(seen) > 0 {
		t.Errorf("it was asked again: %v", <-seen)
	}
}
