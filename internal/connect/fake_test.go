package connect

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

const ms = time.Millisecond

// log is what a race posts to.
type log struct {
	mu     sync.Mutex
	events []sched.Event
}

func (l *log) post(e sched.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// of returns what was posted of one attempt.
func (l *log) of(attempt int) []sched.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var events []sched.Event
	for _, e := range l.events {
		if e.Attempt == attempt {
			events = append(events, e)
		}
	}
	return events
}

func (l *log) kinds(attempt int) []sched.EventKind {
	var kinds []sched.EventKind
	for _, e := range l.of(attempt) {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func (l *log) want(t *testing.T, attempt int, kinds ...sched.EventKind) {
	t.Helper()
	if got := l.kinds(attempt); !slices.Equal(got, kinds) {
		t.Errorf("attempt %d posted %v, want %v", attempt, got, kinds)
	}
}

func newAttempts(keep bool, dial DialFunc) (Attempts, *log) {
	began, l := time.Now(), new(log)
	return Portable(Race{Now: func() time.Duration { return time.Since(began) }, Post: l.post, Keep: keep}, dial), l
}

func allowed(t testing.TB, endpoint string) policy.Allowed {
	t.Helper()
	to, err := policy.Check(netip.MustParseAddrPort(endpoint))
	must(t, err)
	return to
}

// conn is a connection that can do nothing but be closed.
type conn struct {
	net.Conn

	closed atomic.Int32 // times
}

func (c *conn) LocalAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.99"), Port: 40000}
}

func (c *conn) Close() error {
	c.closed.Add(1)
	return nil
}

// dialer makes one conn after some time; a stubborn one also when it is given up.
type dialer struct {
	after    time.Duration
	stubborn bool
	err      error
	conn     conn
}

func (d *dialer) dial(ctx context.Context, _ policy.Allowed, starting func()) (net.Conn, error) {
	starting()
	timer := time.NewTimer(d.after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		if !d.stubborn {
			return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
		}
	}
	if d.err != nil {
		return nil, d.err
	}
	return &d.conn, nil
}

// dialers are met by port: the first by 1.
type dialers []dialer

func (ds dialers) dial(ctx context.Context, to policy.Allowed, starting func()) (net.Conn, error) {
	return ds[to.Endpoint().Port()-1].dial(ctx, to, starting)
}

func (d *dialer) wantClosed(t *testing.T, times int32) {
	t.Helper()
	if got := d.conn.closed.Load(); got != times {
		t.Errorf("the connection was closed %d times, want %d", got, times)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
