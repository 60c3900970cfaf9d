//go:build linux

package netlab_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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
			repeats := 0
			go func() {
				c, err := net.DialTimeout("tcp", h.Addr().String(), patience)
				if err == nil {
					defer c.Close()
					repeats, err = repeatedSYNs(c)
				}
				lost <- err
			}()
			eventually(t, "the connect has begun", func() bool { return connecting(t, h.Addr().Port()) })
			select {
			case err := <-lost:
				t.Fatalf("connect ended with %v after %v, want it to hang", err, time.Since(began))
			case <-time.After(100 * time.Millisecond):
			}
			must(t, h.Drain())
			must(t, h.Drain())
			drained := time.Since(began)

			n, err := repeatedSYNs(mustDial(t, h.Addr()))
			if must(t, err); n != 0 {
				t.Errorf("connect after the drain took %d SYNs more, want it at once", n)
			}
			must(t, <-lost)
			took := time.Since(began)
			t.Logf("the lost SYN cost %v", took)
			// A machine that drained late has lost the second SYN too.
			if took < 900*time.Millisecond || repeats == 0 || repeats > 1 && drained < 900*time.Millisecond {
				t.Errorf("connect with one lost SYN took %v and %d SYNs more, want about 1 s and one", took, repeats)
			}
			eventually(t, "2 accepted, 1 open, no filler among them", func() bool {
				return h.Accepted() == 2 && h.Open() == 1
			})
		})
	}
}

// connecting says whether a connect to that port has no answer yet (state 02).
func connecting(t *testing.T, port uint16) bool {
	t.Helper()
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(name)
		must(t, err)
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line) // sl local remote st ...
			if len(f) > 3 && f[3] == "02" && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", port)) {
				return true
			}
		}
	}
	return false
}

// repeatedSYNs is how many of a connection that has sent nothing were lost, as the
// kernel counts: a clock can't tell on a busy machine.
func repeatedSYNs(c net.Conn) (int, error) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var info *unix.TCPInfo
	cerr := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err := errors.Join(cerr, err); err != nil {
		return 0, err
	}
	return int(info.Total_retrans), nil
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
			c, err := net.DialTimeout("tcp", h.Addr().String(), patience)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if n, err := repeatedSYNs(c); n != 0 || err != nil {
				t.Errorf("connect took %d SYNs more, %v; want none lost", n, err)
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
