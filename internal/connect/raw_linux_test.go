package connect

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

// One socket does for a thousand attempts that follow each other, whatever became
// of the one before.
func TestRawReusesASocket(t *testing.T) {
	good, toGood := start(t, netlab.Accept, v4)
	_, toClosed := start(t, netlab.Refuse, v4)
	r, a := rawRace(t, newEngine(t), false)
	r.Start(0, toGood)
	r.outcome(t, 0)
	eventually(t, "the server has closed it", func() bool { return good.Accepted() == 1 && good.Open() == 0 })
	before, fd := descriptors(t), a.poller.sockets[0].fd
	for id := 1; id <= 1000; id++ {
		r.Start(id, []policy.Allowed{toGood, toClosed}[id%2])
		r.outcome(t, id)
		if n := len(a.poller.sockets); n != 1 || a.poller.sockets[0].fd != fd {
			t.Fatalf("attempt %d: %d sockets, %+v, want descriptor %d", id, n, a.poller.sockets, fd)
		}
	}
	eventually(t, "no more descriptors than after the first attempt", func() bool { return descriptors(t) <= before })
}

// So do the sockets of one race for those that follow it.
func TestRawReusesSocketsInTheNextRace(t *testing.T) {
	_, toGood := start(t, netlab.Accept, v4)
	_, toHole := start(t, netlab.Swallow, v4)
	e := newEngine(t)
	var first []socket
	for range 101 {
		r, a := rawRace(t, e, false)
		for id := range 6 {
			r.Start(id, []policy.Allowed{toGood, toHole}[id%2])
		}
		if first == nil {
			first = slices.Clone(a.poller.sockets)
		}
		for id := range 6 {
			if a.poller.sockets[id].fd != first[id].fd || len(a.poller.sockets) != len(first) {
				t.Fatalf("sockets are %+v, were %+v", a.poller.sockets, first)
			}
		}
		for id := 0; id < 6; id += 2 {
			r.until(t, id, sched.Started, sched.Connected)
		}
		r.Close()
	}
}

// What somebody may get is never a socket with a past, and what somebody has got
// stays his.
func TestRawHandsOutNewSockets(t *testing.T) {
	h, to := start(t, netlab.Accept, v4)
	e := newEngine(t)
	r, a := rawRace(t, e, false)
	r.Start(0, to)
	r.until(t, 0, sched.Started, sched.Connected)
	old := a.poller.sockets[0].fd
	r.Close()
	kept, b := rawRace(t, e, true)
	kept.Start(0, to)
	if i := b.flights[0].socket; b.poller.sockets[i].fd == old {
		t.Error("it connects with a used socket")
	}
	kept.until(t, 0, sched.Started, sched.Connected)
	conn := kept.Take(0)
	if n := registered(t, b.poller); n != 2 {
		t.Errorf("the poller has %d descriptors, want those of its eventfd and of the used socket", n)
	}
	kept.Close()
	for range 20 {
		r, _ := rawRace(t, e, false)
		r.Start(0, to)
		r.until(t, 0, sched.Started, sched.Connected)
		r.Close()
	}
	eventually(t, "only the one that was taken is open", func() bool { return h.Accepted() == 22 && h.Open() == 1 })
	must(t, conn.Close())
	eventually(t, "none is open", func() bool { return h.Open() == 0 })
}

// registered counts what sends events to a poller.
func registered(t *testing.T, p *poller) int {
	t.Helper()
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", p.fd))
	must(t, err)
	return strings.Count(string(info), "tfd:")
}

// past is something that can become of a socket.
type past struct {
	name  string
	to    policy.Allowed
	run   func(t *testing.T, r *race, id int)
	posts []sched.EventKind
	errno string
}

// pasts are all there are, in one family.
func pasts(t *testing.T, addr netip.Addr) []past {
	t.Helper()
	netlabtest.Need(t) // where there is no way to an unroutable address
	reset := func(at netip.AddrPort) (*netlab.Host, error) { return netlab.Serve(at, netlab.Reset(0)) }
	_, toGood := start(t, netlab.Accept, addr)
	_, toClosed := start(t, netlab.Refuse, addr)
	_, toHole := start(t, netlab.Swallow, addr)
	resetting, toReset := start(t, reset, addr)
	unroutable := "198.51.100.200:80"
	if addr.Is6() {
		unroutable = "[2001:db8:80::200]:80"
	}
	await := func(t *testing.T, r *race, id int) { r.outcome(t, id) }
	cancel := func(_ *testing.T, r *race, id int) { r.Cancel(id) }
	silence := func(_ *testing.T, r *race, id int) {
		r.Wait(r.now()+ms, true) // for Started
		r.Wait(r.now()+ms, true)
		r.Cancel(id)
	}
	seen := 0
	untilReset := func(t *testing.T, r *race, id int) {
		seen++
		eventually(t, "it is reset", func() bool { return resetting.Accepted() == seen && resetting.Open() == 0 })
		r.outcome(t, id)
	}
	connected := []sched.EventKind{sched.Started, sched.Connected}
	failed := []sched.EventKind{sched.Started, sched.Failed}
	cancelled := []sched.EventKind{sched.Started, sched.Cancelled}
	return []past{
		{"connected", toGood, await, connected, ""},
		{"given up when connected", toGood, cancel, connected, ""},
		{"refused", toClosed, await, failed, "ECONNREFUSED"},
		{"given up when refused", toClosed, cancel, failed, "ECONNREFUSED"},
		{"reset", toReset, untilReset, failed, "ECONNRESET"},
		{"unroutable", allowed(t, unroutable), await, []sched.EventKind{sched.Failed}, "ENETUNREACH"},
		{"silent", toHole, silence, cancelled, ""},
		{"given up at once", toHole, cancel, cancelled, ""},
	}
}

// A socket does not remember: whatever became of it, its next attempt comes to what
// that one's target does. All pairs, both families, one socket of each.
func TestRawSocketForgets(t *testing.T) {
	r, a := rawRace(t, newEngine(t), false)
	next := 0
	for _, addr := range loopbacks(t) {
		all := pasts(t, addr)
		for _, first := range all {
			for _, second := range all {
				for _, p := range []past{first, second} {
					r.Start(next, p.to)
					p.run(t, r, next)
					e := r.of(next)
					if got := r.kinds(next); !slices.Equal(got, p.posts) || e[len(e)-1].Failure.Errno != p.errno {
						t.Errorf("%v, %s then %s: %s posted %+v", addr, first.name, second.name, p.name, e)
					}
					next++
				}
			}
		}
	}
	if n := len(held(a).sockets); n != len(loopbacks(t)) {
		t.Errorf("%d sockets, want one of each family", n)
	}
}

// A dissolved socket leaves an event behind, which is none of its next attempt: that
// does not end it, nor the wait.
func TestRawStrayEvents(t *testing.T) {
	_, toGood := start(t, netlab.Accept, v4)
	_, toClosed := start(t, netlab.Refuse, v4)
	_, toHole := start(t, netlab.Swallow, v4)
	r, a := rawRace(t, newEngine(t), false)
	id := 0
	for _, before := range []policy.Allowed{toGood, toClosed, toHole, toHole} {
		for range 10 {
			r.Start(id, before)
			r.Cancel(id)
			r.Start(id+1, toHole)
			for due := r.now() + 3*ms; r.now() < due; {
				r.Wait(due, true)
			}
			a.happened(a.flights[id+1].socket) // should one come all the same
			r.want(t, id+1, sched.Started)
			r.Cancel(id + 1)
			r.want(t, id+1, sched.Started, sched.Cancelled)
			id += 2
		}
	}
	// With all news taken in, what idle sockets still have to say ends no wait.
	r.Wait(r.now(), true)
	began := r.now()
	if r.Wait(began+5*ms, true); r.now()-began < 5*ms {
		t.Errorf("an idle socket has ended a wait after %v", r.now()-began)
	}
	if n := len(held(a).sockets); n != 1 {
		t.Errorf("%d sockets, want the one", n)
	}
}

// Thousands of attempts on a few sockets, given up at random moments of their
// handshakes: none gets the outcome of another.
func TestRawAttemptsAreNotMixedUp(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	var to []policy.Allowed
	for i, p := range []link.Path{{Delay: ms / 2}, {Delay: ms / 2, State: link.TCPReset}, {State: link.Blackhole}} {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, 1 + byte(i)}), 4433) // no other test's port
		must(t, lab.SetPath(at.Addr(), p))
		to = append(to, allowed(t, at.String()))
	}
	good, err := lab.Serve(to[0].Endpoint(), netlab.Read())
	must(t, err)

	const attempts = 3000
	rng := rand.New(rand.NewPCG(5, 6))
	r, a := rawRace(t, newEngine(t), false)
	target := make([]int, attempts)
	for id := range attempts {
		target[id] = rng.IntN(3)
		r.Start(id, to[target[id]])
		if rng.IntN(2) == 0 {
			for due := r.now() + time.Duration(rng.IntN(800))*time.Microsecond; r.now() < due; {
				r.Wait(due, true)
			}
		}
		if rng.IntN(3) > 0 {
			r.Cancel(max(0, id-rng.IntN(8)))
		}
		r.Cancel(max(0, id-16)) // so that a few sockets do
	}
	r.Close()
	checkOutcomes(t, r, target)
	if n := len(held(a).sockets); n > 18 {
		t.Errorf("%d sockets were in use", n)
	}
	eventually(t, "no connection is open", func() bool { return good.Open() == 0 })
	if n := timeWaits(t, good.Addr().Port()); n > 0 {
		t.Errorf("%d are in TIME_WAIT", n)
	}
}

// checkOutcomes holds that each attempt has one, of those its target can have: 0
// accepts, 1 refuses, 2 is silent.
func checkOutcomes(t *testing.T, r *race, target []int) {
	t.Helper()
	can := []sched.EventKind{sched.Connected, sched.Failed, sched.Cancelled}
	outcomes, count := make([]sched.Event, len(target)), make(map[string]int)
	for _, e := range r.events {
		if e.Kind == sched.Started {
			continue
		}
		if before := outcomes[e.Attempt]; before.Kind != 0 {
			t.Errorf("attempt %d has the outcomes %s and %s", e.Attempt, before.Kind, e.Kind)
		}
		outcomes[e.Attempt] = e
	}
	for id, e := range outcomes {
		count[fmt.Sprint(target[id], " ", e.Kind)]++
		if e.Kind != sched.Cancelled && e.Kind != can[target[id]] || e.Kind == sched.Failed && e.Failure.Errno != "ECONNREFUSED" {
			t.Errorf("attempt %d to target %d is %s with %+v", id, target[id], e.Kind, e.Failure)
		}
	}
	if t.Logf("%v", count); len(count) != 5 {
		t.Error("not all that can happen has happened")
	}
}

// A Cancel of what has connected closes it: nobody can win with it any more.
func TestRawCancelClosesAConnection(t *testing.T) {
	h, to := start(t, netlab.Accept, v4)
	for _, noticed := range []bool{true, false} {
		r, a := rawRace(t, newEngine(t), true)
		r.Start(0, to)
		if noticed {
			r.until(t, 0, sched.Started, sched.Connected)
		}
		eventually(t, "the server has it", func() bool { return h.Open() == 1 })
		r.Cancel(0)
		r.want(t, 0, sched.Started, sched.Connected)
		eventually(t, "it is closed", func() bool { return h.Open() == 0 })
		if c := r.Take(0); c != nil {
			t.Errorf("%v can be taken", c)
		}
		r.Cancel(0)
		r.want(t, 0, sched.Started, sched.Connected)
		if n := held(a).idleSockets(); n != 0 {
			t.Error("its socket, which hears of no ICMP any more, is kept")
		}
	}
}

// SYNs leave in the order of the starts (H2-22): no goroutine can overtake another.
func TestRawSYNsLeaveInOrder(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	var order []netip.AddrPort
	r, _ := rawRace(t, newEngine(t), false)
	for round := range 20 {
		for id := range 8 {
			addr := netip.AddrFrom4([4]byte{198, 51, 100, 1 + byte(id*5%8)})
			if id%2 == 1 {
				addr = netip.MustParseAddr(fmt.Sprintf("2001:db8:80::%d", id))
			}
			must(t, lab.SetPath(addr, link.Path{State: link.Blackhole}))
			order = append(order, netip.AddrPortFrom(addr, uint16(80+round)))
		}
	}
	for id, at := range order {
		r.Start(id, allowed(t, at.String()))
	}
	var seen []netip.AddrPort
	eventually(t, "all SYNs have left", func() bool {
		packets, err := lab.Packets()
		must(t, err)
		seen = nil
		for _, p := range packets {
			if p.Kind == link.SYN && !slices.Contains(seen, p.To) { // the kernel repeats it after a second
				seen = append(seen, p.To)
			}
		}
		return len(seen) >= len(order)
	})
	if !slices.Equal(seen, order) {
		t.Errorf("the wire saw %v, want %v", seen, order)
	}
}

// A RST that comes while the echo of an earlier attempt is looked at is not lost: the
// kernel tells its error once, and before its state. Nothing listens, so nothing connects.
func TestRawResetWhileAnEchoIsLookedAt(t *testing.T) {
	h, to := start(t, netlab.Swallow, v4)
	e := newEngine(t)
	first, _ := rawRace(t, e, false)
	first.Start(0, to) // so that its socket has a past
	first.Close()

	r, a := rawRace(t, e, false)
	r.Start(0, to)
	fd := a.poller.sockets[a.flights[0].socket].fd
	info, known := tcpInfo(fd)
	if !known || !handshaking(&info) {
		t.Fatalf("the attempt is in state %d", info.State)
	}
	must(t, h.Close()) // so that the SYN, sent again, is answered with a RST
	eventually(t, "it is reset", func() bool {
		now, _ := tcpInfo(fd)
		return now.State == tcpClosed
	})
	a.settled(0, &info, known) // as if the RST had come after the look at the state
	if e := r.until(t, 0, sched.Started, sched.Failed); e.Failure.Errno != "ECONNREFUSED" {
		t.Errorf("it is %+v", e)
	}
}

// A kernel connects a socket to itself where its port happens to be the target's:
// nothing listens there, so it is refused.
func TestRawDoesNotConnectToItself(t *testing.T) {
	netlabtest.Need(t) // whose network is the test's own
	const self = 32100 // nobody else gets it: port 0 begins at 32768
	addrs := loopbacks(t)
	var good []policy.Allowed
	for _, addr := range addrs {
		_, to := start(t, netlab.Accept, addr)
		good = append(good, to)
	}
	onlyPort(t, self)
	for i, addr := range addrs {
		for _, keep := range []bool{false, true} {
			r, _ := rawRace(t, newEngine(t), keep)
			r.Start(0, allowed(t, netip.AddrPortFrom(addr, self).String()))
			if e := r.outcome(t, 0); e.Kind != sched.Failed || e.Failure.Errno != "ECONNREFUSED" {
				t.Errorf("with Keep %v it posted %+v", keep, r.of(0))
			}
			r.Start(1, good[i]) // which needs the port
			if e := r.until(t, 1, sched.Started, sched.Connected); e.Local != netip.AddrPortFrom(addr, self) {
				t.Errorf("it is from %s", e.Local)
			}
			r.Close()
		}
	}
}

// onlyPort makes it the one port that this host connects from.
func onlyPort(t *testing.T, port int) {
	t.Helper()
	onlyPorts(t, port, port)
}

func onlyPorts(t *testing.T, lowest, highest int) {
	t.Helper()
	const name = "/proc/sys/net/ipv4/ip_local_port_range"
	before, err := os.ReadFile(name)
	must(t, err)
	must(t, os.WriteFile(name, fmt.Appendf(nil, "%d %d", lowest, highest), 0))
	t.Cleanup(func() { must(t, os.WriteFile(name, before, 0)) })
}
