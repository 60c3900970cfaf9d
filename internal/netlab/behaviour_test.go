package netlab_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/connrace/connrace/internal/netlab"
)

// silence is how long a host must say nothing to count as silent.
const silence = 50 * time.Millisecond

// serving makes a host of that behaviour, which is closed when the test ends.
func serving(t *testing.T, b netlab.Behaviour) *netlab.Host {
	t.Helper()
	return start(t, func(at netip.AddrPort) (*netlab.Host, error) { return netlab.Serve(at, b) }, any0(t, v4))
}

// counts waits until the host has accepted and has open that many connections.
func counts(t *testing.T, h *netlab.Host, accepted, open int) {
	t.Helper()
	eventually(t, "accepted and open", func() bool { return h.Accepted() == accepted && h.Open() == open })
}

// says reads what comes until nothing has come for some time, and wants that to
// be all there is.
func says(t *testing.T, c net.Conn, want string) {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q and %v, want %q", got[:n], err, want)
	}
	must(t, c.SetReadDeadline(time.Now().Add(silence)))
	if n, err := c.Read(make([]byte, 100)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("then read %d bytes and %v, want silence", n, err)
	}
}

// ends reads the rest, which ends as wanted: nil stands for EOF.
func ends(t *testing.T, c net.Conn, want error) {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, want) {
		t.Fatalf("reading ends with %v, want %v", err, want)
	}
}

func TestReadSaysNothing(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]netlab.Behaviour{"read": netlab.Read(), "zero": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := serving(t, b)
			c := mustDial(t, h.Addr())
			_, err := c.Write(make([]byte, 32<<20)) // far more than the kernel's buffers take
			must(t, err)
			says(t, c, "")
			counts(t, h, 1, 1)
			must(t, c.(*net.TCPConn).CloseWrite())
			ends(t, c, nil)
			counts(t, h, 1, 0)
		})
	}
}

func TestOneBehaviourServesSeveralHosts(t *testing.T) {
	t.Parallel()
	b := netlab.HTTP(netlab.HTTPServer{Body: "same"})
	one, two := serving(t, b), serving(t, b)
	get(t, httpClient(t, nil), "http://"+one.Addr().String(), 200, "same")
	must(t, one.Close())
	get(t, httpClient(t, nil), "http://"+two.Addr().String(), 200, "same")
	if one.Accepted() != 1 || two.Accepted() != 1 {
		t.Errorf("accepted %d and %d, want one each", one.Accepted(), two.Accepted())
	}
}

func TestHangSaysNothing(t *testing.T) {
	t.Parallel()
	h := serving(t, netlab.Hang())
	c := mustDial(t, h.Addr())
	_, err := c.Write([]byte("anybody there?"))
	must(t, err)
	says(t, c, "")
	counts(t, h, 1, 1)
	must(t, h.Close())
	ends(t, c, syscall.ECONNRESET)
}

// What the peer sends fills the kernel's buffers, and then it waits.
func TestHangBlocksWrites(t *testing.T) {
	t.Parallel()
	h := serving(t, netlab.Hang())
	end := blocks(t, mustDial(t, h.Addr()))
	counts(t, h, 1, 1)
	must(t, h.Close())
	mustBe(t, end(), syscall.ECONNRESET)
}

// blocks writes far more than the kernel's buffers take, and wants that to take
// for ever. What it returns waits for the end of the write.
func blocks(t *testing.T, c net.Conn) (end func() error) {
	t.Helper()
	must(t, c.SetWriteDeadline(time.Now().Add(patience)))
	ended := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, 64<<20))
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Fatalf("the write ended with %v, want it blocked", err)
	case <-time.After(4 * silence):
	}
	return func() error { return <-ended }
}

func TestResetAtOnce(t *testing.T) {
	t.Parallel()
	h := serving(t, netlab.Reset(0))
	for range 20 {
		c, err := dial(t, h.Addr(), patience)
		if err != nil { // the RST was faster than the client
			mustBe(t, err, syscall.ECONNRESET)
			continue
		}
		ends(t, c, syscall.ECONNRESET)
	}
	counts(t, h, 20, 0)
}

func TestResetLater(t *testing.T) {
	t.Parallel()
	const after = 60 * time.Millisecond
	h := serving(t, netlab.Reset(after))
	began := time.Now()
	c, err := dial(t, h.Addr(), patience)
	if err == nil {
		_, err = c.Write([]byte("unread"))
	}
	if err == nil {
		ends(t, c, syscall.ECONNRESET)
	} else { // the RST was faster than the client
		mustBe(t, err, syscall.ECONNRESET)
	}
	if took := time.Since(began); took < after {
		t.Errorf("reset after %v, want %v at least", took, after)
	}
	counts(t, h, 1, 0)
}

func TestGarbageWaitsForTheClient(t *testing.T) {
	t.Parallel()
	h := serving(t, netlab.Garbage())
	c := mustDial(t, h.Addr())
	says(t, c, "")
	_, err := c.Write([]byte("hello"))
	must(t, err)
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	if _, err := c.Read(make([]byte, 1000)); err != nil {
		t.Fatalf("no answer: %v", err)
	}
	says(t, c, "")
	counts(t, h, 1, 1)
	must(t, c.(*net.TCPConn).CloseWrite())
	ends(t, c, nil)
	counts(t, h, 1, 0)
}

// Whatever the client speaks, it notices at once and not by its timeout.
func TestGarbageIsNoProtocol(t *testing.T) {
	t.Parallel()
	h := serving(t, netlab.Garbage())
	at := h.Addr().String()
	t.Run("tls", func(t *testing.T) {
		c := mustDial(t, h.Addr())
		must(t, c.SetDeadline(time.Now().Add(patience)))
		var notTLS tls.RecordHeaderError
		if err := tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake(); !errors.As(err, &notTLS) {
			t.Errorf("handshake ends with %v, want a record header error", err)
		}
	})
	t.Run("http", func(t *testing.T) {
		err := fetch(httpClient(t, nil), "http://"+at)
		if err == nil || !strings.Contains(err.Error(), "malformed HTTP") {
			t.Errorf("GET ends with %v, want it to be malformed", err)
		}
	})
	t.Run("http/2", func(t *testing.T) {
		client := httpClient(t, nil)
		only2 := new(http.Protocols)
		only2.SetUnencryptedHTTP2(true)
		client.Transport.(*http.Transport).Protocols = only2
		err := fetch(client, "http://"+at)
		if err == nil || os.IsTimeout(err) {
			t.Errorf("GET ends with %v, want an error of the protocol", err)
		}
	})
	t.Run("grpc", func(t *testing.T) {
		_, err := check(t, healthClient(t, h.Addr(), nil), "", patience)
		if status.Code(err) != codes.Unavailable {
			t.Errorf("Check ends with %v, want UNAVAILABLE", err)
		}
	})
}

// Mistakes in a behaviour are told when it is to be served, all at once.
func TestBehaviourMistakes(t *testing.T) {
	t.Parallel()
	cert := certificate(t, authority(t), netlab.Valid, "lab.example")
	for _, c := range []struct {
		name string
		b    netlab.Behaviour
		say  []string
	}{
		{"reset", netlab.Reset(-1), []string{"after -1ns", "not be negative"}},
		{
			"http", netlab.HTTP(netlab.HTTPServer{Status: 42, Delay: -1, Header: http.Header{"a b": nil}}),
			[]string{"HTTP", "status 42", "200 to 599", "delay -1ns", `header "a b"`},
		},
		{"http: informational", netlab.HTTP(netlab.HTTPServer{Status: 101}), []string{"status 101"}},
		{"http: beyond", netlab.HTTP(netlab.HTTPServer{Status: 600}), []string{"status 600"}},
		{"http: header value", netlab.HTTP(netlab.HTTPServer{Header: http.Header{"A": {"b\nc"}}}), []string{`header "A"`}},
		{"http: no body", netlab.HTTP(netlab.HTTPServer{Status: 204, Body: "x"}), []string{"body: status 204"}},
		{
			"tls", netlab.TLS(netlab.TLSServer{ALPN: []string{""}}, netlab.Reset(-1)),
			[]string{"TLS", "certificate or its key is missing", "ALPN: ", "after -1ns"},
		},
		{"tls: inside", netlab.TLS(netlab.TLSServer{Certificate: cert}, netlab.Health(nil)), []string{"TLS: health: no server"}},
		{
			"tls: no key", netlab.TLS(netlab.TLSServer{Certificate: tls.Certificate{Certificate: cert.Certificate}}, netlab.Read()),
			[]string{"certificate or its key is missing"},
		},
		{"health", netlab.Health(nil), []string{"NewHealthServer"}},
	} {
		h, err := netlab.Serve(netip.AddrPortFrom(v4, 0), c.b)
		if err == nil {
			must(t, h.Close())
			t.Errorf("%s: no error", c.name)
			continue
		}
		for _, say := range append(c.say, "netlab: serve at 127.0.0.1:0: ") {
			if !strings.Contains(err.Error(), say) {
				t.Errorf("%s: error %q does not say %q", c.name, err, say)
			}
		}
	}
}
