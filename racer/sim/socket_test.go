package sim

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// The kernel repeats a SYN at these times, and not before.
func TestKernelRepeats(t *testing.T) {
	for _, c := range []struct {
		kernel  Kernel
		repeats []int // seconds
		giveUp  int   // likewise
	}{
		{LinearSYN, []int{1, 2, 3, 4, 5, 7, 11, 19, 35, 67}, 131},
		{DoublingSYN, []int{1, 3, 7, 15, 31, 63}, 127},
	} {
		for n, repeat := range c.repeats {
			w := plain(v4(1, Backend{RTT: 20 * ms}))
			w.Kernel, w.Patience = c.kernel, time.Hour
			for lost := range n + 1 {
				w.Backends[0].LoseSYN = append(w.Backends[0].LoseSYN, lost+1)
			}
			want := Result{
				Connected: true, Time: time.Duration(repeat)*time.Second + 20*ms,
				SYNs: n + 2, Established: 1,
			}
			if got := Run(w, first); got != want {
				t.Errorf("%v with %d lost SYNs: %+v, want %+v", c.kernel, n+1, got, want)
			}
		}
		w := plain(v4(1, Backend{State: Silent}))
		w.Kernel, w.Patience = c.kernel, time.Hour
		want := Result{Time: time.Duration(c.giveUp) * time.Second, Backend: nobody, SYNs: len(c.repeats) + 1}
		if got := Run(w, first); got != want {
			t.Errorf("%v against a blackhole: %+v, want %+v", c.kernel, got, want)
		}
	}
}

// Each state has its error and its time, and costs its SYNs.
func TestConnect(t *testing.T) {
	for _, c := range []struct {
		about   string
		backend Backend
		to      netip.Addr // 0: the backend
		err     error
		at      time.Duration
		syns    int
	}{
		{"up", up(30 * ms), netip.Addr{}, nil, 30 * ms, 1},
		{"up, at once", up(0), netip.Addr{}, nil, 0, 1},
		{"up, mapped address", up(30 * ms), netip.AddrFrom16(address4(1).As16()), nil, 30 * ms, 1},
		{"refusing", Backend{RTT: 30 * ms, State: Refusing}, netip.Addr{}, syscall.ECONNREFUSED, 30 * ms, 1},
		{"unreachable", Backend{RTT: 30 * ms, State: Unreachable}, netip.Addr{}, syscall.EHOSTUNREACH, 30 * ms, 1},
		{"forbidden", Backend{RTT: 30 * ms, State: Unreachable, Errno: syscall.EACCES}, netip.Addr{}, syscall.EACCES, 30 * ms, 1},
		{"silent", Backend{RTT: 30 * ms, State: Silent}, netip.Addr{}, syscall.ETIMEDOUT, 131 * time.Second, 11},
		{"nobody", up(30 * ms), address4(9), syscall.ETIMEDOUT, 131 * time.Second, 11},
		{"no route", up(30 * ms), address6(1), syscall.ENETUNREACH, 0, 0},
		{"all lost", Backend{RTT: 30 * ms, Loss: 1}, netip.Addr{}, syscall.ETIMEDOUT, 131 * time.Second, 11},
		{"RST lost once", Backend{RTT: 30 * ms, State: Refusing, LoseSYN: []int{1}}, netip.Addr{}, syscall.ECONNREFUSED, 1030 * ms, 2},
		// A kernel repeats what has not been answered yet, and takes the first answer.
		{"slower than a repeat", up(2500 * ms), netip.Addr{}, nil, 2500 * ms, 3},
		{"as slow as a repeat", up(1000 * ms), netip.Addr{}, nil, 1000 * ms, 1},
	} {
		t.Run(c.about, func(t *testing.T) {
			w := plain(v4(1, c.backend))
			w.Client, w.Patience = clientNetworks[:1], time.Hour
			to := c.to
			if !to.IsValid() {
				to = w.Backends[0].Addr
			}
			result := Run(w, Dialer{Dial: func(h *Host) {
				returned, calls := false, 0
				h.Connect(to, func(err error) {
					calls++
					if !returned || calls > 1 || !errors.Is(err, c.err) || h.Now() != c.at {
						t.Errorf("after return %v, call %d at %v with %v; want 1 at %v with %v",
							returned, calls, h.Now(), err, c.at, c.err)
					}
					h.After(500*time.Second, h.Failed) // nothing more comes
				})
				returned = true
			}})
			if result.Time != c.at+500*time.Second || result.SYNs != c.syns {
				t.Errorf("it ended at %v with %d SYNs, want %v and %d", result.Time, result.SYNs, c.at+500*time.Second, c.syns)
			}
		})
	}
}

// What becomes of sockets that are closed at 10 ms, or left alone.
func TestClose(t *testing.T) {
	for _, c := range []struct {
		about               string
		backend             Backend
		established, inVain int
		halfOpen, syns      int
	}{
		{"established", up(5 * ms), 1, 1, 0, 1},
		{"established that instant", up(10 * ms), 1, 1, 0, 1},
		{"the answer is on its way", up(20 * ms), 0, 0, 1, 1},
		{"the SYN was lost", Backend{RTT: 20 * ms, LoseSYN: []int{1}}, 0, 0, 0, 1},
		{"refused", Backend{RTT: 5 * ms, State: Refusing}, 0, 0, 0, 1},
		{"a refusal is on its way", Backend{RTT: 20 * ms, State: Refusing}, 0, 0, 0, 1},
		{"silent", Backend{State: Silent}, 0, 0, 0, 1},
	} {
		t.Run(c.about, func(t *testing.T) {
			got := Run(plain(v4(1, c.backend)), Dialer{Dial: func(h *Host) {
				calls := 0
				s := h.Connect(address4(1), func(error) { calls++ })
				h.After(10*ms, func() {
					before := calls
					s.Close()
					s.Close()
					h.After(time.Second, func() {
						if calls != before {
							t.Error("a closed socket has called back")
						}
						h.Failed()
					})
				})
			}})
			want := Result{
				Time: 1010 * ms, Backend: nobody,
				SYNs: c.syns, Established: c.established, HalfOpen: c.halfOpen,
			}
			if got != want || got.InVain() != c.inVain {
				t.Errorf("%+v with %d in vain, want %+v with %d", got, got.InVain(), want, c.inVain)
			}
		})
	}
}

// Won ends the run, what is pending then is closed, and Linger lets it go on.
func TestWon(t *testing.T) {
	// at says when three SYNs are answered: 10, 10 and 30 ms, and one never.
	w := plain(v4(1, up(10*ms)), v4(2, up(10*ms)), v4(3, up(30*ms)), v4(4, Backend{State: Silent}))
	for _, c := range []struct {
		linger time.Duration
		want   Result
	}{
		{0, Result{Established: 2, HalfOpen: 1, SYNs: 4}},
		{19 * ms, Result{Established: 2, HalfOpen: 1, SYNs: 4}},
		{20 * ms, Result{Established: 3, SYNs: 4}},
		{1990 * ms, Result{Established: 3, SYNs: 6}},
	} {
		got := Run(w, Dialer{Dial: func(h *Host) {
			for i := range w.Backends {
				var s *Socket
				s = h.Connect(w.Backends[i].Addr, func(error) {
					if i == 0 {
						h.Linger(c.linger)
						h.Won(s)
					}
				})
			}
		}})
		want := c.want
		want.Connected, want.Time = true, 10*ms
		if got != want || got.InVain() != want.Established-1 {
			t.Errorf("linger %v: %+v, want %+v", c.linger, got, want)
		}
	}
}

// The caller's patience ends a run that nobody ends, whatever is pending.
func TestPatience(t *testing.T) {
	w := plain(v4(1, Backend{State: Silent}))
	if got, want := Run(w, first), (Result{Time: 30 * time.Second, Backend: nobody, SYNs: 9}); got != want {
		t.Errorf("default patience: %+v, want %+v", got, want)
	}
	w.Patience = 1500 * ms
	if got, want := Run(w, first), (Result{Time: 1500 * ms, Backend: nobody, SYNs: 2}); got != want {
		t.Errorf("patience of 1.5 s: %+v, want %+v", got, want)
	}
	w.Backends[0] = v4(1, up(1500*ms))
	if got := Run(w, first); !got.Connected || got.Time != 1500*ms {
		t.Errorf("what comes at the last moment counts: %+v", got)
	}
	if got := Run(w, Dialer{Dial: func(*Host) {}}); got.Connected || got.Time != 1500*ms {
		t.Errorf("a dialer that does nothing: %+v", got)
	}
}

// Models that break the rules are told so.
func TestMisuse(t *testing.T) {
	w := plain(v4(1, up(10*ms)))
	connect := func(h *Host, then func(s *Socket)) {
		var s *Socket
		s = h.Connect(address4(1), func(error) { then(s) })
	}
	for about, dial := range map[string]func(h *Host){
		"won while pending": func(h *Host) { h.Won(h.Connect(address4(1), nil)) },
		"won twice":         func(h *Host) { connect(h, func(s *Socket) { h.Won(s); h.Won(s) }) },
		"won when closed":   func(h *Host) { connect(h, func(s *Socket) { s.Close(); h.Won(s) }) },
		"failed when won":   func(h *Host) { connect(h, func(s *Socket) { h.Won(s); h.Failed() }) },
		"failed twice":      func(h *Host) { h.Failed(); h.Failed() },
		"won when failed":   func(h *Host) { connect(h, func(s *Socket) { h.Failed(); h.Won(s) }) },
	} {
		t.Run(about, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			Run(w, Dialer{Dial: dial})
		})
	}
}

// DNS answers each question alike, and never before Lookup has returned.
func TestLookup(t *testing.T) {
	w := plain(v4(1, up(0)), v6(1, up(0)))
	w.A.Delay = 5 * ms
	for _, c := range []struct {
		about  string
		change func(w *World)
		want   string // status, addresses and time of A
	}{
		{"addresses", func(*World) {}, "positive [198.51.100.1] 5ms"},
		{"none", func(w *World) { w.A.Addrs = nil }, "not_found [] 5ms"},
		{"no such record", func(w *World) { w.A.Status = sched.NotFound }, "not_found [] 5ms"},
		{"SERVFAIL", func(w *World) { w.A.Status = sched.Broken }, "failed [] 5ms"},
		{"dropped", func(w *World) { w.A.Dropped = true }, "failed [] 10s"},
	} {
		t.Run(c.about, func(t *testing.T) {
			w := w
			c.change(&w)
			var got [3]string
			Run(w, Dialer{Dial: func(h *Host) {
				for i, kind := range []sched.RecordType{sched.A, sched.A, sched.AAAA} {
					returned := false
					h.Lookup(kind, func(a Answer) {
						if !returned {
							t.Error("answered before Lookup returned")
						}
						got[i] = fmt.Sprint(a.Status, " ", a.Addrs, " ", h.Now())
					})
					returned = true
				}
			}})
			if want := [3]string{c.want, c.want, "positive [2001:db8:80:1::1] 0s"}; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// The host has a route for each family that has an address.
func TestRoutes(t *testing.T) {
	w := plain()
	w.Client = clientNetworks[1:]
	Run(w, Dialer{Dial: func(h *Host) {
		if h.Routed(addrsel.FamilyIPv4) || !h.Routed(addrsel.FamilyIPv6) {
			t.Error("it must have a route for IPv6 alone")
		}
		if a, bits := h.Source(address6(1)); a != clientNetworks[1].Addr() || bits != 64 {
			t.Errorf("source is %v/%d", a, bits)
		}
		if a, bits := h.Source(address4(1)); a.IsValid() || bits != 0 {
			t.Errorf("source without a route is %v/%d", a, bits)
		}
		h.Failed()
	}})
}

// Loss takes each of the two packets, jitter is spread as documented, and the draws
// of neighbours have nothing to do with each other.
func TestLuck(t *testing.T) {
	const n = 200_000
	b := Backend{RTT: 100 * ms, Jitter: 10 * ms, Loss: 0.1}
	lost, sum, squares, lowest, highest := 0, 0.0, 0.0, time.Hour, time.Duration(0)
	same, before := 0, false
	for i := range n {
		l := luck(1).lost(&b, 0, i+1)
		if l {
			lost++
		}
		if l == before {
			same++
		}
		before = l
		rtt := luck(1).roundTrip(&b, 0, i+1)
		lowest, highest = min(lowest, rtt), max(highest, rtt)
		off := float64(rtt-100*ms) / float64(ms)
		sum, squares = sum+off, squares+off*off
	}
	near := func(what string, got, want, by float64) {
		t.Helper()
		if math.Abs(got-want) > by {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	near("loss of a handshake", float64(lost)/n, 0.19, 0.003)
	near("two alike in a row", float64(same)/n, 0.19*0.19+0.81*0.81, 0.004)
	near("mean of the jitter", sum/n, 0, 0.05)
	near("variance of the jitter", squares/n, 2*10.0*10.0/3, 0.5) // of two even draws
	alike := 0
	for i := range n {
		if luck(1).lost(&b, 0, i+1) == luck(1).lost(&b, 1, i+1) {
			alike++
		}
	}
	near("two backends alike", float64(alike)/n, 0.19*0.19+0.81*0.81, 0.004)
	if lowest < 80*ms || lowest > 81*ms || highest > 120*ms || highest < 119*ms {
		t.Errorf("round trips are %v to %v, want 80 to 120 ms", lowest, highest)
	}
	if b.floor() != 80*ms {
		t.Errorf("floor is %v", b.floor())
	}
}

// All dialers meet the same luck: what becomes of the n-th SYN to a backend does not
// depend on who sends it, when, and what else was sent.
func TestLuckIsTheWorlds(t *testing.T) {
	for seed := range uint64(100) {
		w := plain(v4(1, Backend{RTT: 200 * ms, Jitter: 90 * ms, Loss: 0.3}), v4(2, Backend{RTT: 30 * ms, Jitter: 10 * ms, Loss: 0.3}))
		w.Seed, w.Patience = seed, time.Hour
		// fates of the SYNs to the first backend, each on a socket of its own which is
		// given up before the kernel sends another one.
		fates := func(pause time.Duration, other bool) (fates []string) {
			Run(w, Dialer{Dial: func(h *Host) {
				var next func()
				next = func() {
					began, fate := h.Now(), "lost"
					s := h.Connect(address4(1), func(error) { fate = fmt.Sprint(h.Now() - began) })
					if other {
						h.Connect(address4(2), func(error) {})
					}
					h.After(pause, func() {
						s.Close()
						if fates = append(fates, fate); len(fates) == 20 {
							h.Failed()
							return
						}
						next()
					})
				}
				next()
			}})
			return fates
		}
		quick, slow := fates(500*ms, false), fates(900*ms, true)
		if fmt.Sprint(quick) != fmt.Sprint(slow) {
			t.Fatalf("seed %d: one dialer meets %v, another one %v", seed, quick, slow)
		}
	}
}
