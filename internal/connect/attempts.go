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

// Race is what Attempts must know of the race it works for. All fields are
// required.
type Race struct {
	// Now returns the time since the race began.
	Now func() time.Duration
	// Post takes an event and never blocks. It is called from many goroutines.
	Post func(sched.Event)
	// Keep says that a connection may be handed out by Take. Otherwise each is
	// closed as soon as it is there.
	Keep bool
}

// Attempts are the attempts of one race. Its methods belong to the goroutine
// that owns the race.
type Attempts struct {
	race   Race
	dial   DialFunc
	cancel map[int]context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	conns  map[int]net.Conn // connected and not taken
	closed bool             // nobody takes any
}

// New returns an empty set of attempts. A nil dial means Dial.
func New(race Race, dial DialFunc) *Attempts {
	if dial == nil {
		dial = Dial
	}
	return &Attempts{
		race:   race,
		dial:   dial,
		cancel: make(map[int]context.CancelFunc),
		conns:  make(map[int]net.Conn),
	}
}

// Start begins an attempt. It posts Started, and then one of Connected, Failed
// and Cancelled; Failed may come without Started.
func (a *Attempts) Start(id int, to policy.Allowed) {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel[id] = cancel
	a.wg.Go(func() {
		defer cancel()
		a.run(ctx, id, to)
	})
}

// Cancel gives an attempt up. Its outcome is still posted.
func (a *Attempts) Cancel(id int) { a.cancel[id]() }

// Take hands out the connection of an attempt that has connected; the caller
// closes it. It returns nil when there is none. There is one winner: all others
// are closed, also those that connect later, while the race goes on.
func (a *Attempts) Take(id int) net.Conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	conn := a.conns[id]
	if conn == nil {
		return nil
	}
	delete(a.conns, id)
	a.closeAll()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(-1) // from now on it closes as any other connection
	}
	return conn
}

// Close gives everything up, waits until every attempt has reported and closes
// every connection that was not taken.
func (a *Attempts) Close() {
	for _, cancel := range a.cancel {
		cancel()
	}
	a.wg.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closeAll()
}

// closeAll closes what nobody takes, now and from now on.
func (a *Attempts) closeAll() {
	a.closed = true
	for id, conn := range a.conns {
		_ = conn.Close() // nothing was sent, so nothing can be lost
		delete(a.conns, id)
	}
}

func (a *Attempts) run(ctx context.Context, id int, to policy.Allowed) {
	started := false
	conn, err := a.dial(ctx, to, func() {
		if !started { // net.Dialer may go through several sockets for one connect
			a.race.Post(sched.Event{Kind: sched.Started, At: a.race.Now(), Attempt: id})
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
	a.race.Post(e)
}

// hold keeps a connection for Take. One that nobody can want any more is closed.
func (a *Attempts) hold(ctx context.Context, id int, conn net.Conn) {
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
