package stage

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/connrace/connrace/racer/sched"
)

// gate is a connection on which reading or writing number stuck never returns, until
// it is closed.
type gate struct {
	net.Conn

	mu     sync.Mutex
	done   int
	stuck  int
	closed chan struct{}
	once   sync.Once
}

func newGate(c net.Conn, stuck int) *gate {
	return &gate{Conn: c, stuck: stuck, closed: make(chan struct{})}
}

// pass returns false, when the connection is closed, for the one that is stuck.
func (g *gate) pass() bool {
	g.mu.Lock()
	g.done++
	stuck := g.done == g.stuck
	g.mu.Unlock()
	if stuck {
		<-g.closed
	}
	return !stuck
}

func (g *gate) Read(b []byte) (int, error) {
	if !g.pass() {
		return 0, net.ErrClosed
	}
	return g.Conn.Read(b)
}

func (g *gate) Write(b []byte) (int, error) {
	if !g.pass() {
		return 0, net.ErrClosed
	}
	return g.Conn.Write(b)
}

// isClosed does not ask the pipe, which is also closed when its other end is.
func (g *gate) isClosed() bool {
	select {
	case <-g.closed:
		return true
	default:
		return false
	}
}

func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Conn.Close()
}

// once is a listener of one connection.
type once struct {
	conn chan net.Conn
	end  chan struct{}
	stop sync.Once
}

func (l *once) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.end:
		return nil, net.ErrClosed
	}
}

func (l *once) Close() error {
	l.stop.Do(func() { close(l.end) })
	return nil
}

func (l *once) Addr() net.Addr { return &net.TCPAddr{} }

// buffered is one end of a pipe whose writes do not wait for the other end, as those of
// a socket.
type buffered struct {
	net.Conn

	out    chan []byte
	over   chan struct{}
	stop   sync.Once
	abrupt bool // Close drops what is not yet out, like a reset
}

func newBuffered(c net.Conn, abrupt bool) *buffered {
	b := &buffered{Conn: c, out: make(chan []byte, 1000), over: make(chan struct{}), abrupt: abrupt}
	go b.deliver()
	return b
}

// deliver writes what there is, and closes when nothing is left.
func (b *buffered) deliver() {
	defer b.Conn.Close()
	for {
		select {
		case text := <-b.out:
			b.Conn.Write(text)
			continue
		default:
		}
		select {
		case text := <-b.out:
			b.Conn.Write(text)
		case <-b.over:
			if len(b.out) == 0 {
				return
			}
		}
	}
}

func (b *buffered) Write(text []byte) (int, error) {
	select {
	case <-b.over:
		return 0, net.ErrClosed
	case b.out <- append([]byte(nil), text...):
		return len(text), nil
	}
}

// SetWriteDeadline does nothing: writing does not wait, and what is written gets out.
func (b *buffered) SetWriteDeadline(time.Time) error { return nil }

func (b *buffered) SetDeadline(at time.Time) error { return b.SetReadDeadline(at) }

func (b *buffered) Close() error {
	b.stop.Do(func() { close(b.over) })
	if b.abrupt {
		return b.Conn.Close()
	}
	return nil
}

// healthy are servers that do what is asked of them, over a pipe.
func healthy(w *world) map[string]struct {
	ask   *Criterion
	serve func(net.Conn)
} {
	secure := func(alpn string, inside func(net.Conn)) func(net.Conn) {
		return func(c net.Conn) {
			inside(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{w.cert}, NextProtos: []string{alpn}}))
		}
	}
	reads := func(c net.Conn) { io.Copy(io.Discard, c) }
	speaks := func(c net.Conn) {
		io.WriteString(c, "hello")
		io.Copy(io.Discard, c)
	}
	return map[string]struct {
		ask   *Criterion
		serve func(net.Conn)
	}{
		"tls":             {&Criterion{TLS: w.tls()}, secure("a", reads)},
		"http":            {&Criterion{HTTP: &HTTP{}}, serveHTTP},
		"tls, http":       {&Criterion{TLS: w.tls(), HTTP: &HTTP{}}, secure("http/1.1", serveHTTP)},
		"tls, h2":         {&Criterion{TLS: w.tls("h2"), HTTP: &HTTP{}}, secure("h2", h2Peer(answer200))},
		"health":          {&Criterion{Health: &Health{}}, serveHealth},
		"tls, health":     {&Criterion{TLS: w.tls(), Health: &Health{}}, secure("h2", serveHealth)},
		"first byte":      {&Criterion{FirstByte: true}, speaks},
		"tls, first byte": {&Criterion{TLS: w.tls(), FirstByte: true}, secure("a", speaks)},
	}
}

func serveHTTP(c net.Conn) {
	l := &once{conn: make(chan net.Conn, 1), end: make(chan struct{})}
	l.conn <- c
	server := http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		Handler:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				l.Close()
			}
		},
	}
	server.Serve(l)
}

func serveHealth(c net.Conn) {
	l := &once{conn: make(chan net.Conn, 1), end: make(chan struct{})}
	closing := &closeTeller{Conn: c, told: make(chan struct{})}
	l.conn <- closing
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() {
		<-closing.told
		server.Stop()
	}()
	server.Serve(l)
}

type closeTeller struct {
	net.Conn

	told chan struct{}
	once sync.Once
}

func (c *closeTeller) Close() error {
	c.once.Do(func() { close(c.told) })
	return c.Conn.Close()
}

// Cancelled wherever it may wait for the peer, a run ends without any time passing,
// has closed its connection and leaves no goroutine behind, for which the bubble
// looks. It says how far it was and blames nobody.
func TestCancelAtEveryPoint(t *testing.T) {
	for what := range healthy(newWorld(t)) {
		t.Run(what, func(t *testing.T) {
			const most = 100
			stuck := 1
			for ; stuck < most && !cancelledAt(t, what, stuck); stuck++ {
			}
			if stuck == 1 || stuck == most {
				t.Errorf("it was done after %d operations", stuck)
			}
		})
	}
}

// cancelledAt lets the operation of that number be stuck, and cancels when nothing
// moves any more. It reports whether the run never came so far.
func cancelledAt(t *testing.T, what string, stuck int) (done bool) {
	synctest.Test(t, func(t *testing.T) {
		c := healthy(newWorld(t))[what] // by the bubble's clock
		ctx, cancel := context.WithCancel(t.Context())
		near, far := net.Pipe()
		conn, peer := newGate(newBuffered(near, true), stuck), newBuffered(far, false)
		go func() {
			defer peer.Close()
			c.serve(peer)
		}()
		var at clock
		var o outcome
		ended := make(chan struct{})
		began := time.Now()
		go func() {
			defer close(ended)
			o.result, o.stages, o.failure, o.ok = c.ask.Run(ctx, Peer{Name: "lab.example"}, conn, at.now)
		}()
		synctest.Wait()
		select {
		case <-ended:
			done = true
		default:
		}
		cancel()
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Fatalf("stuck at %d it goes on after it was cancelled", stuck)
		}
		o.check(t, c.ask, conn)
		if o.ok != done || o.failure != (sched.Failure{}) || time.Since(began) != 0 || !o.ok && len(o.stages.Phases) == 0 {
			t.Errorf("stuck at %d, done %v: %+v after %v", stuck, done, o, time.Since(began))
		}
		conn.Close()
		near.Close()
		peer.Close()
		far.Close()
	})
	return done
}

// Cancelled before it begins.
func TestCancelledBefore(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, c := range healthy(w) {
		at := script(t, c.serve)
		o := over(ctx, t, c.ask, Peer{Name: "lab.example", Endpoint: at}, dial(t, at))
		if o.ok || o.failure != (sched.Failure{}) {
			t.Errorf("%s: %+v", what, o)
		}
	}
}

// A peer that stalls, on real sockets: cancelling ends it, with the phase so far.
func TestCancelOnSockets(t *testing.T) {
	w := newWorld(t)
	for what, c := range stalling(t, w) {
		t.Run(what, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var at clock
			conn := &told{Conn: dial(t, c.at), at: &at, asked: c.asked, reads: c.reads, tell: cancel}
			o := overBy(ctx, t, c.ask, Peer{Name: "lab.example", Endpoint: c.at}, conn, at.now)
			if o.ok || o.failure != (sched.Failure{}) || o.phases() != c.phases {
				t.Errorf("outcome is %+v in %q", o, o.phases())
			}
		})
	}
}

// told tells when a read begins: so many after the clock was asked so often.
type told struct {
	net.Conn

	at    *clock
	asked int64
	reads int
	tell  func()
}

func (c *told) Read(b []byte) (int, error) {
	if c.at.asked.Load() >= c.asked {
		if c.reads--; c.reads == 0 {
			go c.tell()
		}
	}
	return c.Conn.Read(b)
}

// No phase has a limit of its own: a silent peer is waited for until somebody cancels.
func TestNoLimitOfItsOwn(t *testing.T) {
	for what, ask := range map[string]*Criterion{
		"tls": {TLS: &TLS{}}, "http": {HTTP: &HTTP{}}, "health": {Health: &Health{}}, "first byte": {FirstByte: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			near, far := net.Pipe()
			defer far.Close()
			go io.Copy(io.Discard, far)
			began := time.Now()
			var at clock
			_, _, failure, ok := ask.Run(ctx, Peer{Name: "lab.example"}, &slowToClose{Conn: near}, at.now)
			if took := time.Since(began); ok || failure != (sched.Failure{}) || took != time.Hour+time.Second {
				t.Errorf("%s ended after %v with %+v", what, took, failure)
			}
		})
	}
}

// slowToClose takes a second to close for the first time. Run is not done before.
type slowToClose struct {
	net.Conn

	closed atomic.Bool
}

func (c *slowToClose) Close() error {
	if !c.closed.Swap(true) {
		defer time.Sleep(time.Second)
	}
	return c.Conn.Close()
}
