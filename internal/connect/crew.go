package connect

import (
	"context"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// crew are the goroutines of a race, one an attempt, and the connections they have
// brought and nobody has taken yet.
type crew struct {
	race Race
	wake func() // lets the race's loop look at what was posted
	wg   sync.WaitGroup

	mu      sync.Mutex
	brought map[int]connection
	closed  bool // nobody takes any
}

// handshake is a TCP connection that is up, and what is known of it.
type handshake struct {
	conn   net.Conn // nil: its engine still has it
	local  netip.AddrPort
	kernel sched.Kernel
}

// connection is one that may be handed out, and the one of TCP it runs over: often
// the same.
type connection struct{ conn, tcp net.Conn }

func newCrew(race Race, wake func()) *crew {
	return &crew{race: race, wake: wake, brought: make(map[int]connection)}
}

// carryOut runs the stages of an attempt and reports its outcome.
func (c *crew) carryOut(ctx context.Context, id int, h handshake) {
	e := sched.Event{Attempt: id, Local: h.local, Kernel: h.kernel}
	result := c.stage(ctx, &e, h.conn)
	e.At = c.race.Now()
	switch {
	case e.Kind == sched.Connected:
		c.keep(ctx, id, connection{result, h.conn})
	case e.Kind == 0 && ctx.Err() != nil && e.Failure.Type == "": // else it had failed before
		e.Kind = sched.Cancelled
	default:
		e.Kind = sched.Failed
	}
	c.race.Post(e)
	c.wake()
}

// stage runs Race.Stage and fills in what it says. A panic ends this attempt and
// nothing else.
func (c *crew) stage(ctx context.Context, e *sched.Event, conn net.Conn) (result net.Conn) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		_ = conn.Close() // whatever the stage has made of it
		e.Kind, e.Stages, e.Failure = sched.Failed, nil, broken
		if c.race.Panicked != nil {
			c.race.Panicked(value, debug.Stack())
		}
	}()
	result, stages, failure, ok := c.race.Stage(ctx, e.Attempt, conn)
	e.Stages = stages
	if ok {
		e.Kind = sched.Connected
	} else {
		e.Failure = failure
	}
	return result
}

// broken is the failure of an attempt whose stage has panicked.
var broken = sched.Failure{
	Type: other, Fault: sched.FaultHost,
	Text: "a stage of this attempt ended in a bug of connrace; its log has the details, please report them",
}

// keep keeps a connection for take. One that nobody can want any more is closed.
func (c *crew) keep(ctx context.Context, id int, brought connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.race.Keep || c.closed || ctx.Err() != nil {
		brought.discard(c.race.Polite)
		return
	}
	c.brought[id] = brought
}

// take hands out the connection of an attempt, if there is one, and closes all others.
func (c *crew) take(id int) net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	brought, ok := c.brought[id]
	if !ok {
		return nil
	}
	delete(c.brought, id)
	c.closeAll()
	if tcp, ok := brought.tcp.(*net.TCPConn); ok {
		_ = tcp.SetLinger(-1) // from now on it is as any other connection, of Go's defaults
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true})
	}
	return brought.conn
}

// wait waits for all attempts to report, and closes what nobody takes any more.
func (c *crew) wait() {
	c.wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeAll()
}

const (
	// stoodStill is how late an alarm is only where the process stood still, as with
	// SIGSTOP or on a machine that was paused. Busy processors make it 15 ms late.
	stoodStill = 50 * time.Millisecond
	// moment is what goroutines need to take in what came meanwhile, a certificate too.
	moment = 20 * time.Millisecond
)

// catchUp is called when a wait until due is over. The alarm of a process that stood
// still may wake the race before its attempts have read what came in time.
func (c *crew) catchUp(due time.Duration) {
	if c.race.Now()-due > stoodStill {
		time.Sleep(moment)
	}
}

// closeAll closes what nobody takes, now and from now on.
func (c *crew) closeAll() {
	c.closed = true
	for id, brought := range c.brought {
		brought.discard(c.race.Polite)
		delete(c.brought, id)
	}
}

// discard closes a connection nobody wants. What was opened to be reset is reset
// before anything above it can say good-bye.
func (c connection) discard(polite bool) {
	above := c.conn != nil && c.conn != c.tcp
	switch {
	case polite && above:
		_ = c.conn.Close() // says good-bye and closes what is below it
	case polite:
		closeInOrder(c.tcp)
	default:
		_ = c.tcp.Close() // nothing that was sent counts, so nothing can be lost
		if above {
			_ = c.conn.Close() // it may hold more than the connection
		}
	}
}
