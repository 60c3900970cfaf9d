package sim

import (
	"net/netip"
	"time"
)

// NetDialer is Go's net.Dialer with network "tcp" (net/dial.go of Go 1.26), which
// nearly every Go program connects with. The timeout is Dialer.Timeout, or the time
// to the context's deadline; 0, the default: none.
//
// It waits for both answers of DNS, and races the families, not the addresses. The
// family of the first address by RFC 6724 begins; the other follows 300 ms later,
// or when all addresses of the first have failed. Within a family an address gets
// an equal share of the time that is left, but 2 s if it can have them, and without
// a timeout as long as the kernel tries.
//
// It differs from our scheduler on purpose: within a family a timer ends an attempt
// that may yet succeed, and addresses are never tried if the time is up before.
// Left out is Dialer.FallbackDelay: it is the default.
func NetDialer(timeout time.Duration) Dialer {
	return Dialer{Name: "net.Dialer", Dial: func(h *Host) {
		d := &netDialer{ending: ending{host: h}, timeout: timeout}
		if timeout > 0 {
			h.After(timeout, d.giveUp)
		}
		lookup(h, bothTypes, d.dial)
	}}
}

const (
	// netFallbackDelay is the default of Dialer.FallbackDelay.
	netFallbackDelay = 300 * time.Millisecond
	// netShareFloor is the least that an address gets, at the cost of later ones.
	netShareFloor = 2 * time.Second
)

type netDialer struct {
	ending
	timeout time.Duration
	race    familyRace
}

func (d *netDialer) dial(addrs []netip.Addr) {
	if d.over {
		return // DNS took all the time there was
	}
	d.race = familyRace{
		host: d.host, headStart: netFallbackDelay, share: d.share,
		connected: d.won, exhausted: d.failed,
	}
	d.race.begin(byFamily(addrs))
}

// share is an address's share of the time until the deadline, which ends all.
func (d *netDialer) share(left int) time.Duration {
	if d.timeout == 0 {
		return unlimited
	}
	return max((d.timeout-d.host.Now())/time.Duration(left), netShareFloor)
}

func (d *netDialer) giveUp() {
	d.race.stop()
	d.failed()
}
