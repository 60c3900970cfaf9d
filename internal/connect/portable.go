package connect

import (
	"context"
	"errors"
	"net"
	"net/netip"
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
	race     Race
	dial     DialFunc
	crew     *crew
	attempts map[int]handle
	wake     chan struct{} // has room for one: that there is news
	timer    *time.Timer
}

// handle is how the race's loop reaches an attempt's goroutine.
type handle struct {
	cancel  context.CancelFunc
	proceed chan struct{} // has room for one
}

// Portable returns an empty set of attempts that are made with dial; nil: with
// net.Dialer, from race.Source.
func Portable(race Race, dial DialFunc) Attempts {
	if dial == nil {
		dial = dialFor(race)
	}
	a := &portable{
		race:     race,
		dial:     dial,
		attempts: make(map[int]handle),
		wake:     make(chan struct{}, 1),
	}
	a.crew = newCrew(race, a.Wake)
	return a
}

func (a *portable) Start(id int, to policy.Allowed) {
	ctx, cancel := context.WithCancel(context.Background())
	h := handle{cancel: cancel, proceed: make(chan struct{}, 1)}
	a.attempts[id] = h
	a.crew.wg.Go(func() {
		defer cancel()
		a.run(ctx, id, to, h.proceed)
	})
}

func (a *portable) Proceed(id int) {
	select {
	case a.attempts[id].proceed <- struct{}{}:
	default: // it has been told
	}
}

func (a *portable) Cancel(id int) { a.attempts[id].cancel() }

// Standing knows nothing: net.Dialer tells of a handshake when it is over.
func (a *portable) Standing(int) (netip.AddrPort, sched.Kernel) {
	return netip.AddrPort{}, sched.Kernel{}
}

func (a *portable) Take(id int) net.Conn { return a.crew.take(id) }

func (a *portable) Wait(due time.Duration, bounded bool) {
	if !bounded {
		<-a.wake
		return
	}
	left := due - a.race.Now()
	select {
	case <-a.after(left):
	case <-a.wake:
	}
	if left > 0 { // else there was no alarm to be late
		a.crew.catchUp(due)
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
	for _, h := range a.attempts {
		h.cancel()
	}
	a.crew.wait()
	if a.timer != nil {
		a.timer.Stop()
	}
}

func (a *portable) run(ctx context.Context, id int, to policy.Allowed, proceed <-chan struct{}) {
	started := false
	conn, err := a.dial(ctx, to, func() {
		if !started { // net.Dialer may go through several sockets for one connect
			a.post(sched.Event{Kind: sched.Started, At: a.race.Now(), Attempt: id})
		}
		started = true
	})
	e := sched.Event{At: a.race.Now(), Attempt: id}
	switch {
	case err == nil && a.race.Stage != nil:
		a.progress(ctx, e, conn, proceed)
		return
	case err == nil:
		e.Kind, e.Local = sched.Connected, localEndpoint(conn)
		a.crew.keep(ctx, id, connection{conn, conn})
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		e.Kind = sched.Cancelled
	default:
		e.Kind, e.Failure = sched.Failed, Classify(err)
	}
	a.post(e)
}

// progress reports a TCP connection that is up, and goes on with it when it is told.
func (a *portable) progress(ctx context.Context, e sched.Event, conn net.Conn, proceed <-chan struct{}) {
	e.Kind, e.Local = sched.Progressed, localEndpoint(conn)
	a.post(e)
	if proceeds(ctx, proceed) {
		a.crew.carryOut(ctx, e.Attempt, handshake{conn: conn, local: e.Local})
		return
	}
	connection{conn, conn}.discard(a.race.Polite)
	e.Kind, e.At = sched.Cancelled, a.race.Now()
	a.post(e)
}

// proceeds waits for what an attempt is told, and says whether it may go on. What was
// told before it was given up counts.
func proceeds(ctx context.Context, proceed <-chan struct{}) bool {
	select {
	case <-proceed:
		return true
	case <-ctx.Done():
	}
	select {
	case <-proceed:
		return true
	default:
		return false
	}
}

func localEndpoint(conn net.Conn) netip.AddrPort {
	if addr, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		ap := addr.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
