package connect

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

// DialFunc connects to one endpoint. It calls starting in the moment before the
// first packet leaves, unless it fails before that, and returns promptly when
// ctx ends.
type DialFunc func(ctx context.Context, to policy.Allowed, starting func()) (net.Conn, error)

// portable are attempts with net.Dialer, or with any other DialFunc: one goroutine
// each.
type portable struct {
	race   Race
	dial   DialFunc
	cancel map[int]context.CancelFunc
	wake   chan struct{} // has room for one: that there is news
	timer  *time.Timer
	wg     sync.WaitGroup

	mu     sync.Mutex
	conns  map[int]net.Conn // connected and not taken
	closed bool             // nobody takes any
}

// Portable returns an empty set of attempts that are made with dial; nil: Dial.
func Portable(race Race, dial DialFunc) Attempts {
	if dial == nil {
		dial = Dial
	}
	return &portable{
		race:   race,
		dial:   dial,
		cancel: make(map[int]context.CancelFunc),
		wake:   make(chan struct{}, 1),
		conns:  make(map[int]net.Conn),
	}
}

func (a *portable) Start(id int, to policy.Allowed) {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel[id] = cancel
	a.wg.Go(func() {
		defer cancel()
		a.run(ctx, id, to)
	})
}

func (a *portable) Cancel(id int) { a.cancel[id]() }

func (a *portable) Take(id int) net.Conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	conn := a.conns[id]
	if conn == nil {
		return nil
	}
	delete(a.conns, id)
	a.closeAll()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(-1) // from now on it is as any other connection, of Go's defaults
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true})
	}
	return conn
}

func (a *portable) Wait(due time.Duration, bounded bool) {
	var expired <-chan time.Time
	if bounded {
		expired = a.after(due - a.race.Now())
	}
	select {
	case <-expired:
	case <-a.wake:
	}
}

// after uses one timer again and again.
func (a *portable) after(d time.Duration) <-chan time.Time {
	if a.timer == nil {
		a.timer = time.NewTimer(d)
	} else {
		a.timer.Reset(d)
	}
	return a.timer.C
}

func (a *portable) Wake() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *portable) post(e sched.Event) {
	a.race.Post(e)
	a.Wake()
}

func (a *portable) Close() {
	for _, cancel := range a.cancel {
		cancel()
	}
	a.wg.Wait()
	if a.timer != nil {
		a.timer.Stop()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closeAll()
}

// closeAll closes what nobody takes, now and from now on.
func (a *portable) closeAll() {
	a.closed = true
	for id, conn := range a.conns {
		_ = conn.Close() // nothing was sent, so nothing can be lost
		delete(a.conns, id)
	}
}

func (a *portable) run(ctx context.Context, id int, to policy.Allowed) {
	started := false
	conn, err := a.dial(ctx, to, func() {
		if !started { // net.Dialer may go through several sockets for one connect
			a.post(sched.Event{Kind: sched.Started, At: a.race.Now(), Attempt: id})
		}
		started = true
	})
	e := sched.Event{At: a.race.Now(), Attempt: id}
	switch {
	case err == nil:
		e.Kind, e.Local = sched.Connected, localEndpoint(conn)
		a.hold(ctx, id, conn)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		e.Kind = sched.Cancelled
	default:
		e.Kind, e.Failure = sched.Failed, Classify(err)
	}
	a.post(e)
}

// hold keeps a connection for Take. One that nobody can want any more is closed.
func (a *portable) hold(ctx context.Context, id int, conn net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.race.Keep || a.closed || ctx.Err() != nil {
		_ = conn.Close()
		return
	}
	a.conns[id] = conn
}

func localEndpoint(conn net.Conn) netip.AddrPort {
	if addr, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		ap := addr.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
