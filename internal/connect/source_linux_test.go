package connect

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

// An attempt leaves from the address it should, and its packets carry what they
// should. An address of the other family changes nothing.
func TestSourceIsUsed(t *testing.T) {
	netlabtest.Need(t) // where this process may do all of it
	second := netip.MustParseAddr("127.0.0.2")
	for _, c := range []struct {
		name string
		from Source
		addr netip.Addr // of the target
		want netip.Addr // the connection's own
	}{
		{"IPv4", Source{IPv4: second}, v4, second},
		{"IPv4 beside IPv6", Source{IPv4: second, IPv6: netip.IPv6Loopback()}, v4, second},
		{"IPv4-mapped", Source{IPv4: netip.MustParseAddr("::ffff:127.0.0.2")}, v4, second},
		{"IPv6", Source{IPv6: netip.IPv6Loopback()}, netip.IPv6Loopback(), netip.IPv6Loopback()},
		{"only the other family", Source{IPv4: second}, netip.IPv6Loopback(), netip.IPv6Loopback()},
		{"interface", Source{Interface: "lo"}, v4, v4},
		{"all", Source{IPv4: second, Interface: "lo", Mark: 0xc0ffee, DSCP: 46}, v4, second},
		{"all of IPv6", Source{IPv6: netip.IPv6Loopback(), Interface: "lo", Mark: 7, DSCP: 63}, netip.IPv6Loopback(), netip.IPv6Loopback()},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
				_, to := start(t, netlab.Accept, c.addr)
				r := newRaceOf(t, attempts, Race{Keep: true, Source: c.from})
				r.Start(0, to)
				e := r.until(t, 0, sched.Started, sched.Connected)
				conn := r.Take(0)
				defer conn.Close()
				if e.Local.Addr() != c.want || localEndpoint(conn) != e.Local {
					t.Errorf("it is from %s, reported is %s, want %s", conn.LocalAddr(), e.Local, c.want)
				}
				checkSource(t, conn, c.from, c.addr.Is6())
			})
		})
	}
}

// checkSource holds that the kernel knows of it.
func checkSource(t *testing.T, conn net.Conn, want Source, six bool) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		device, err := unix.GetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
		must(t, err)
		mark, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK)
		must(t, err)
		level, name := unix.IPPROTO_IP, unix.IP_TOS
		if six {
			level, name = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
		}
		class, err := unix.GetsockoptInt(int(fd), level, name)
		must(t, err)
		if device != want.Interface || mark != int(want.Mark) || class>>2 != int(want.DSCP) || class&3 != 0 {
			t.Errorf("interface %q, mark %d, class %#x, want %+v", device, mark, class, want)
		}
	}))
}

// What this host cannot do is this host's trouble, says what to do next, and sends
// nothing; nothing is left open.
func TestSourceThatIsNotThere(t *testing.T) {
	netlabtest.Need(t)
	for _, c := range []struct {
		from             Source
		errno, typ, says string
	}{
		{Source{IPv4: netip.MustParseAddr("203.0.113.9")}, "EADDRNOTAVAIL", "address_not_available", "203.0.113.9 is no address of this host"},
		{Source{Interface: "nosuch0"}, "ENODEV", "_OTHER", `no interface "nosuch0"`},
		{Source{Interface: "lo" + strings.Repeat("o", 20)}, "ENODEV", "_OTHER", "ip link"},
		{Source{DSCP: 64}, "EINVAL", "invalid_argument", "from 0 to 63"},
	} {
		eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
			h, to := start(t, netlab.Accept, v4)
			r := newRaceOf(t, attempts, Race{Source: c.from})
			r.Wait(r.now(), true)
			before := descriptors(t)
			r.Start(0, to)
			f := r.until(t, 0, sched.Failed).Failure
			if f.Errno != c.errno || f.Type != c.typ || f.Fault != sched.FaultHost || !strings.Contains(f.Text, c.says) {
				t.Errorf("from %+v it is %+v", c.from, f)
			}
			eventually(t, "no descriptor is left", func() bool { return descriptors(t) == before })
			r.Close()
			if h.Accepted() != 0 {
				t.Error("something was sent")
			}
		})
	}
	if f := Classify(refusal(unix.EACCES, "not that one")); f.Fault != sched.FaultHost || f.Text != "not that one" {
		t.Errorf("it is %+v", f)
	}
	if f := Classify(fmt.Errorf("wrapped: %w", &sourceError{text: "not here"})); f != (sched.Failure{Type: "_OTHER", Text: "not here", Fault: sched.FaultHost}) {
		t.Errorf("what a system cannot do is %+v", f)
	}
}

// No way from there is not the way's trouble.
func TestSourceWithoutARoute(t *testing.T) {
	netlabtest.Need(t) // where there is no way to this address
	to := allowed(t, "198.51.100.200:80")
	for fault, from := range map[sched.Fault]Source{sched.FaultPath: {}, sched.FaultHost: {IPv4: netip.MustParseAddr("127.0.0.2")}} {
		r := newRaceOf(t, newEngine(t).Attempts, Race{Source: from})
		r.Start(0, to)
		f := r.until(t, 0, sched.Failed).Failure
		if f.Errno != "ENETUNREACH" || f.Fault != fault || strings.Contains(f.Text, "source") != (from != Source{}) {
			t.Errorf("from %+v it is %+v", from, f)
		}
	}
}

// A process without the capability is told which one it lacks.
func TestSourceNeedsACapability(t *testing.T) {
	netlabtest.Need(t)
	_, to := start(t, netlab.Accept, v4)
	r := newRaceOf(t, newEngine(t).Attempts, Race{Source: Source{Mark: 7}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with this goroutine, and its lack with it
		dropCapabilities(t)
		r.Start(0, to)
	}()
	<-done
	f := r.until(t, 0, sched.Failed).Failure
	if f.Errno != "EPERM" || f.Type != "access_denied" || f.Fault != sched.FaultHost || !strings.Contains(f.Text, "CAP_NET_ADMIN, or CAP_NET_RAW from Linux 5.17 on") {
		t.Errorf("without it it is %+v", f)
	}
}

// dropCapabilities takes all from this thread.
func dropCapabilities(t *testing.T) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Error(err)
	}
}

// A socket that was set up for one race serves no other, and none with a past is set
// up.
func TestSourceSocketsAreNotPooled(t *testing.T) {
	_, good := start(t, netlab.Accept, v4)
	_, hole := start(t, netlab.Swallow, v4)
	_, closed := start(t, netlab.Refuse, v4)
	e := newEngine(t)
	plain, _ := rawRace(t, e, false)
	plain.Start(0, hole)
	plain.Close()
	r := newRaceOf(t, e.Attempts, Race{Source: Source{IPv4: netip.MustParseAddr("127.0.0.3")}})
	for id, to := range []policy.Allowed{good, hole, closed} {
		r.Start(id, to)
	}
	r.until(t, 0, sched.Started, sched.Connected)
	r.until(t, 2, sched.Started, sched.Failed)
	r.Cancel(1)
	if a := r.Attempts.(*raw); len(a.poller.idle[0]) != 1 || registered(t, a.poller) != 2 {
		t.Errorf("idle are %v, want the one that was there", a.poller.idle)
	}
}

// With a source a port is taken for one destination only: one port does for two.
func TestSourcePortsAreUniquePerDestination(t *testing.T) {
	netlabtest.Need(t)
	var targets []policy.Allowed
	for range 2 {
		_, to := start(t, netlab.Accept, v4)
		targets = append(targets, to)
	}
	onlyPort(t, 32101)
	eachEngine(t, func(t *testing.T, attempts func(Race) Attempts) {
		r := newRaceOf(t, attempts, Race{Keep: true, Source: Source{IPv4: netip.MustParseAddr("127.0.0.4")}})
		for id, to := range targets {
			r.Start(id, to)
			if e := r.until(t, id, sched.Started, sched.Connected); e.Local.Port() != 32101 {
				t.Errorf("it is from %s", e.Local)
			}
		}
		r.Start(2, targets[0]) // whose port is taken by now
		e := r.outcome(t, 2)
		if f := e.Failure; e.Kind != sched.Failed || f.Errno != "EADDRNOTAVAIL" || f.Fault != sched.FaultHost {
			t.Errorf("without a free port it is %+v", e)
		}
		r.Close()
	})
}

// Up to the last port of the range a connect finds one, and then it is this host that
// has none.
func TestPortsOfTheWholeRange(t *testing.T) {
	netlabtest.Need(t)
	to := idleServer(t, v4)
	const lowest, ports = 32200, 64 // below what port 0 gives, or a listener might have one of them
	onlyPorts(t, lowest, lowest+ports-1)
	for _, from := range []Source{{}, {IPv4: netip.MustParseAddr("127.0.0.5")}} {
		r := newRaceOf(t, newEngine(t).Attempts, Race{Keep: true, Source: from})
		used := make(map[uint16]bool)
		for id := range ports {
			r.Start(id, to)
			used[r.until(t, id, sched.Started, sched.Connected).Local.Port()] = true
		}
		if len(used) != ports {
			t.Errorf("%d ports are in use, want %d", len(used), ports)
		}
		r.Start(ports, to)
		f := r.until(t, ports, sched.Failed).Failure
		if f.Errno != "EADDRNOTAVAIL" || f.Type != "address_not_available" || f.Fault != sched.FaultHost {
			t.Errorf("without a free port it is %+v", f)
		}
		r.Close()
	}
}

// Sockets are told the range that this namespace has when their poller is made.
func TestSocketsKnowTheRange(t *testing.T) {
	netlabtest.Need(t)
	_, hole := start(t, netlab.Swallow, v4)
	onlyPorts(t, 32102, 32109)
	const want = 32109<<16 | 32102
	if got := portRange(); got != want {
		t.Errorf("the range is read as %#x", got)
	}
	r, a := rawRace(t, newEngine(t), false)
	r.Start(0, hole)
	got, err := unix.GetsockoptInt(a.poller.sockets[0].fd, unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE)
	if err == unix.ENOPROTOOPT {
		t.Skip("this kernel is older than 6.3 and has no IP_LOCAL_PORT_RANGE; run it on a later one")
	}
	must(t, err)
	if uint32(got) != want {
		t.Errorf("the socket's range is %#x", got)
	}
}

// Where this host lets nothing out from the source that was asked for, that is about the
// two of them: neither a router nor a firewall on the path has said anything.
func TestNothingLeavesFromTheSource(t *testing.T) {
	bound := &raw{race: Race{Source: Source{IPv4: v4}}}
	for errno, says := range map[unix.Errno]string{
		unix.ENETUNREACH:  "this host has no route from the source",
		unix.EHOSTUNREACH: "a route of this host forbids it from the source",
		unix.EACCES:       "a route of this host forbids it from the source",
		unix.EINVAL:       "a route of this host forbids it from the source",
		unix.EADDRINUSE:   "from the source that was asked for: ",
	} {
		f := bound.unsent(errno)
		if f.Fault != sched.FaultHost || !strings.HasPrefix(f.Text, says) || strings.Contains(f.Text, "traceroute") || strings.Contains(f.Text, "firewall") {
			t.Errorf("%s: %+v", f.Errno, f)
		}
		if plain := new(raw).unsent(errno); plain != classify(errno) {
			t.Errorf("without a source it is %+v", plain)
		}
	}
}
