package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

var v4 = netip.MustParseAddr("127.0.0.1")

// loopbacks are the addresses hosts can have. A container may lack IPv6.
func loopbacks(t *testing.T) []netip.Addr {
	t.Helper()
	v6 := netip.IPv6Loopback()
	if _, err := netlab.FreePort(v6); err != nil {
		t.Logf("without IPv6: %v", err)
		return []netip.Addr{v4}
	}
	return []netip.Addr{v4, v6}
}

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// start makes a host that is closed when the test ends, and a checked endpoint.
func start(t *testing.T, behave func(netip.AddrPort) (*netlab.Host, error), addr netip.Addr) (*netlab.Host, policy.Allowed) {
	t.Helper()
	h, err := behave(netip.AddrPortFrom(addr, 0))
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	if timeWaits(t, h.Addr().Port()) > 0 { // of another test, which had the same port
		return start(t, behave, addr)
	}
	return h, allowed(t, h.Addr().String())
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// A listener that never speaks counts as a success: the handshake is what is
// waited for (H2-23b).
func TestDialConnects(t *testing.T) {
	for _, addr := range loopbacks(t) {
		h, to := start(t, netlab.Accept, addr)
		starts := 0
		conn, err := dialFor(Race{})(t.Context(), to, func() { starts++ })
		must(t, err)
		if starts != 1 || conn.RemoteAddr().String() != h.Addr().String() {
			t.Errorf("%d starts, connected to %s; want one, to %s", starts, conn.RemoteAddr(), h.Addr())
		}
		must(t, conn.Close())
	}
}

func TestDialIsRefused(t *testing.T) {
	for _, addr := range loopbacks(t) {
		_, to := start(t, netlab.Refuse, addr)
		starts := 0
		_, err := dialFor(Race{})(t.Context(), to, func() { starts++ })
		if !errors.Is(err, syscall.ECONNREFUSED) || starts != 1 {
			t.Errorf("error is %v after %d starts", err, starts)
		}
		if f := Classify(err); f.Type != "connection_refused" || f.Fault != sched.FaultTarget {
			t.Errorf("that is %+v", f)
		}
	}
}

// What has not passed the policy is not dialed, and is no start.
func TestDialOfNothingChecked(t *testing.T) {
	_, err := dialFor(Race{})(t.Context(), policy.Allowed{}, func() { t.Error("it started") })
	if !errors.Is(err, errUnchecked) {
		t.Errorf("error is %v", err)
	}
	a, l := newAttempts(true, nil)
	a.Start(0, policy.Allowed{})
	a.Close()
	l.want(t, 0, sched.Failed)
}

func TestDialIsGivenUpAtOnce(t *testing.T) {
	for _, addr := range loopbacks(t) {
		_, to := start(t, netlab.Swallow, addr)
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		_, err := dialFor(Race{})(ctx, to, func() { time.AfterFunc(20*ms, cancel) })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		if took := time.Since(began); took < 20*ms || took > patience {
			t.Errorf("it took %v", took)
		}
	}
}

func TestDialOfACallerWhoHasLeft(t *testing.T) {
	_, to := start(t, netlab.Accept, v4)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dialFor(Race{})(ctx, to, func() { t.Error("it started") }); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// Whatever becomes of real attempts, nothing is left of them but what was taken.
func TestAttemptsLeaveNothing(t *testing.T) {
	good, toGood := start(t, netlab.Accept, v4)
	_, toClosed := start(t, netlab.Refuse, v4)
	_, toHole := start(t, netlab.Swallow, v4)
	before := descriptors(t)
	a, l := newAttempts(true, nil)
	for id := range 30 {
		a.Start(id, []policy.Allowed{toGood, toClosed, toHole}[id%3])
	}
	for id := range 30 {
		done := []int{2, 2, 1}[id%3] // what the hole swallows has only started
		eventually(t, "each has got where it can", func() bool { return len(l.of(id)) == done })
	}
	kept := a.Take(0)
	a.Close()
	for id := range 30 {
		l.want(t, id, sched.Started, []sched.EventKind{sched.Connected, sched.Failed, sched.Cancelled}[id%3])
	}
	eventually(t, "one connection is open", func() bool { return good.Accepted() == 10 && good.Open() == 1 })
	must(t, kept.Close())
	eventually(t, "no connection is open", func() bool { return good.Open() == 0 })
	eventually(t, "no more descriptors than before", func() bool { return descriptors(t) <= before })
}

// A connection nobody wants is closed with a RST: none of its ports stays in
// TIME_WAIT, of which a prober would run out.
func TestDiscardLeavesNoTimeWait(t *testing.T) {
	for _, addr := range loopbacks(t) {
		h, to := start(t, netlab.Accept, addr)
		a, l := newAttempts(false, nil)
		for id := range 20 {
			a.Start(id, to)
		}
		for id := range 20 {
			eventually(t, "it has connected", func() bool { return len(l.of(id)) == 2 })
			if local := l.of(id)[1].Local; local.Addr() != addr || local.Port() == 0 {
				t.Errorf("attempt %d is from %s", id, local)
			}
		}
		a.Close()
		eventually(t, "all are closed", func() bool { return h.Accepted() == 20 && h.Open() == 0 })
		if n := timeWaits(t, h.Addr().Port()); n > 0 {
			t.Errorf("%d connections to %s are in TIME_WAIT", n, h.Addr())
		}
	}
}

// A loser that connects in the instant it is cancelled is a connection nobody
// wants like any other. On loopback a handshake ends inside connect(), so a
// Cancel in the moment before it always crosses it.
func TestCancelThatCrossesAHandshakeLeavesNoTimeWait(t *testing.T) {
	for _, addr := range loopbacks(t) {
		h, to := start(t, netlab.Accept, addr)
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			conn, err := dialFor(Race{})(ctx, to, cancel)
			if err == nil {
				must(t, conn.Close())
			}
		}
		eventually(t, "all are closed", func() bool { return h.Accepted() == 20 && h.Open() == 0 })
		if n := timeWaits(t, h.Addr().Port()); n > 0 {
			t.Errorf("%d of 20 connections to %s are in TIME_WAIT", n, h.Addr())
		}
	}
}

// A connection that was taken is an ordinary one: its owner's Close ends it, and
// the peer reads to the end.
func TestTakenConnectionClosesInOrder(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	a, l := newAttempts(true, nil)
	a.Start(0, allowed(t, ln.Addr().String()))
	eventually(t, "it has connected", func() bool { return len(l.of(0)) == 2 })
	conn := a.Take(0)
	a.Close()
	peer, err := ln.Accept()
	must(t, err)
	defer peer.Close()
	_, err = conn.Write([]byte("good bye"))
	must(t, err)
	must(t, conn.Close())
	if got, err := io.ReadAll(peer); string(got) != "good bye" || err != nil {
		t.Errorf("the peer reads %q, %v", got, err)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

// timeWaits counts the sockets in TIME_WAIT (state 06) whose other end has port.
func timeWaits(t *testing.T, port uint16) int {
	t.Helper()
	n := 0
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(name)
		must(t, err)
		for line := range strings.Lines(string(table)) {
			fields := strings.Fields(line) // number, local, remote, state
			if len(fields) > 3 && fields[3] == "06" && strings.HasSuffix(fields[2], fmt.Sprintf(":%04X", port)) {
				n++
			}
		}
	}
	return n
}
