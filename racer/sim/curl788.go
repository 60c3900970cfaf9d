package sim

import (
	"net/netip"
	"time"
)

// Curl788 is curl 7.88 to 8.3, as Debian 12 has it (lib/connect.c, lib/easy.c and
// lib/multi.c of 7.88.1). The timeout is --connect-timeout, DNS included; 0 is the
// default, 300 s.
//
// It waits for getaddrinfo, in a thread, and races the families, not the addresses:
// that of the first address begins, the other follows 200 ms later, or when all
// addresses of the first have failed. Within a family an address that others follow
// has half of the time that is left.
//
// It looks at what there is to do when a socket or a timer wakes it, else once a
// second. The next address of a family is chosen at one look, and its SYN leaves at
// the next: up to a second later. (From 8.4 to 8.15 it leaves at once.)
//
// It differs from our scheduler on purpose: within a family a timer ends an attempt
// that may yet succeed, and after a failure it sleeps.
func Curl788(timeout time.Duration) Dialer {
	if timeout == 0 {
		timeout = curlTimeout
	}
	return Dialer{Name: "curl 7.88", Dial: func(h *Host) {
		c := &curl788{ending: ending{host: h}, timeout: timeout}
		h.After(timeout, c.failed)
		lookup(h, bothTypes, c.dial)
	}}
}

// curlPoll is how long curl_easy_perform sleeps at most.
const curlPoll = time.Second

type curl788 struct {
	ending
	timeout      time.Duration
	headStart    time.Duration // when the head start of the first family ends
	first, other curlFamily
	poll         *Timer
}

// curlFamily tries the addresses of one family.
type curlFamily struct {
	addrs   []netip.Addr // the one it is at, and those to come
	started bool
	until   time.Duration // ends the time of the one it is at
	socket  *Socket       // nil: its SYN leaves at the next look
	failed  bool          // the socket has
}

func (c *curl788) dial(addrs []netip.Addr) {
	c.first.addrs, c.other.addrs = byFamily(addrs)
	c.headStart = c.host.Now() + curlDelay
	c.host.After(curlDelay, c.look)
	c.begin(&c.first)
	c.look()
}

// look is one round of the program.
func (c *curl788) look() {
	if c.over {
		return
	}
	c.advance(&c.first)
	c.advance(&c.other)
	if !c.other.started && (len(c.first.addrs) == 0 || c.host.Now() >= c.headStart) {
		c.begin(&c.other)
		c.advance(&c.other)
	}
	if len(c.first.addrs)+len(c.other.addrs) == 0 {
		c.failed()
		return
	}
	if c.poll != nil {
		c.poll.Stop()
	}
	c.poll = c.host.After(curlPoll, c.look)
}

// advance goes on to the next address, or connects to the one begun before.
func (c *curl788) advance(f *curlFamily) {
	switch {
	case !f.started || len(f.addrs) == 0:
	case f.failed || c.host.Now() >= f.until:
		f.addrs = f.addrs[1:]
		c.begin(f)
	case f.socket == nil:
		f.socket = c.host.Connect(f.addrs[0], func(err error) { c.ended(f, err) })
	}
}

// begin gives the address that f is at its time.
func (c *curl788) begin(f *curlFamily) {
	if f.socket != nil {
		f.socket.Close()
	}
	*f = curlFamily{addrs: f.addrs, started: true, until: c.timeout}
	if len(f.addrs) > 1 {
		share := (c.timeout - c.host.Now()) / 2
		f.until = c.host.Now() + share
		c.host.After(share, c.look)
	}
}

func (c *curl788) ended(f *curlFamily, err error) {
	if err == nil {
		c.won(f.socket)
		return
	}
	f.failed = true
	c.look()
}
