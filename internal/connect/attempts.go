package connect

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

// Attempts are the attempts of one race: the seam between it and the operating
// system. All methods but Wake belong to the goroutine that owns the race.
type Attempts interface {
	// Start begins an attempt. It posts Started, and then one of Connected, Failed
	// and Cancelled; Failed may come without Started, when nothing has left this
	// host. With stages after TCP it posts Progressed when TCP is up, and waits for
	// Proceed. Attempts are numbered from 0, and each starts once.
	Start(id int, to policy.Allowed)

	// Proceed lets an attempt that has posted Progressed go on: Race.Stage.
	Proceed(id int)

	// Cancel gives an attempt up. Its outcome is still posted.
	Cancel(id int)

	// Standing tells what is known of the handshake of an attempt that goes on: its
	// local end and what the kernel says. The zero values: nothing.
	Standing(id int) (netip.AddrPort, sched.Kernel)

	// Take hands out the connection of an attempt that has connected; the caller
	// closes it. It returns nil when there is none. There is one winner: all others
	// are closed, also those that connect later, while the race goes on.
	Take(id int) net.Conn

	// Wait returns when there is news, when Wake has been called since it last
	// returned, or at due (since the race began) if it is bounded.
	Wait(due time.Duration, bounded bool)

	// Wake lets Wait return. Any goroutine may call it, also after Close.
	Wake()

	// Close gives everything up, waits until every attempt has reported and closes
	// every connection that was not taken.
	Close()
}

// Race is what Attempts must know of the race they work for. Now and Post are
// required.
type Race struct {
	// Now returns the time since the race began.
	Now func() time.Duration
	// Post takes an event and never blocks. It may be called from many goroutines.
	Post func(sched.Event)
	// Keep says that a connection may be handed out by Take. Otherwise each is
	// closed as soon as it is there.
	Keep bool
	// Stage carries out what follows TCP, in a goroutine of its own for each attempt
	// that proceeds. nil: nothing follows.
	Stage Stage
	// Source is where attempts leave from. The zero value leaves it to the routes.
	Source Source
	// Polite closes what has connected with FIN instead of RST, also what Stage closes,
	// unless there it leaves something unread. The port then stays in TIME_WAIT on this
	// host.
	Polite bool
	// Panicked is told of a panic in Stage, with its stack. nil: nobody is.
	Panicked func(value any, stack []byte)
}

// Stage carries out the stages after TCP of an attempt over its connection, which it
// owns from then on. It ends soon after ctx, which is cancelled when the attempt is
// given up; if that is why it ends, it returns no failure. ok says that all went well;
// then the connection returned is what Take hands out, and Stage has closed it
// otherwise. A panic ends the attempt, in this goroutine only. stages must not change
// after that.
type Stage func(ctx context.Context, id int, conn net.Conn) (result net.Conn, stages *sched.Stages, failure sched.Failure, ok bool)

// Source is where attempts leave from. All zero values leave it to the system. What
// this host or this process may not do fails the attempt, by fault of this host.
type Source struct {
	IPv4, IPv6 netip.Addr // bound to
	Interface  string     // packets leave through it (SO_BINDTODEVICE)
	Mark       uint32     // of packets, for the routing policy (SO_MARK)
	DSCP       uint8      // 0 to 63, of packets (RFC 2474); what is beyond fails
}
