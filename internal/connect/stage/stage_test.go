package stage

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/racer/sched"
)

const (
	ms       = time.Millisecond
	patience = 10 * time.Second // for what must happen, on a busy machine
)

var v4 = netip.MustParseAddrPort("127.0.0.1:0")

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for what another goroutine or the kernel is about to do.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(ms)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// world is an authority and what its servers show.
type world struct {
	*netlab.Authority

	cert tls.Certificate // for lab.example and 127.0.0.1
	also []byte          // a certificate that is a root by itself
}

// Pool has all that a client of this world trusts.
func (w *world) Pool() *x509.CertPool {
	pool := w.Authority.Pool()
	if cert, err := x509.ParseCertificate(w.also); err == nil {
		pool.AddCert(cert)
	}
	return pool
}

func newWorld(t testing.TB) *world {
	t.Helper()
	ca, err := netlab.NewAuthority()
	must(t, err)
	w := &world{Authority: ca}
	w.cert = w.certificate(t, netlab.Valid, "lab.example", "127.0.0.1")
	return w
}

func (w *world) certificate(t testing.TB, v netlab.Validity, names ...string) tls.Certificate {
	t.Helper()
	cert, err := w.Certificate(v, names...)
	must(t, err)
	return cert
}

// secure puts TLS with the world's certificate around a behaviour.
func (w *world) secure(inside netlab.Behaviour, alpn ...string) netlab.Behaviour {
	return netlab.TLS(netlab.TLSServer{Certificate: w.cert, ALPN: alpn}, inside)
}

// tls is what a client asks of the world's servers.
func (w *world) tls(alpn ...string) *TLS { return &TLS{Roots: w.Pool(), ALPN: alpn} }

// serve starts a host until the test ends.
func serve(t testing.TB, b netlab.Behaviour) netip.AddrPort {
	t.Helper()
	h, err := netlab.Serve(v4, b)
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	return h.Addr()
}

// script starts a server that does with each connection what do says and then closes
// it, until the test ends.
func script(t testing.TB, do func(c net.Conn)) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", v4.String())
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { c.Close() })()
				do(c)
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		must(t, ln.Close())
		serving.Wait()
	})
	return netip.MustParseAddrPort(ln.Addr().String())
}

// says answers the first bytes with text and reads on until the peer has gone.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := c.Read(make([]byte, 4096)); err == nil {
			io.WriteString(c, text)
			io.Copy(io.Discard, c)
		}
	}
}

// clock goes on by 1 ms each time it is asked.
type clock struct{ asked atomic.Int64 }

func (c *clock) now() time.Duration { return time.Duration(c.asked.Add(1)) * ms }

// outcome is what Run returned.
type outcome struct {
	result  net.Conn
	stages  *sched.Stages
	failure sched.Failure
	ok      bool
}

func dial(t testing.TB, to netip.AddrPort) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", to.String())
	must(t, err)
	must(t, c.(*net.TCPConn).SetLinger(0))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// attempt connects to a server and runs a criterion, which must end by itself.
func attempt(t testing.TB, c *Criterion, to netip.AddrPort, name string) outcome {
	t.Helper()
	if p := c.Check(); len(p) > 0 {
		t.Fatalf("the criterion is wrong: %v", p)
	}
	return over(t.Context(), t, c, Peer{Name: name, Endpoint: to}, dial(t, to))
}

// over runs a criterion over a connection and holds what is true of every run.
func over(ctx context.Context, t testing.TB, c *Criterion, p Peer, conn net.Conn) outcome {
	t.Helper()
	var at clock
	return overBy(ctx, t, c, p, conn, at.now)
}

func overBy(ctx context.Context, t testing.TB, c *Criterion, p Peer, conn net.Conn, now func() time.Duration) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	var o outcome
	o.result, o.stages, o.failure, o.ok = c.Run(ctx, p, conn, now)
	o.check(t, c, conn)
	return o
}

func (o outcome) check(t testing.TB, c *Criterion, conn net.Conn) {
	t.Helper()
	if closed := isClosed(conn); o.ok == closed {
		t.Errorf("ok is %v, and the connection is closed: %v", o.ok, closed)
	}
	if o.ok != (o.result != nil) || o.ok && o.failure != (sched.Failure{}) {
		t.Errorf("ok is %v with result %v and %+v", o.ok, o.result, o.failure)
	}
	if o.ok && !c.Usable() && o.result != conn {
		t.Errorf("what nobody can use is %T", o.result)
	}
	if c.TLS == nil && c.Usable() {
		return
	}
	until := time.Duration(0)
	for i, p := range o.stages.Phases {
		last := i == len(o.stages.Phases)-1
		if p.Start <= until || p.Duration <= 0 || p.Failed != (last && o.failure.Type != "") {
			t.Errorf("phases are %+v with %+v", o.stages.Phases, o.failure)
		}
		until = p.Start + p.Duration
	}
	checkText(t, o.failure.Text)
	if f := o.failure; f.Type != "" && (f.Text == "" || strings.ContainsAny(f.Type, " :") || f.Fault == sched.FaultUnknown && f.Type != other) {
		t.Errorf("failure is %+v", f)
	}
	if o.stages.TLS != nil {
		checkFacts(t, o.stages.TLS)
	}
}

func checkFacts(t testing.TB, s *sched.TLS) {
	t.Helper()
	if len(s.Certificates) > maxCertificates {
		t.Errorf("%d certificates", len(s.Certificates))
	}
	for _, c := range s.Certificates {
		checkText(t, c.Subject)
		checkText(t, c.Issuer)
		checkText(t, strings.Join(c.Names[:min(3, len(c.Names))], ""))
		if len(c.Names) > maxNames || len(c.Fingerprint) != 64 || c.Serial == "" {
			t.Errorf("certificate is %+v", c)
		}
	}
}

// checkText holds that what may come of a peer can be shown.
func checkText(t testing.TB, s string) {
	t.Helper()
	if len(s) > 2000 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		t.Errorf("not fit to be shown: %q", s)
	}
}

func isClosed(c net.Conn) bool {
	if c, ok := c.(interface{ isClosed() bool }); ok {
		return c.isClosed()
	}
	err := c.SetDeadline(time.Time{})
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// phases are the kinds of those that were begun.
func (o outcome) phases() string {
	var kinds []string
	for _, p := range o.stages.Phases {
		kinds = append(kinds, p.Kind.String())
	}
	return strings.Join(kinds, " ")
}

// TCP alone hands the connection through, untouched.
func TestNothingToDo(t *testing.T) {
	conn := dial(t, serve(t, netlab.Read()))
	o := over(t.Context(), t, &Criterion{}, Peer{}, conn)
	if o.result != net.Conn(conn) || !o.ok || o.stages != nil {
		t.Errorf("outcome is %+v", o)
	}
}

// What nobody has spoken over carries data both ways; the rest says that it does not.
func TestUsable(t *testing.T) {
	w := newWorld(t)
	echo := script(t, func(c net.Conn) {
		inside := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{w.cert}})
		io.Copy(inside, inside)
	})
	c := &Criterion{TLS: w.tls()}
	o := attempt(t, c, echo, "lab.example")
	if !o.ok || !c.Usable() {
		t.Fatalf("outcome is %+v", o)
	}
	_, err := io.WriteString(o.result, "hello")
	must(t, err)
	got := make([]byte, 5)
	if _, err := io.ReadFull(o.result, got); err != nil || !bytes.Equal(got, []byte("hello")) {
		t.Errorf("came back %q, %v", got, err)
	}
	for _, c := range []Criterion{{HTTP: &HTTP{}}, {Health: &Health{}}, {FirstByte: true}} {
		if c.Usable() {
			t.Errorf("%+v leaves a connection usable", c)
		}
	}
}

// A panic in the middle closes the connection and goes on.
func TestPanic(t *testing.T) {
	conn := dial(t, serve(t, netlab.HTTP(netlab.HTTPServer{})))
	var at clock
	defer func() {
		if got := recover(); got != "now" || !isClosed(conn) {
			t.Errorf("recovered is %v, closed %v", got, isClosed(conn))
		}
	}()
	(&Criterion{HTTP: &HTTP{}}).Run(t.Context(), Peer{}, conn, func() time.Duration {
		if at.now() == 2*ms {
			panic("now")
		}
		return 0
	})
}
