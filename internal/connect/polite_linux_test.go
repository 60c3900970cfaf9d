package connect

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

// endings is a server that tells how each of its connections ends: what reading from
// it says. It may speak first.
type endings struct {
	spoken chan struct{} // has one when it has: over loopback that has arrived
	ends   chan error
	to     policy.Allowed
}

func newEndings(t *testing.T, greeting string) *endings {
	t.Helper()
	ln, err := net.Listen("tcp", netip.AddrPortFrom(v4, 0).String())
	must(t, err)
	t.Cleanup(func() { must(t, ln.Close()) })
	s := &endings{spoken: make(chan struct{}, 100), ends: make(chan error, 100), to: allowed(t, ln.Addr().String())}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				if greeting != "" { // writing nothing takes the error
					_, _ = io.WriteString(conn, greeting)
					s.spoken <- struct{}{}
				}
				_, err := conn.Read(make([]byte, 1))
				if greeting != "" && errors.Is(err, io.EOF) {
					err = afterwards(conn)
				}
				_ = conn.Close()
				s.ends <- err
			}()
		}
	}()
	return s
}

// afterwards is what comes after an orderly end: nothing, or a reset.
func afterwards(conn net.Conn) error {
	time.Sleep(5 * ms)
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	errno := unix.Errno(0)
	_ = raw.Control(func(fd uintptr) { errno = pendingError(int(fd)) })
	if errno != 0 {
		return errno
	}
	return io.EOF
}

// waysToLose are all in which a connection that is up is not taken, and how many
// connections each makes.
var waysToLose = []struct {
	name        string
	keep        bool
	stage       Stage
	connections int
	lose        func(t *testing.T, r *race, to policy.Allowed)
}{
	{"not kept", false, nil, 1, func(t *testing.T, r *race, to policy.Allowed) {
		r.Start(0, to)
		r.until(t, 0, sched.Started, sched.Connected)
	}},
	{"another is taken", true, nil, 2, func(t *testing.T, r *race, to policy.Allowed) {
		for id := range 2 {
			r.Start(id, to)
			r.until(t, id, sched.Started, sched.Connected)
		}
		must(t, r.Take(0).Close()) // its owner's Close is orderly in any case
	}},
	{"given up when connected", true, nil, 1, func(t *testing.T, r *race, to policy.Allowed) {
		r.Start(0, to)
		r.until(t, 0, sched.Started, sched.Connected)
		r.Cancel(0)
		r.Close()
	}},
	{"closed", true, nil, 1, func(t *testing.T, r *race, to policy.Allowed) {
		r.Start(0, to)
		r.until(t, 0, sched.Started, sched.Connected)
		r.Close()
	}},
	{"given up before Proceed", true, succeed, 1, func(t *testing.T, r *race, to policy.Allowed) {
		r.Start(0, to)
		r.until(t, 0, sched.Started, sched.Progressed)
		r.Cancel(0)
	}},
	{"given up in its stage", true, stubborn, 1, func(t *testing.T, r *race, to policy.Allowed) {
		r.proceeded(t, 0, to)
		r.Cancel(0)
		r.until(t, 0, sched.Started, sched.Progressed, sched.Connected)
	}},
	{"its stage fails", true, failing, 1, func(t *testing.T, r *race, to policy.Allowed) {
		r.proceeded(t, 0, to)
		r.until(t, 0, sched.Started, sched.Progressed, sched.Failed)
	}},
	{"its stage is done and another is taken", true, succeed, 2, func(t *testing.T, r *race, to policy.Allowed) {
		for id := range 2 {
			r.proceeded(t, id, to)
			r.until(t, id, sched.Started, sched.Progressed, sched.Connected)
		}
		must(t, r.Take(0).Close())
	}},
	{"its stage is done and nothing is above TCP", true, bare, 1, func(t *testing.T, r *race, to policy.Allowed) {
		r.proceeded(t, 0, to)
		r.until(t, 0, sched.Started, sched.Progressed, sched.Connected)
		r.Close()
	}},
}

// bare is a stage that hands back what it was given.
func bare(_ context.Context, _ int, conn net.Conn) (net.Conn, *sched.Stages, sched.Failure, bool) {
	return conn, begun, sched.Failure{}, true
}

// A server reads an orderly end of a connection that a polite race does not want, and
// is told of a reset by any other.
func TestPoliteEnds(t *testing.T) {
	for _, way := range waysToLose {
		t.Run(way.name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
				for polite, want := range map[bool]error{false: syscall.ECONNRESET, true: io.EOF} {
					s := newEndings(t, "")
					r := newRaceOf(t, attempts, Race{Keep: way.keep, Stage: way.stage, Polite: polite})
					way.lose(t, r, s.to)
					reset := 0
					for range way.connections {
						if err := <-s.ends; errors.Is(err, syscall.ECONNRESET) {
							reset++
						} else if !errors.Is(err, io.EOF) {
							t.Errorf("the server reads %v", err)
						}
					}
					if wantReset := errors.Is(want, syscall.ECONNRESET); reset != 0 != wantReset || reset > 1 {
						t.Errorf("polite %v: of %d connections %d were reset", polite, way.connections, reset)
					}
					r.Close()
				}
			})
		})
	}
}

// So does one that has spoken first: closing with something unread would reset it.
func TestPoliteEndsOfAPeerThatSpeaksFirst(t *testing.T) {
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		for range 10 {
			s := newEndings(t, "220 at your service\r\n")
			r := newRaceOf(t, attempts, Race{Keep: true, Polite: true})
			r.Start(0, s.to)
			r.until(t, 0, sched.Started, sched.Connected)
			<-s.spoken
			r.Close()
			if err := <-s.ends; !errors.Is(err, io.EOF) {
				t.Errorf("the server reads %v", err)
			}
		}
	})
}

// What has not connected is dissolved as ever, and its socket used again; what has is
// not. The wire sees a FIN of each.
func TestPoliteOnTheWire(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	good := far(t, lab, far4, link.Path{Delay: 2 * ms})
	must(t, lab.SetPath(far6.Addr(), link.Path{State: link.Blackhole}))
	hole := allowed(t, far6.String())
	r := newRaceOf(t, newEngine(t).Attempts, Race{Polite: true})
	for id := range 10 {
		r.Start(id, []policy.Allowed{good, hole}[id%2])
		if id%2 == 0 {
			r.until(t, id, sched.Started, sched.Connected)
		}
		r.Cancel(id)
	}
	if a := r.Attempts.(*raw); len(a.poller.idle[0]) != 0 || len(a.poller.idle[1]) != 1 {
		t.Errorf("idle are %v, want one socket of those that did not connect", a.poller.idle)
	}
	eventually(t, "five have ended", func() bool { return senders(t, lab, r, link.FIN) == 5 })
	if n := senders(t, lab, r, link.RST); n != 0 {
		t.Errorf("%d resets were sent", n)
	}
}

// senders counts the connections of a race that have sent a packet of a kind, once or
// again. Those of earlier tests may still be repeating theirs.
func senders(t *testing.T, lab *netlab.Lab, r *race, kind link.Kind) (n int) {
	t.Helper()
	packets, err := lab.Packets()
	must(t, err)
	for _, e := range r.events {
		if e.Kind == sched.Connected && slices.ContainsFunc(packets, func(p link.Packet) bool {
			return p.Kind == kind && p.By == link.Client && p.From == e.Local
		}) {
			n++
		}
	}
	return n
}
