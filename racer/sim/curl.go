package sim

import (
	"net/netip"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// Curl is today's curl (lib/cf-ip-happy.c and lib/vdns/cf-dns.c at 5c61e168, August
// 2026, on the way to 8.22). The timeout is --connect-timeout, DNS included; 0 is
// the default, 300 s.
//
// It asks for each family apart and waits for the IPv6 answer, 25 ms since the
// question at most; then it takes what there is. The families alternate, IPv6
// first. The next attempt begins 200 ms after the last one, or when none is left: a
// failure does not begin another one while a slow one is under way.
//
// It differs from our scheduler on purpose: for a seventh attempt at once it gives
// up the oldest, so that on a name with many addresses each has 1.2 s.
//
// Attempts stay while later ones run since 8.16, the limit of six and the answers
// apart are from 8.20. In 8.20 and 8.21 the wait for IPv6 was 50 ms and had no
// timer of its own. Left out: HTTPS records, HTTP/3, a server that closes at once.
func Curl(timeout time.Duration) Dialer {
	if timeout == 0 {
		timeout = curlTimeout
	}
	return Dialer{Name: "curl", Dial: func(h *Host) {
		c := &curl{ending: ending{host: h}}
		c.ask(sched.AAAA, &c.six, c.begin)
		c.ask(sched.A, &c.four, c.step)
		h.After(curlResolutionDelay, c.begin)
		h.After(timeout, c.failed)
	}}
}

const (
	curlTimeout         = 300 * time.Second
	curlDelay           = 200 * time.Millisecond // --happy-eyeballs-timeout-ms
	curlResolutionDelay = 25 * time.Millisecond
	curlMost            = 6 // attempts at once
)

type curl struct {
	ending
	six, four []netip.Addr  // still to try
	answers   int           // so far, of two
	ready     bool          // no wait for an answer any more
	lastSix   bool          // the last attempt was IPv6
	started   time.Duration // when the last one was
	running   []*Socket     // the oldest first
}

func (c *curl) ask(t sched.RecordType, found *[]netip.Addr, then func()) {
	c.host.Lookup(t, func(a Answer) {
		*found = ordered(c.host, a.Addrs)
		c.answers++
		then()
	})
}

// begin waits for no answer any more.
func (c *curl) begin() {
	c.ready = true
	c.step()
}

// step goes on if it is time to.
func (c *curl) step() {
	next := &c.six
	if len(c.six) == 0 || c.lastSix && len(c.four) > 0 {
		next = &c.four
	}
	switch idle := len(c.running) == 0; {
	case c.over || !c.ready:
	case len(*next) == 0 && idle && c.answers == len(bothTypes):
		c.failed()
	case len(*next) > 0 && (idle || c.host.Now()-c.started >= curlDelay):
		to := (*next)[0]
		*next, c.lastSix = (*next)[1:], next == &c.six
		c.start(to)
	}
}

func (c *curl) start(to netip.Addr) {
	if len(c.running) == curlMost {
		c.running[0].Close()
		c.running = c.running[1:]
	}
	var s *Socket
	s = c.host.Connect(to, func(err error) {
		c.running = slices.DeleteFunc(c.running, func(r *Socket) bool { return r == s })
		if err == nil {
			c.won(s)
			return
		}
		c.step()
	})
	c.running = append(c.running, s)
	c.started = c.host.Now()
	c.host.After(curlDelay, c.step)
}
