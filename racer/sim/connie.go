package sim

import (
	"net/netip"
	"time"
)

// Connie is connie_connect (connie-experiment at f8511b7, of 2012): after
// getaddrinfo it connects to all addresses at once, and the first connection wins.
// The timeout, greater than 0, is for connecting alone.
//
// It differs from our scheduler on purpose: there is neither a pace nor a limit,
// and each backend pays for each connection. A bug is modelled as it is: a refusal
// is never noticed, so where all addresses refuse it fails at the timeout. Left out
// is its cache of DNS, for a model has no past.
func Connie(timeout time.Duration) Dialer {
	return Dialer{Name: "connie", Dial: func(h *Host) {
		c := &connie{ending: ending{host: h}, timeout: timeout}
		lookup(h, bothTypes, c.dial)
	}}
}

type connie struct {
	ending
	timeout time.Duration
	tried   int // addresses
}

func (c *connie) dial(addrs []netip.Addr) {
	for _, a := range addrs {
		if source, _ := c.host.Source(a); source.IsValid() { // the others fail at once
			c.connect(a)
		}
	}
	if c.tried == 0 {
		c.failed()
	}
	c.host.After(c.timeout, c.failed)
}

func (c *connie) connect(to netip.Addr) {
	c.tried++
	var s *Socket
	s = c.host.Connect(to, func(err error) {
		if err == nil {
			c.won(s)
		}
	})
}
