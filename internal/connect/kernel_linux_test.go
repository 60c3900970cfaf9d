package connect

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/internal/rawsock"
	"github.com/connrace/connrace/racer/sched"
)

// The hosts of a lab, one of each family.
var (
	far4 = netip.MustParseAddrPort("198.51.100.1:80")
	far6 = netip.MustParseAddrPort("[2001:db8:80::1]:80")
)

// far makes a host of the lab that accepts.
func far(t testing.TB, lab *netlab.Lab, at netip.AddrPort, p link.Path) policy.Allowed {
	t.Helper()
	must(t, lab.SetPath(at.Addr(), p))
	_, err := lab.Serve(at, netlab.Read())
	must(t, err)
	return allowed(t, at.String())
}

// The kernel measures the round trip to 5 % and 0.3 ms of the lab's delay, with idle
// cores and with busy ones; its median does, for a busy link is late as well. What
// this process sees comes later, never earlier, and the two are told apart.
func TestKernelMeasuresTheRoundTrip(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	for _, busy := range []bool{false, true} {
		for delay, addrs := range map[time.Duration][2]netip.AddrPort{
			5 * ms:  {netip.MustParseAddrPort("198.51.100.5:80"), netip.MustParseAddrPort("[2001:db8:80::5]:80")},
			25 * ms: {netip.MustParseAddrPort("198.51.100.25:80"), netip.MustParseAddrPort("[2001:db8:80::25]:80")},
		} {
			for _, at := range addrs {
				if !busy {
					far(t, lab, at, link.Path{Delay: delay / 2})
				}
				t.Run(fmt.Sprintf("%s, %v, busy %v", at.Addr(), delay, busy), func(t *testing.T) {
					netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
						if busy {
							defer spin()()
						}
						measure(t, watch, allowed(t, at.String()), delay)
					})
				})
			}
		}
	}
}

// spin keeps all cores busy until its result is called.
func spin() (stop func()) {
	var spinners sync.WaitGroup
	var over atomic.Bool
	for range runtime.GOMAXPROCS(0) {
		spinners.Go(func() {
			for !over.Load() {
			}
		})
	}
	return func() {
		over.Store(true)
		spinners.Wait()
	}
}

func measure(t *testing.T, watch *netlabtest.Watch, to policy.Allowed, delay time.Duration) {
	const attempts = 21
	r, _ := rawRace(t, newEngine(t), false)
	var rtts, late []time.Duration
	for id := range attempts {
		r.Start(id, to)
		e := r.until(t, id, sched.Started, sched.Connected)
		started := r.of(id)[0].At
		if e.Kernel.SYNRepeats != 0 {
			watch.Doubt("a handshake took so long that its SYN was sent again")
			return
		}
		if e.At != started+e.Kernel.RTT || e.Noticed < e.At {
			t.Errorf("started at %v, it is %+v", started, e)
		}
		rtts, late = append(rtts, e.Kernel.RTT), append(late, e.Noticed-e.At)
	}
	slices.Sort(rtts)
	slices.Sort(late)
	t.Logf("of %v: round trip %v (%v to %v), noticed %v later (%v at most)",
		delay, rtts[attempts/2], rtts[0], rtts[attempts-1], late[attempts/2], late[attempts-1])
	watch.Between("the round trip", rtts[attempts/2], delay, delay+delay/20+300*time.Microsecond)
}

// The facts of a handshake between two kernels. A segment has room for an Ethernet
// frame less the headers and the timestamps' 12 bytes.
func TestKernelTellsOfTheHandshake(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	for at, mss := range map[netip.AddrPort]int{far4: 1500 - 20 - 20 - 12, far6: 1500 - 40 - 20 - 12} {
		r, _ := rawRace(t, newEngine(t), false)
		r.Start(0, far(t, lab, at, link.Path{Delay: 4 * ms}))
		k := r.until(t, 0, sched.Started, sched.Connected).Kernel
		if k.MSS != mss || !k.Timestamps || !k.SACK || !k.WindowScale || k.ECN || k.Deviation <= 0 || k.SYNRepeats != 0 {
			t.Errorf("of %s the kernel knows %+v, want a segment of %d", at, k, mss)
		}
	}
}

// A SYN that is lost is sent again after a second: an attempt that is given up then
// says so, and so does one that connects. A reused socket does not count those of
// the attempt before. The wire says how many there were: a late machine makes more.
func TestKernelCountsLostSYNs(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	must(t, lab.SetPath(far6.Addr(), link.Path{State: link.Blackhole}))
	lossy := far(t, lab, far4, link.Path{Delay: 5 * ms, LoseSYN: []int{1}})
	r, a := rawRace(t, newEngine(t), false)
	r.Start(0, allowed(t, far6.String()))
	r.Start(1, lossy)
	e := r.until(t, 1, sched.Started, sched.Connected)
	if e.Kernel.SYNRepeats < 1 || e.At != e.Noticed || e.At-r.of(1)[0].At < time.Second {
		t.Errorf("after a lost SYN it is %+v", e)
	}
	sawRepeats(t, lab, far4, e.Kernel.SYNRepeats)
	eventually(t, "its SYN has been sent again", func() bool { return syns(t, lab, far6) > 1 })
	local, standing := r.Standing(0)
	r.want(t, 0, sched.Started)
	r.Cancel(0)
	e = r.until(t, 0, sched.Started, sched.Cancelled)
	if e.Kernel != (sched.Kernel{SYNRepeats: max(1, e.Kernel.SYNRepeats)}) || e.Local != sender(t, lab, far6) {
		t.Errorf("given up after a lost SYN it is %+v from %s", e, e.Local)
	}
	if standing.SYNRepeats < 1 || standing.SYNRepeats > e.Kernel.SYNRepeats || local != e.Local {
		t.Errorf("before that it was %+v from %s", standing, local)
	}
	sawRepeats(t, lab, far6, e.Kernel.SYNRepeats)
	for id := 2; id < 4; id++ { // on either socket
		r.Start(id, []policy.Allowed{lossy, allowed(t, far6.String())}[id%2])
	}
	if e := r.until(t, 2, sched.Started, sched.Connected); e.Kernel.SYNRepeats != 0 || e.Kernel.RTT < 10*ms || e.At == e.Noticed {
		t.Errorf("the attempt after that is %+v", e)
	}
	r.Cancel(3)
	if e := r.until(t, 3, sched.Started, sched.Cancelled); e.Kernel != (sched.Kernel{}) || e.Local.IsValid() {
		t.Errorf("given up at once it is %+v, from %s that nobody has a use for", e, e.Local)
	}
	for id := range 5 { // over; 4 there is not
		if local, k := r.Standing(id); local.IsValid() || k != (sched.Kernel{}) {
			t.Errorf("attempt %d stands at %+v from %s", id, k, local)
		}
	}
	if n := len(a.poller.sockets); n != 2 {
		t.Errorf("%d sockets, want 2", n)
	}
}

// An attempt that fails after its SYN was lost says so, and where it came from: else the
// second it took looks like the target's. Refused by the target, told of by a router,
// and given up by the kernel.
func TestKernelCountsLostSYNsOfAFailure(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	setSysctl(t, "tcp_syn_linear_timeouts", "0")
	setSysctl(t, "tcp_syn_retries", "1")
	silent := netip.MustParseAddrPort("198.51.100.3:80")
	must(t, lab.SetPath(far4.Addr(), link.Path{Delay: 5 * ms, LoseSYN: []int{1}})) // nothing listens
	must(t, lab.SetPath(far6.Addr(), link.Path{Delay: 5 * ms, LoseSYN: []int{1}, State: link.NetUnreachable}))
	must(t, lab.SetPath(silent.Addr(), link.Path{State: link.Blackhole}))
	r, _ := rawRace(t, newEngine(t), false)
	hosts := []netip.AddrPort{far4, far6, silent}
	for id, at := range hosts {
		r.Start(id, allowed(t, at.String()))
	}
	for id, errno := range []string{"ECONNREFUSED", "ENETUNREACH", "ETIMEDOUT"} {
		e := r.until(t, id, sched.Started, sched.Failed)
		if took := e.At - r.of(id)[0].At; e.Failure.Errno != errno || took < time.Second {
			t.Errorf("it is %+v after %v, want %s", e.Failure, took, errno)
		}
		if e.Kernel != (sched.Kernel{SYNRepeats: max(1, e.Kernel.SYNRepeats)}) || e.Local != sender(t, lab, hosts[id]) {
			t.Errorf("%s came to %+v from %s", errno, e.Kernel, e.Local)
		}
		sawRepeats(t, lab, hosts[id], e.Kernel.SYNRepeats)
	}
}

// A socket that is dissolved still names its port, but that is no local end: a kernel
// dissolves it itself when a connect fails at once.
func TestKernelForgetsTheLocalEnd(t *testing.T) {
	_, to := start(t, netlab.Accept, v4)
	fd, err := newSocket(0, portRange())
	must(t, err)
	defer unix.Close(fd)
	rawsock.Connect(fd, to.Endpoint())
	if l := localEnd(fd); l.Addr() != v4 || l.Port() == 0 {
		t.Errorf("it is from %s", l)
	}
	rawsock.Dissolve(fd)
	if l := localEnd(fd); l.IsValid() {
		t.Errorf("dissolved it is still from %s", l)
	}
}

// Which of several SYNs was answered only timestamps tell: with them the round trip is
// known, to a millisecond, and without them nothing of it is.
func TestKernelMeasuresAfterALostSYN(t *testing.T) {
	const delay = 20 * ms
	lab := netlabtest.Start(t, netlab.Config{})
	for _, stamps := range []string{"1", "0"} {
		setSysctl(t, "tcp_timestamps", stamps)
		t.Run("timestamps "+stamps, func(t *testing.T) {
			netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
				at := netip.AddrPortFrom(far4.Addr(), 80)
				must(t, lab.SetPath(at.Addr(), link.Path{Delay: delay / 2, LoseSYN: []int{1}}))
				host, err := lab.Serve(at, netlab.Read())
				must(t, err)
				defer host.Close()
				r, _ := rawRace(t, newEngine(t), false)
				r.Start(0, allowed(t, at.String()))
				k := r.until(t, 0, sched.Started, sched.Connected).Kernel
				if k.SYNRepeats < 1 || k.Timestamps != (stamps == "1") {
					t.Fatalf("the kernel knows %+v", k)
				}
				if k.Timestamps {
					watch.Between("the round trip", k.RTT, delay-ms, delay+2*ms)
				} else if k.RTT != 0 || k.Deviation != 0 {
					t.Errorf("the round trip is %v, off by %v", k.RTT, k.Deviation)
				}
			})
		})
	}
}

// setSysctl sets one of this host's for TCP until the test ends. A kernel that has none
// of that name behaves as it does without.
func setSysctl(t *testing.T, name, value string) {
	t.Helper()
	path := "/proc/sys/net/ipv4/" + name
	before, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Logf("there is no %s: the kernel is older", path)
		return
	}
	must(t, err)
	must(t, os.WriteFile(path, []byte(value), 0))
	t.Cleanup(func() { must(t, os.WriteFile(path, before, 0)) })
}

// sender is where the last SYN to an address came from.
func sender(t *testing.T, lab *netlab.Lab, to netip.AddrPort) (from netip.AddrPort) {
	t.Helper()
	packets, err := lab.Packets()
	must(t, err)
	for _, p := range packets {
		if p.Kind == link.SYN && p.To == to {
			from = p.From
		}
	}
	return from
}

// syns is how many have been sent to an address.
func syns(t *testing.T, lab *netlab.Lab, to netip.AddrPort) (n int) {
	t.Helper()
	packets, err := lab.Packets()
	must(t, err)
	for _, p := range packets {
		if p.Kind == link.SYN && p.To == to {
			n++
		}
	}
	return n
}

// sawRepeats holds that the wire has seen one SYN and so many repeats of it. The last
// of them may still be on its way there.
func sawRepeats(t *testing.T, lab *netlab.Lab, to netip.AddrPort, repeats int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d repeats of the SYN to %s", repeats, to), func() bool { return syns(t, lab, to) == 1+repeats })
}

// Between the starts of a large race a look is taken at those before: what has connected
// meanwhile is noticed then, and Wait need not be called for it. Wait still returns.
func TestStartsLookAtThoseBefore(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	good := far(t, lab, far4, link.Path{Delay: ms})
	must(t, lab.SetPath(far6.Addr(), link.Path{State: link.Blackhole}))
	hole := allowed(t, far6.String())
	r, a := rawRace(t, newEngine(t), false)
	r.Start(0, good)
	for id := 1; id < lookEvery; id++ {
		r.Start(id, hole)
	}
	connected := func() bool {
		info, known := tcpInfo(a.poller.sockets[a.flights[0].socket].fd)
		return known && info.State == tcpEstablished
	}
	eventually(t, "it has connected", connected)
	r.want(t, 0, sched.Started)
	r.Start(lookEvery, hole)
	r.want(t, 0, sched.Started, sched.Connected)
	r.Wait(0, false)
	if e := r.of(0)[1]; e.Noticed > r.of(lookEvery)[0].At {
		t.Errorf("noticed at %v, after the start at %v", e.Noticed, r.of(lookEvery)[0].At)
	}
}

// Who was first is the kernel's to say, even if this process looks up when all have
// connected long ago, in whatever order it finds them.
func TestKernelTellsWhoWasFirst(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	slow := far(t, lab, far4, link.Path{Delay: 20 * ms})
	fast := far(t, lab, far6, link.Path{Delay: 5 * ms})
	hosts := []policy.Allowed{slow, fast, slow}
	netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
		before := established(t, lab)
		r, _ := rawRace(t, newEngine(t), true)
		for id, to := range hosts {
			r.Start(id, to)
		}
		eventually(t, "all have connected", func() bool { return established(t, lab) == before+len(hosts) })
		looked := r.now()
		var at []time.Duration
		for id := range hosts {
			e := r.until(t, id, sched.Started, sched.Connected)
			if e.Kernel.SYNRepeats != 0 {
				watch.Doubt("a handshake took so long that its SYN was sent again")
				return
			}
			if e.Noticed < looked || e.At > looked {
				t.Errorf("attempt %d connected at %v and that was noticed at %v, but the first look was at %v", id, e.At, e.Noticed, looked)
			}
			at = append(at, e.At)
		}
		if at[1]+10*ms > at[0] || at[0] > at[2] { // as when the link hands over what is overdue all at once
			watch.Doubt(fmt.Sprintf("they connected at %v, want the second first, and the third last", at))
		}
		conn := r.Take(1)
		if conn == nil {
			t.Fatal("the winner can't be taken")
		}
		must(t, conn.Close())
	})
}

// A process that stood still finds its alarm and the answers at the same time, and Go's
// poller may tell of the alarm first. What came in time is told all the same, with the
// kernel's time.
func TestRawLooksWhenTheAlarmRings(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	good := far(t, lab, far4, link.Path{Delay: 5 * ms})
	must(t, lab.SetPath(far6.Addr(), link.Path{Delay: 5 * ms, State: link.TCPReset}))
	netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
		before := established(t, lab)
		r, a := rawRace(t, newEngine(t), false)
		a.ready = func(uintptr) bool { return false } // Go's poller tells of nothing but the alarm
		r.Start(0, good)
		r.Start(1, allowed(t, far6.String()))
		r.Wait(0, false) // for Started
		due := r.now() + 200*ms
		r.Wait(due, true)
		if established(t, lab) == before {
			watch.Doubt("the handshake took longer than the wait")
			return
		}
		r.want(t, 0, sched.Started, sched.Connected)
		r.want(t, 1, sched.Started, sched.Failed)
		if e := r.of(0)[1]; e.At != r.of(0)[0].At+e.Kernel.RTT || e.At >= due || e.Noticed < due {
			t.Errorf("of a wait until %v it is %+v", due, e)
		}
	})
}

// established is how many connections the link has seen.
func established(t *testing.T, lab *netlab.Lab) (n int) {
	t.Helper()
	packets, err := lab.Packets()
	must(t, err)
	for _, p := range packets {
		if p.Kind == link.Established {
			n++
		}
	}
	return n
}

// What the network answers instead of the target is told apart, whenever it comes,
// and the socket is good for the next attempt.
func TestRawToldUnreachable(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	r, a := rawRace(t, newEngine(t), false)
	good := far(t, lab, netip.MustParseAddrPort("198.51.100.2:80"), link.Path{Delay: 2 * ms})
	next := 0
	for state, errno := range map[link.State]string{
		link.TCPReset: "ECONNREFUSED", link.PortUnreachable: "ECONNREFUSED", link.HostUnreachable: "EHOSTUNREACH",
		link.NetUnreachable: "ENETUNREACH", link.AdminProhibited: "EHOSTUNREACH", link.ProtUnreachable: "ENOPROTOOPT",
	} {
		must(t, lab.SetPath(far4.Addr(), link.Path{Delay: 2 * ms, State: state}))
		r.Start(next, allowed(t, far4.String()))
		e := r.until(t, next, sched.Started, sched.Failed)
		if took := e.At - r.of(next)[0].At; e.Failure.Errno != errno || took < 4*ms {
			t.Errorf("%s is %+v after %v, want %s", state, e.Failure, took, errno)
		}
		r.Start(next+1, good)
		r.until(t, next+1, sched.Started, sched.Connected)
		next += 2
	}
	if n := len(a.poller.sockets); n != 1 {
		t.Errorf("%d sockets, want 1", n)
	}
}
