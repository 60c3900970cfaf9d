package connect

import (
	"net"
	"time"

	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

// Attempts are the attempts of one race: the seam between it and the operating
// system. All methods but Wake belong to the goroutine that owns the race.
type Attempts interface {
	// Start begins an attempt. It posts Started, and then one of Connected, Failed
	// and Cancelled; Failed may come without Started, when nothing has left this
	// host. Attempts are numbered from 0 in the order of starts.
	Start(id int, to policy.Allowed)

	// Cancel gives an attempt up. Its outcome is still posted.
	Cancel(id int)

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

// Race is what Attempts must know of the race they work for. All fields are
// required.
type Race struct {
	// Now returns the time since the race began.
	Now func() time.Duration
	// Post takes an event and never blocks. It may be called from many goroutines.
	Post func(sched.Event)
	// Keep says that a connection may be handed out by Take. Otherwise each is
	// closed as soon as it is there.
	Keep bool
}
