package netlab_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
)

func authority(t *testing.T) *netlab.Authority {
	t.Helper()
	ca, err := netlab.NewAuthority()
	must(t, err)
	return ca
}

func certificate(t *testing.T, ca *netlab.Authority, v netlab.Validity, names ...string) tls.Certificate {
	t.Helper()
	cert, err := ca.Certificate(v, names...)
	must(t, err)
	return cert
}

// handshake connects and shakes hands within patience.
func handshake(t *testing.T, h *netlab.Host, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	c := tls.Client(mustDial(t, h.Addr()), config)
	must(t, c.SetDeadline(time.Now().Add(patience)))
	return c, c.Handshake()
}

func TestTLSAgreesOnALPN(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	cert := certificate(t, ca, netlab.Valid, "lab.example")
	for _, c := range []struct{ server, client, agreed string }{
		{"h2 http/1.1", "http/1.1 h2", "h2"}, // the server prefers
		{"http/1.1 h2", "h2 http/1.1", "http/1.1"},
		{"h2 http/1.1", "http/1.1", "http/1.1"},
		{"acme-tls/1", "h2 acme-tls/1", "acme-tls/1"},
		{"", "h2 http/1.1", ""},
		{"h2", "", ""},
		{"h2", "http/1.1", ""}, // crypto/tls is lenient there
		{"h2", "spdy/3", "no application protocol"},
		{"http/1.1", "h2", "no application protocol"},
	} {
		t.Run(c.server+" for "+c.client, func(t *testing.T) {
			t.Parallel()
			h := serving(t, netlab.TLS(netlab.TLSServer{Certificate: cert, ALPN: strings.Fields(c.server)}, netlab.Read()))
			conn, err := handshake(t, h, &tls.Config{RootCAs: ca.Pool(), ServerName: "lab.example", NextProtos: strings.Fields(c.client)})
			if err != nil {
				if !strings.Contains(err.Error(), "remote error: tls: "+c.agreed) || c.agreed == "" {
					t.Fatalf("handshake ends with %v, want %q", err, c.agreed)
				}
			} else if got := conn.ConnectionState().NegotiatedProtocol; got != c.agreed {
				t.Errorf("agreed on %q, want %q", got, c.agreed)
			}
			must(t, conn.Close())
			counts(t, h, 1, 0)
		})
	}
}

// A client that verifies refuses what is wrong, and only that.
func TestTLSCertificates(t *testing.T) {
	t.Parallel()
	ca, other := authority(t), authority(t)
	expired := func(err error) bool {
		e, ok := errors.AsType[x509.CertificateInvalidError](err)
		return ok && e.Reason == x509.Expired
	}
	wrongName := func(err error) bool { _, ok := errors.AsType[x509.HostnameError](err); return ok }
	unknown := func(err error) bool { _, ok := errors.AsType[x509.UnknownAuthorityError](err); return ok }
	for _, c := range []struct {
		name  string
		valid netlab.Validity
		names []string
		asked string
		by    *netlab.Authority
		want  func(error) bool // nil for none
	}{
		{"host", netlab.Valid, []string{"lab.example"}, "lab.example", ca, nil},
		{"wildcard", netlab.Valid, []string{"*.lab.example"}, "a.lab.example", ca, nil},
		{"IPv4", netlab.Valid, []string{"lab.example", "127.0.0.1"}, "127.0.0.1", ca, nil},
		{"IPv6", netlab.Valid, []string{"2001:db8::1"}, "2001:db8:0::1", ca, nil},
		{"expired", netlab.Expired, []string{"lab.example"}, "lab.example", ca, expired},
		{"not yet valid", netlab.NotYetValid, []string{"lab.example"}, "lab.example", ca, expired},
		{"another host", netlab.Valid, []string{"lab.example"}, "other.example", ca, wrongName},
		{"another address", netlab.Valid, []string{"127.0.0.1"}, "127.0.0.2", ca, wrongName},
		{"another authority", netlab.Valid, []string{"lab.example"}, "lab.example", other, unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cert := certificate(t, c.by, c.valid, c.names...)
			h := serving(t, netlab.TLS(netlab.TLSServer{Certificate: cert}, netlab.Read()))
			conn, err := handshake(t, h, &tls.Config{RootCAs: ca.Pool(), ServerName: c.asked})
			switch {
			case c.want == nil:
				must(t, err)
			case !c.want(err):
				t.Errorf("handshake ends with %v", err)
			}
			conn.Close() // after an error there is nothing to say goodbye to
			counts(t, h, 1, 0)

			conn, err = handshake(t, h, &tls.Config{InsecureSkipVerify: true, ServerName: "any.example"})
			must(t, err)
			if got := conn.ConnectionState().PeerCertificates; len(got) != 1 || !bytes.Equal(got[0].Raw, cert.Certificate[0]) {
				t.Errorf("another certificate than the chosen one")
			}
			conn.Close()
			counts(t, h, 2, 0)
		})
	}
}

// Every client sees the certificate: no session is resumed.
func TestTLSHandshakesAreWhole(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	h := serving(t, netlab.TLS(netlab.TLSServer{Certificate: certificate(t, ca, netlab.Valid, "lab.example")}, netlab.Garbage()))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := &tls.Config{RootCAs: ca.Pool(), ServerName: "lab.example", ClientSessionCache: tls.NewLRUClientSessionCache(0), MinVersion: version, MaxVersion: version}
		for range 2 {
			c, err := handshake(t, h, config)
			must(t, err)
			_, err = c.Write([]byte("hello"))
			must(t, err)
			_, err = c.Read(make([]byte, 1)) // a ticket would have come before
			must(t, err)
			if s := c.ConnectionState(); s.DidResume || s.Version != version {
				t.Errorf("version %x, resumed %v; want %x and a whole handshake", s.Version, s.DidResume, version)
			}
			must(t, c.Close())
		}
	}
}

// Inside TLS each behaviour is what it is without.
func TestTLSInside(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	tlsServer := netlab.TLSServer{Certificate: certificate(t, ca, netlab.Valid, "lab.example")}
	client := &tls.Config{RootCAs: ca.Pool(), ServerName: "lab.example"}
	shake := func(t *testing.T, then netlab.Behaviour) (*netlab.Host, *tls.Conn) {
		t.Helper()
		h := serving(t, netlab.TLS(tlsServer, then))
		c, err := handshake(t, h, client)
		must(t, err)
		return h, c
	}
	t.Run("read", func(t *testing.T) {
		h, c := shake(t, netlab.Read())
		_, err := c.Write(make([]byte, 1<<20))
		must(t, err)
		must(t, c.CloseWrite())
		notify, err := io.ReadAll(c.NetConn()) // TLS 1.3 disguises it as data
		must(t, err)
		if len(notify) < 5 || int(notify[3])<<8|int(notify[4]) != len(notify)-5 {
			t.Errorf("the end is %x, want one record: close_notify", notify)
		}
		counts(t, h, 1, 0)
	})
	t.Run("hang", func(t *testing.T) {
		h, c := shake(t, netlab.Hang())
		end := blocks(t, c)
		counts(t, h, 1, 1)
		must(t, h.Close())
		mustBe(t, end(), syscall.ECONNRESET)
	})
	t.Run("reset", func(t *testing.T) {
		const after = 60 * time.Millisecond
		began := time.Now()
		h, c := shake(t, netlab.Reset(after))
		ends(t, c, syscall.ECONNRESET)
		if took := time.Since(began); took < after {
			t.Errorf("reset after %v, want %v at least", took, after)
		}
		counts(t, h, 1, 0)
	})
	t.Run("reset at once", func(t *testing.T) {
		h, c := shake(t, netlab.Reset(0))
		ends(t, c, syscall.ECONNRESET)
		counts(t, h, 1, 0)
	})
	t.Run("tls", func(t *testing.T) {
		_, outer := shake(t, netlab.TLS(tlsServer, netlab.Garbage()))
		c := tls.Client(outer, client)
		must(t, c.Handshake())
		_, err := c.Write([]byte("hello"))
		must(t, err)
		_, err = c.Read(make([]byte, 1))
		must(t, err)
	})
	t.Run("another protocol than HTTP", func(t *testing.T) {
		h := serving(t, netlab.TLS(netlab.TLSServer{Certificate: tlsServer.Certificate, ALPN: []string{"mqtt"}}, netlab.HTTP(netlab.HTTPServer{})))
		c, err := handshake(t, h, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"mqtt"}})
		must(t, err)
		ends(t, c, nil)
		counts(t, h, 1, 0)
	})
}

// A client whose handshake fails gets the alert in full and then a FIN, however
// much of what it sent was not read. One that speaks no TLS gets no alert.
func TestTLSAlertArrives(t *testing.T) {
	t.Parallel()
	h := serving(t, netlab.TLS(netlab.TLSServer{Certificate: certificate(t, authority(t), netlab.Valid, "lab.example")}, netlab.Read()))
	for sent, length := range map[string]int{
		"\x16\x03\x01\x00\x04junk": 7, // the alert's record
		"GET / HTTP/1.1\r\n\r\n":   0,
	} {
		for range 20 {
			c := mustDial(t, h.Addr())
			_, err := c.Write([]byte(sent + strings.Repeat("x", 1<<18)))
			must(t, err)
			must(t, c.SetReadDeadline(time.Now().Add(patience)))
			alert, err := io.ReadAll(c)
			if err != nil || len(alert) != length || length > 0 && alert[0] != 21 {
				t.Fatalf("read %x and %v, want %d bytes of an alert and EOF", alert, err, length)
			}
			must(t, c.Close())
		}
	}
	counts(t, h, 40, 0)
}

func TestStalledServerHello(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		b     netlab.Behaviour
		first string // what it sends of a ServerHello
	}{
		{"before", netlab.StallTLS(), ""},
		{"midway", netlab.StallTLSMidway(), "\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03\x5a\x17\xc4\x08\x91\xee\x3d\x62"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := serving(t, c.b)
			client := tls.Client(mustDial(t, h.Addr()), &tls.Config{InsecureSkipVerify: true})
			must(t, client.SetDeadline(time.Now().Add(2*silence)))
			mustBe(t, client.Handshake(), os.ErrDeadlineExceeded)
			client.Close()
			counts(t, h, 1, 0)

			raw, hello := mustDial(t, h.Addr()), clientHello(t)
			half := len(hello) / 2
			_, err := raw.Write(hello[:half])
			must(t, err)
			says(t, raw, "")
			_, err = raw.Write(hello[half:])
			must(t, err)
			says(t, raw, c.first)
			counts(t, h, 2, 1)
			must(t, raw.(*net.TCPConn).CloseWrite())
			ends(t, raw, nil)
			counts(t, h, 2, 0)

			for _, other := range []string{"GET / HTTP/1.1\r\nHost: lab\r\n\r\n", "\x17\x03\x03\x00\x01x"} {
				raw = mustDial(t, h.Addr())
				_, err = raw.Write([]byte(other))
				must(t, err)
				says(t, raw, "")
			}
		})
	}
}

// clientHello is what crypto/tls sends first.
func clientHello(t *testing.T) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	go tls.Client(here, &tls.Config{ServerName: "lab.example"}).Handshake()
	must(t, there.SetReadDeadline(time.Now().Add(patience)))
	hello := make([]byte, 1<<14)
	n, err := there.Read(hello)
	must(t, err)
	return hello[:n]
}
