//go:build linux

package netlab_test

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
)

// hang is how long a connect must go without an answer to be called a hanging
// one: less than the 1 s after which the kernel sends the SYN again.
const hang = 100 * time.Millisecond

func TestSwallow(t *testing.T) {
	t.Parallel()
	for _, addr := range []netip.Addr{v4b, v6} {
		t.Run(addr.String(), func(t *testing.T) {
			t.Parallel()
			h := start(t, netlab.Swallow, any0(t, addr))
			hangs(t, h.Addr(), 1)
			hangs(t, h.Addr(), 50)
			if h.Accepted() != 0 || h.Open() != 0 {
				t.Errorf("accepted %d, open %d; want none", h.Accepted(), h.Open())
			}
			must(t, h.Refill()) // of a full queue
			hangs(t, h.Addr(), 1)
		})
	}
}

// One lost SYN costs about 1 s; the next attempt, after the drain, costs nothing.
func TestDrainLosesOneSYN(t *testing.T) {
	t.Parallel()
	for _, addr := range []netip.Addr{v4b, v6} {
		t.Run(addr.String(), func(t *testing.T) {
			t.Parallel()
			h := start(t, netlab.Swallow, any0(t, addr))
			began := time.Now()
			lost := make(chan error, 1)
			go func() {
				c, err := net.DialTimeout("tcp", h.Addr().String(), patience)
				if err == nil {
					defer c.Close()
				}
				lost <- err
			}()
			select {
			case err := <-lost:
				t.Fatalf("connect ended with %v after %v, want it to hang", err, time.Since(began))
			case <-time.After(100 * time.Millisecond):
			}
			must(t, h.Drain())
			must(t, h.Drain())

			second := time.Now()
			mustDial(t, h.Addr())
			if took := time.Since(second); took > 500*time.Millisecond {
				t.Errorf("connect after the drain took %v, want it at once", took)
			}
			must(t, <-lost)
			took := time.Since(began)
			t.Logf("the lost SYN cost %v", took)
			if took < 900*time.Millisecond || took > 3*time.Second {
				t.Errorf("connect with one lost SYN took %v, want about 1 s", took)
			}
			eventually(t, "2 accepted, 1 open, no filler among them", func() bool {
				return h.Accepted() == 2 && h.Open() == 1
			})
		})
	}
}

func TestRefillSwallowsAgain(t *testing.T) {
	t.Parallel()
	h := start(t, netlab.Swallow, any0(t, v4b))
	for round := 1; round <= 3; round++ {
		must(t, h.Drain())
		mustDial(t, h.Addr())
		eventually(t, "accepted", func() bool { return h.Accepted() == round })
		must(t, h.Refill())
		hangs(t, h.Addr(), 3)
	}
	if h.Accepted() != 3 || h.Open() != 3 {
		t.Errorf("accepted %d, open %d; want 3 and 3: refilling touches no connection", h.Accepted(), h.Open())
	}
}

// Drained, the host is as ready as any other: a burst of clients finds room in
// its queue, none waits for its SYN to be sent again.
func TestDrainTakesABurst(t *testing.T) {
	t.Parallel()
	h := start(t, netlab.Swallow, any0(t, v4b))
	must(t, h.Drain())
	const clients = 100
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			began := time.Now()
			c, err := net.DialTimeout("tcp", h.Addr().String(), patience)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if took := time.Since(began); took > 900*time.Millisecond {
				t.Errorf("connect took %v, want no lost SYN", took)
			}
		})
	}
	all.Wait()
	eventually(t, "all accepted, all gone", func() bool {
		return h.Accepted() == clients && h.Open() == 0
	})
}

// Hosts that differ in behaviour share one port, as the addresses of a name do.
func TestHostsShareAPort(t *testing.T) {
	t.Parallel()
	good, bad, hole := v4, netip.MustParseAddr("127.0.0.3"), v4b
	port, err := netlab.FreePort(good, bad, hole)
	must(t, err)
	start(t, netlab.Refuse, netip.AddrPortFrom(bad, port))
	start(t, netlab.Swallow, netip.AddrPortFrom(hole, port))
	h := start(t, netlab.Accept, netip.AddrPortFrom(good, port))
	mustDial(t, h.Addr())
	hangs(t, netip.AddrPortFrom(hole, port), 1)
	eventually(t, "accepted", func() bool { return h.Accepted() == 1 })
}

// Drain, Refill and Close may meet; whichever comes after Close says so.
func TestSwallowUsedConcurrently(t *testing.T) {
	t.Parallel()
	h := start(t, netlab.Swallow, any0(t, v4b))
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for range 3 {
				h.Drain()
				h.Refill()
			}
		})
		users.Go(func() { h.Accepted(); h.Open() })
	}
	users.Go(func() { h.Close() })
	users.Wait()
	must(t, h.Close())
	mustBe(t, h.Drain(), net.ErrClosed)
	mustBe(t, h.Refill(), net.ErrClosed)
}

// hangs makes n connects at once, none of which may end before its time.
func hangs(t *testing.T, to netip.AddrPort, n int) {
	t.Helper()
	ended := make(chan error, n)
	for range n {
		go func() {
			c, err := net.DialTimeout("tcp", to.String(), hang)
			if err == nil {
				c.Close()
			}
			ended <- err
		}()
	}
	for range n {
		if err := <-ended; !os.IsTimeout(err) {
			t.Errorf("connect to %v ended with %v, want it to hang", to, err)
		}
	}
}
