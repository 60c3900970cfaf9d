package server

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// connections are the ones that are open. gRPC forgets those that are still in
// their handshake when it stops, and waits for them.
type connections struct {
	mu    sync.Mutex
	open  map[net.Conn]struct{}
	taken atomic.Int64 // nanoseconds since begun: when a client last took something
}

// begun is what times are counted from.
var begun = time.Now()

// quietFor is how long no client has taken anything.
func (c *connections) quietFor() time.Duration {
	return time.Since(begun) - time.Duration(c.taken.Load())
}

func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		_ = conn.Close() // whoever uses it sees the error
	}
}

// tracked is a listener whose connections can be closed from outside.
type tracked struct {
	net.Listener
	open *connections
	log  *slog.Logger
}

// Accept tells the log of a failure after which gRPC tries again, a second later at most,
// and says nothing.
func (t *tracked) Accept() (net.Conn, error) {
	conn, err := t.Listener.Accept()
	if err != nil {
		if passing, ok := errors.AsType[interface {
			error
			Temporary() bool
		}](err); ok && passing.Temporary() {
			t.log.Warn("a client cannot be accepted; with too many open files, raise the limit (ulimit -n)", "error", err)
		}
		return nil, err
	}
	t.open.mu.Lock()
	defer t.open.mu.Unlock()
	t.open.open[conn] = struct{}{}
	return &trackedConn{Conn: conn, open: t.open}, nil
}

type trackedConn struct {
	net.Conn
	open *connections
}

// piece is what is written at a time: of 32 KiB at once, as gRPC would, nobody could tell
// how much of it a slow client has taken.
const piece = 4 << 10

// Write notes that something was taken.
func (c *trackedConn) Write(b []byte) (n int, err error) {
	for {
		var wrote int
		wrote, err = c.Conn.Write(b[n:min(n+piece, len(b))])
		if n += wrote; wrote > 0 {
			c.open.taken.Store(int64(time.Since(begun)))
		}
		if err != nil || n == len(b) {
			return n, err
		}
	}
}

func (c *trackedConn) Close() error {
	c.open.mu.Lock()
	delete(c.open.open, c.Conn)
	c.open.mu.Unlock()
	return c.Conn.Close()
}
