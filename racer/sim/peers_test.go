package sim

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// What each peer does, SYN by SYN. The times follow by hand from the rules in the
// constructors' comments.
func TestPeers(t *testing.T) {
	for _, c := range []struct {
		about  string
		dialer Dialer
		world  World
		want   string
	}{
		{
			"the other family follows after 300 ms", NetDialer(0),
			town("6a silent, 4a 20ms"),
			"0s 6a, 300ms 4a, 320ms won 4a",
		},
		{
			"the other family does not wait for one that has failed", NetDialer(0),
			town("6a refusing 10ms, 6b unreachable 10ms, 4a 20ms"),
			"0s 6a, 10ms 6b, 20ms 4a, 40ms won 4a",
		},
		{
			"the first family goes on beside the other", NetDialer(0),
			town("6a refusing 310ms, 6b 20ms, 4a silent"),
			"0s 6a, 300ms 4a, 310ms 6b, 330ms won 6b",
		},
		{
			"the first family's failure does not disturb the other", NetDialer(0),
			town("6a refusing 310ms, 4a 30ms"),
			"0s 6a, 300ms 4a, 330ms won 4a",
		},
		{
			"the first family is that of the first address", NetDialer(0),
			town("ua silent, 4a 310ms"),
			"0s 4a, 300ms ua, 310ms won 4a",
		},
		{
			"an address gets its share of the time", NetDialer(10 * time.Second),
			town("4a silent, 4b 20ms"),
			"0s 4a, 1s 4a again, 2s 4a again, 3s 4a again, 4s 4a again, 5s 4b, 5.02s won 4b",
		},
		{
			"an address gets 2 s at the cost of the last ones", NetDialer(5 * time.Second),
			town("4a silent, 4b silent, 4c silent, 4d 20ms"),
			"0s 4a, 1s 4a again, 2s 4b, 3s 4b again, 4s 4c, 5s failed",
		},
		{
			"each family shares the time by itself", NetDialer(8300 * time.Millisecond),
			town("6a silent, 4a silent, 4b 20ms"),
			"0s 6a, 300ms 4a, 1s 6a again, 1.3s 4a again, 2s 6a again, 2.3s 4a again, 3s 6a again, 3.3s 4a again, " +
				"4s 6a again, 4.3s 4b, 4.32s won 4b",
		},
		{
			"without a timeout the kernel decides", NetDialer(0),
			town("4a silent, 4b 20ms"),
			"0s 4a, 1s 4a again, 2s 4a again, 3s 4a again, 4s 4a again, 5s 4a again, 7s 4a again, 11s 4a again, " +
				"19s 4a again, 35s 4a again, 1m7s 4a again, 2m11s 4b, 2m11.02s won 4b",
		},
		{
			"both answers are waited for", NetDialer(0),
			late(town("6a 30ms, 4a 20ms"), sched.AAAA, 400*time.Millisecond),
			"400ms 6a, 430ms won 6a",
		},
		{
			"the timeout holds for DNS too", NetDialer(3 * time.Second),
			late(town("6a 30ms, 4a 20ms"), sched.AAAA, 3*time.Second),
			"3s failed",
		},
		{
			"an address without a route comes last and fails at once", NetDialer(3 * time.Second),
			alone(town("6a 20ms, 4a silent"), addrsel.FamilyIPv4),
			"0s 4a, 1s 4a again, 2s 4a again, 3s failed",
		},
		{"no address", NetDialer(0), World{}, "0s failed"},

		{
			"the families alternate, IPv6 first, every 200 ms", Curl(0),
			town("4a silent, 4b 20ms, 6a silent, 6b silent"),
			"0s 6a, 200ms 4a, 400ms 6b, 600ms 4b, 620ms won 4b",
		},
		{
			"when one family is through the other goes on", Curl(0),
			town("6a silent, 4a silent, 4b silent, 4c 20ms"),
			"0s 6a, 200ms 4a, 400ms 4b, 600ms 4c, 620ms won 4c",
		},
		{
			"a failure begins the next one if none is left", Curl(0),
			town("6a refusing 10ms, 4a 20ms"),
			"0s 6a, 10ms 4a, 30ms won 4a",
		},
		{
			"a failure begins none while a slow one is under way", Curl(0),
			town("6a silent, 4a refusing 10ms, 6b 20ms"),
			"0s 6a, 200ms 4a, 400ms 6b, 420ms won 6b",
		},
		{
			"the seventh ends the oldest, which would have won", Curl(0),
			town("4a 1210ms, 4b silent, 4c silent, 4d silent, 4e silent, 4f silent, 4g silent, 4h 20ms"),
			"0s 4a, 200ms 4b, 400ms 4c, 600ms 4d, 800ms 4e, 1s 4a again, 1s 4f, 1.2s 4b again, 1.2s 4g, " +
				"1.4s 4c again, 1.4s 4h, 1.42s won 4h",
		},
		{
			"IPv6 is waited for 25 ms", Curl(0),
			late(town("6a 20ms, 4a 20ms"), sched.AAAA, 400*time.Millisecond),
			"25ms 4a, 45ms won 4a",
		},
		{
			"an IPv6 address that comes late is taken up", Curl(0),
			late(town("6a 20ms, 4a silent"), sched.AAAA, 400*time.Millisecond),
			"25ms 4a, 400ms 6a, 420ms won 6a",
		},
		{
			"IPv4 is not waited for", Curl(0),
			late(town("6a silent, 4a 20ms"), sched.A, 100*time.Millisecond),
			"0s 6a, 200ms 4a, 220ms won 4a",
		},
		{
			"no IPv6 address is an answer too", Curl(0),
			town("4a 20ms"),
			"0s 4a, 20ms won 4a",
		},
		{
			"as long as an answer is due it does not give up", Curl(0),
			late(town("6a refusing 10ms, 4a 20ms"), sched.A, time.Second),
			"0s 6a, 1s 4a, 1.02s won 4a",
		},
		{
			"the timeout ends it", Curl(1500 * time.Millisecond),
			town("4a silent"),
			"0s 4a, 1s 4a again, 1.5s failed",
		},
		{
			"what comes with the timeout is too late", Curl(200 * time.Millisecond),
			town("4a silent, 4b 20ms"),
			"0s 4a, 200ms failed",
		},
		{
			"one family alone", Curl(0),
			town("6a silent, 6b 20ms"),
			"0s 6a, 200ms 6b, 220ms won 6b",
		},
		{
			"all refuse", Curl(0),
			town("6a refusing 10ms, 4a unreachable 10ms"),
			"0s 6a, 10ms 4a, 20ms failed",
		},
		{"no address", Curl(0), World{}, "0s failed"},

		{
			"the other family follows after 200 ms", Curl788(0),
			town("6a silent, 4a 20ms"),
			"0s 6a, 200ms 4a, 220ms won 4a",
		},
		{
			"the other family does not wait for one that has failed", Curl788(0),
			town("6a refusing 10ms, 4a 20ms"),
			"0s 6a, 10ms 4a, 30ms won 4a",
		},
		{
			"after a failure the family sleeps until the head start ends", Curl788(0),
			town("4a refusing 10ms, 4b 20ms"),
			"0s 4a, 200ms 4b, 220ms won 4b",
		},
		{
			"after that it sleeps for a second", Curl788(0),
			town("6a silent, 4a refusing 20ms, 4b 20ms"),
			"0s 6a, 200ms 4a, 1s 6a again, 1.22s 4b, 1.24s won 4b",
		},
		{
			"a socket of the other family wakes it", Curl788(0),
			town("6a refusing 500ms, 6b silent, 4a refusing 20ms, 4b 20ms"),
			"0s 6a, 200ms 4a, 500ms 4b, 520ms won 4b",
		},
		{
			"an address that others follow has half of the time", Curl788(8 * time.Second),
			town("4a silent, 4b silent, 4c 20ms"),
			"0s 4a, 1s 4a again, 2s 4a again, 3s 4a again, 5s 4b, 7s 4c, 7.02s won 4c",
		},
		{
			"all refuse", Curl788(0),
			town("6a refusing 10ms, 4a refusing 10ms"),
			"0s 6a, 10ms 4a, 20ms failed",
		},
		{
			"the timeout ends it", Curl788(2500 * time.Millisecond),
			town("6a silent, 4a silent"),
			"0s 6a, 200ms 4a, 1s 6a again, 1.2s 4a again, 2s 6a again, 2.2s 4a again, 2.5s failed",
		},
		{
			"what comes with the timeout is too late", Curl788(200 * time.Millisecond),
			town("6a silent, 4a 20ms"),
			"0s 6a, 200ms failed",
		},
		{
			"what comes with the win is too late", Curl788(0),
			town("6a 1300ms, 4a refusing 100ms, 4b 20ms"),
			"0s 6a, 200ms 4a, 1s 6a again, 1.3s won 6a",
		},
		{
			"both answers are waited for", Curl788(0),
			late(town("6a 30ms, 4a 20ms"), sched.A, 400*time.Millisecond),
			"400ms 6a, 430ms won 6a",
		},
		{
			"the timeout holds for DNS too", Curl788(3 * time.Second),
			late(town("6a 30ms, 4a 20ms"), sched.AAAA, 3*time.Second),
			"3s failed",
		},
		{"no address", Curl788(0), World{}, "0s failed"},

		{
			"IPv6 begins, and a backup begins with it too", Chromium(),
			town("ua silent, 4a 20ms"),
			"0s ua, 250ms ua, 300ms 4a, 550ms 4a, 320ms won 4a",
		},
		{
			"the backup makes up for a lost SYN", Chromium(),
			losing(town("4a 20ms"), 1),
			"0s 4a, 250ms 4a, 1s 4a again, 270ms won 4a",
		},
		{
			"a job that has won gives up its other family, the other job does not", Chromium(),
			losing(town("4a 20ms, 6a silent"), 2),
			"0s 6a, 250ms 6a, 300ms 4a, 550ms 4a, 1.25s 6a again, 1.55s 4a again, 320ms won 4a",
		},
		{
			"the backup goes on when the first job has won", Chromium(),
			town("4a 260ms"),
			"0s 4a, 250ms 4a, 260ms won 4a",
		},
		{
			"the backup comes once DNS is done", Chromium(),
			late(town("6a silent, 4a 20ms"), sched.A, 300*time.Millisecond),
			"300ms 6a, 500ms 6a, 600ms 4a, 800ms 4a, 620ms won 4a",
		},
		{
			"IPv4 does not wait for IPv6 that has failed", Chromium(),
			town("6a refusing 10ms, 6b refusing 10ms, 4a 20ms"),
			"0s 6a, 10ms 6b, 20ms 4a, 40ms won 4a",
		},
		{
			"a job that has failed ends it, whatever the other does", Chromium(),
			losing(town("4a refusing 260ms"), 2),
			"0s 4a, 250ms 4a, 260ms failed",
		},
		{
			"within a family only the kernel ends an attempt", Chromium(),
			patient(town("4a silent, 4b 20ms"), 2500*time.Millisecond),
			"0s 4a, 250ms 4a, 1s 4a again, 1.25s 4a again, 2s 4a again, 2.25s 4a again, 2.5s failed",
		},
		{
			"without a route for IPv6 it asks for IPv4 alone", Chromium(),
			late(alone(town("6a 20ms, 4a 20ms"), addrsel.FamilyIPv4), sched.AAAA, time.Second),
			"0s 4a, 20ms won 4a",
		},
		{
			"addresses without a route are not tried", Chromium(),
			alone(town("6a 20ms, 4a 20ms"), addrsel.FamilyIPv6),
			"0s 6a, 20ms won 6a",
		},
		{"no address", Chromium(), World{}, "0s failed"},

		{
			"the timer cancels what would have connected", Node(0),
			town("6a 260ms, 4a 300ms"),
			"0s 6a, 250ms 4a, 550ms won 4a",
		},
		{
			"it is not cancelled once it is connected", Node(0),
			town("4a 250ms, 4b 20ms"),
			"0s 4a, 250ms won 4a",
		},
		{
			"the last one alone has the kernel's patience", Node(0),
			patient(town("4a 260ms, 4b 260ms, 4c silent"), 3*time.Second),
			"0s 4a, 250ms 4b, 500ms 4c, 1.5s 4c again, 2.5s 4c again, 3s failed",
		},
		{
			"the families alternate, and a failure begins the next one", Node(0),
			town("4a refusing 10ms, 4b refusing 10ms, 6a refusing 10ms, 6b unreachable 10ms, 6c refusing 10ms"),
			"0s 6a, 10ms 4a, 20ms 6b, 30ms 4b, 40ms 6c, 50ms failed",
		},
		{
			"the shortest time is 10 ms", Node(time.Millisecond),
			town("4a silent, 4b 20ms"),
			"0s 4a, 10ms 4b, 30ms won 4b",
		},
		{
			"it asks for the families that the host has", Node(0),
			late(alone(town("6a 20ms, 4a 20ms"), addrsel.FamilyIPv4), sched.AAAA, time.Second),
			"0s 4a, 20ms won 4a",
		},
		{
			"both answers are waited for", Node(0),
			late(town("6a 30ms, 4a 20ms"), sched.AAAA, 400*time.Millisecond),
			"400ms 6a, 430ms won 6a",
		},
		{
			"an address is tried once", Node(0),
			twice(town("4a refusing 10ms, 4b refusing 10ms")),
			"0s 4a, 10ms 4b, 20ms failed",
		},
		{"no address", Node(0), World{}, "0s failed"},

		{
			"all at once, and the fastest wins", Connie(time.Second),
			town("6a silent, 4a 30ms, 4b 20ms, 6b silent"),
			"0s 6a, 0s 6b, 0s 4a, 0s 4b, 20ms won 4b",
		},
		{
			"nothing is started later", Connie(1500 * time.Millisecond),
			town("4a silent"),
			"0s 4a, 1s 4a again, 1.5s failed",
		},
		{
			"a refusal is not noticed", Connie(time.Second),
			town("6a refusing 10ms, 4a refusing 10ms"),
			"0s 6a, 0s 4a, 1s failed",
		},
		{
			"the timeout begins after DNS", Connie(time.Second),
			late(town("4a refusing 10ms"), sched.AAAA, 400*time.Millisecond),
			"400ms 4a, 1.4s failed",
		},
		{
			"no route at all fails at once", Connie(time.Second),
			alone(town("4a 20ms"), addrsel.FamilyIPv6),
			"0s failed",
		},
		{"no address", Connie(time.Second), World{}, "0s failed"},
	} {
		t.Run(c.dialer.Name+": "+c.about, func(t *testing.T) {
			if got := played(&c.world, c.dialer); got != c.want {
				t.Errorf("it went\n%s, want\n%s", got, c.want)
			}
		})
	}
}

// What a win costs. Chromium keeps what its other job connects; all others close
// what is under way, and some of that was a connection for the backend already.
func TestPeersCost(t *testing.T) {
	for _, c := range []struct {
		dialer                      Dialer
		world                       World
		syns, established, halfOpen int
	}{
		{Chromium(), town("6a silent, 4a 20ms"), 4, 2, 0},
		{Chromium(), losing(town("4a 20ms"), 1), 3, 2, 0},
		{Connie(time.Second), town("6a silent, 4a 30ms, 4b 20ms"), 3, 1, 1},
		{Connie(time.Second), town("4a 20ms, 4b 20ms"), 2, 2, 0},
		{NetDialer(0), town("6a 310ms, 4a 20ms"), 2, 1, 1},
		{NetDialer(3 * time.Second), town("4a 2010ms, 4b 20ms"), 3, 1, 1},
		{Node(0), town("4a 260ms, 4b 20ms"), 2, 1, 1},
	} {
		r := Run(c.world, c.dialer)
		if !r.Connected || r.SYNs != c.syns || r.Established != c.established || r.HalfOpen != c.halfOpen {
			t.Errorf("%s in %v: %+v, want %d SYNs, %d established, %d half open",
				c.dialer.Name, c.world.Backends, r, c.syns, c.established, c.halfOpen)
		}
	}
}

// What a peer waits at most if nothing ever works.
func TestPeersGiveUp(t *testing.T) {
	for _, c := range []struct {
		dialer Dialer
		world  World
		after  time.Duration
	}{
		{NetDialer(0), town("6a silent, 4a silent"), 131*time.Second + 300*time.Millisecond}, // the kernel
		{NetDialer(30 * time.Second), town("6a silent, 4a silent"), 30 * time.Second},
		{Curl(0), late(town("4a 20ms"), sched.A, 301*time.Second), 300 * time.Second},
		{Curl788(0), town("4a silent, 4b silent, 4c silent"), 300 * time.Second},
		{Chromium(), town("4a silent, 4b silent"), 240 * time.Second},
		{Chromium(), late(town("4a silent, 4b silent"), sched.A, 10*time.Second), 240 * time.Second},
		{Node(0), town("6a silent, 4a silent"), 131*time.Second + 250*time.Millisecond}, // the kernel
		{Connie(time.Second), town("6a silent, 4a silent"), time.Second},
	} {
		if r := Run(c.world, c.dialer); r.Connected || r.Time != c.after {
			t.Errorf("%s: %+v, want a failure after %v", c.dialer.Name, r, c.after)
		}
	}
}

// In whatever world, a peer connects to a backend that is up, no sooner than the
// oracle, and within its caller's patience; and it does the same thing twice.
func TestPeersInAnyWorld(t *testing.T) {
	peers := []Dialer{
		NetDialer(0), NetDialer(5 * time.Second), Curl(0), Curl(2 * time.Second), Curl788(0),
		Curl788(4 * time.Second), Chromium(), Node(0), Node(time.Millisecond), Connie(time.Second),
	}
	for _, kind := range Kinds() {
		for number := range 200 {
			w := Generate(kind, 1, number)
			soonest, possible := w.Oracle()
			for _, d := range peers {
				r := Run(w, d)
				switch {
				case r != Run(w, d):
					t.Errorf("%s, %s %d: it is not the same twice", d.Name, kind, number)
				case r.Time > w.patience():
					t.Errorf("%s, %s %d: it ended after %v", d.Name, kind, number, r.Time)
				case r.Connected && (!possible || r.Time < soonest || w.Backends[r.Backend].State != Up):
					t.Errorf("%s, %s %d: it connected to %d after %v, the oracle after %v (%v)",
						d.Name, kind, number, r.Backend, r.Time, soonest, possible)
				case r.Established < 1 && r.Connected:
					t.Errorf("%s, %s %d: it won without a connection", d.Name, kind, number)
				}
			}
		}
	}
}

// town is a world with the addresses of a list such as "6a silent, 4a refusing
// 20ms, 4b 30ms": family and letter, state unless up, round trip. DNS answers at
// once, in that order.
func town(list string) World {
	w := World{
		Patience: 10 * time.Minute,
		Client:   []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8:1::1/64")},
	}
	for place := range strings.SplitSeq(list, ", ") {
		words := strings.Fields(place)
		b := Backend{Addr: address(words[0])}
		for _, word := range words[1:] {
			if i := slices.Index(stateNames, word); i >= 0 {
				b.State = State(i)
				continue
			}
			var err error
			if b.RTT, err = time.ParseDuration(word); err != nil {
				panic(err)
			}
		}
		w.Backends = append(w.Backends, b)
		answer := w.resolution(sched.AAAA)
		if b.Addr.Is4() {
			answer = w.resolution(sched.A)
		}
		answer.Addrs = append(answer.Addrs, b.Addr)
	}
	return w
}

// late has one answer come after a while.
func late(w World, t sched.RecordType, delay time.Duration) World {
	w.resolution(t).Delay = delay
	return w
}

// alone leaves the client host a single family.
func alone(w World, f addrsel.Family) World {
	w.Client = slices.DeleteFunc(w.Client, func(p netip.Prefix) bool { return addrsel.FamilyOf(p.Addr()) != f })
	return w
}

// losing loses the n-th SYN to the first address.
func losing(w World, n int) World {
	w.Backends[0].LoseSYN = []int{n}
	return w
}

func patient(w World, limit time.Duration) World {
	w.Patience = limit
	return w
}

// twice has each address twice in the answer for IPv4.
func twice(w World) World {
	w.A.Addrs = slices.Concat(w.A.Addrs, w.A.Addrs)
	return w
}

// address turns "6b" into 2001:db8:80::2, "4c" into 198.51.100.3 and "ua" into a
// unique local address, which RFC 6724 puts behind IPv4.
func address(name string) netip.Addr {
	return netip.MustParseAddr(fmt.Sprint(families[name[0]], name[1]-'a'+1))
}

var families = map[byte]string{'4': "198.51.100.", '6': "2001:db8:80::", 'u': "fd00::"}

// name turns it back.
func name(a netip.Addr) string {
	for family, prefix := range families {
		if number, ok := strings.CutPrefix(a.String(), prefix); ok {
			return string(family) + string('a'+number[0]-'1')
		}
	}
	return a.String()
}

// played lets d connect in w and returns when which SYN left, and how it ended.
func played(w *World, d Dialer) string {
	var r runner
	result := r.run(w, d)
	syns := synsOf(&r.host)
	steps := make([]string, 0, len(syns)+1)
	for _, s := range syns {
		again := ""
		if s.repeat > 0 {
			again = " again"
		}
		steps = append(steps, fmt.Sprintf("%v %s%s", s.at, name(s.to), again))
	}
	end := "failed"
	if result.Connected {
		end = "won " + name(w.Backends[result.Backend].Addr)
	}
	return strings.Join(append(steps, fmt.Sprintf("%v %s", result.Time, end)), ", ")
}

// simSYN is a SYN that left a simulated host.
type simSYN struct {
	to     netip.Addr
	at     time.Duration // since the dialer began
	repeat int           // of its socket: 0 is the first, the others are the kernel's
}

// synsOf are those of a host's run, in the order in which they left.
func synsOf(h *Host) (syns []simSYN) {
	repeats := h.world.Kernel.repeats()
	for _, s := range h.sockets {
		for n := range s.sent {
			syn := simSYN{to: h.world.Backends[s.backend].Addr, at: s.opened - h.start, repeat: n}
			if n > 0 {
				syn.at += repeats[n-1]
			}
			syns = append(syns, syn)
		}
	}
	slices.SortStableFunc(syns, func(a, b simSYN) int { return cmp.Compare(a.at, b.at) })
	return syns
}
