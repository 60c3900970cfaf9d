package connect

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/internal/rawsock"
	"github.com/connrace/connrace/racer/sched"
)

// Every ICMP error is told apart: its type and code, a word of its own, who says it and
// thus whose trouble it is, with the errno that connect has without our listening.
// The socket is the same one throughout: it does not repeat what it heard before.
func TestICMPErrorsAreToldApart(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	r, a := rawRace(t, newEngine(t), false)
	next := 0
	for _, at := range []netip.AddrPort{far4, far6} {
		words := make(map[string]bool)
		for _, state := range link.States(at.Addr())[2:] {
			must(t, lab.SetPath(at.Addr(), link.Path{Delay: ms, State: state}))
			r.Start(next, allowed(t, at.String()))
			e := r.until(t, next, sched.Started, sched.Failed)
			next++
			if want := errnoNotListening(t, at); unix.ErrnoName(want) != e.Failure.Errno && classify(want).Errno != e.Failure.Errno {
				t.Errorf("%s of %s is %s, and %v without listening", state, at, e.Failure.Errno, want)
			}
			if took := e.At - r.of(e.Attempt)[0].At; took < 2*ms {
				t.Errorf("%s came after %v, the way takes 2ms", state, took)
			}
			checkICMP(t, state, at.Addr(), e.Failure)
			words[e.Failure.ICMP.Word] = true
		}
		if len(words) != len(link.States(at.Addr())[2:]) {
			t.Errorf("the words of %s are %v, want one for each state", at, words)
		}
	}
	if n := len(a.poller.sockets); n != 2 {
		t.Errorf("%d sockets, want one of each family", n)
	}
}

func checkICMP(t *testing.T, state link.State, to netip.Addr, f sched.Failure) {
	t.Helper()
	if state == link.TCPReset {
		if f.ICMP != (sched.ICMP{}) || !strings.HasPrefix(f.Text, "nothing listens on this port; ") {
			t.Errorf("a reset is %+v", f)
		}
		return
	}
	kind, byTarget := uint8(3), state == link.PortUnreachable || state == link.ProtUnreachable
	if to.Is6() {
		kind = 1
	}
	if want := strings.ReplaceAll(string(state), "-", "_"); f.ICMP.Word != want || f.ICMP.Type != kind {
		t.Errorf("%s of %s is %+v", state, to, f.ICMP)
	}
	if byTarget != (f.ICMP.From == to) || byTarget != (f.Fault == sched.FaultTarget) || !byTarget && f.Fault != sched.FaultPath {
		t.Errorf("%s of %s is from %s, fault of %s", state, to, f.ICMP.From, f.Fault)
	}
	if who := f.ICMP.From.String(); !byTarget && !strings.Contains(f.Text, who) || strings.Contains(f.Text, "cannot deliver") {
		t.Errorf("%s of %s is explained with %q", state, to, f.Text)
	}
}

// errnoNotListening is what an attempt comes to on a socket that keeps no errors.
func errnoNotListening(t *testing.T, to netip.AddrPort) unix.Errno {
	t.Helper()
	family := 0
	if to.Addr().Is6() {
		family = 1
	}
	fd, err := newSocket(family, 0)
	must(t, err)
	defer unix.Close(fd)
	hearICMP(fd, family, false)
	if errno := rawsock.Connect(fd, to); errno != unix.EINPROGRESS {
		t.Fatal(errno)
	}
	awaitEnd(t, fd)
	return pendingError(fd)
}

// awaitEnd waits until a connect is over. A signal with which Go preempts this thread
// may end a poll.
func awaitEnd(t *testing.T, fd int) {
	t.Helper()
	n, err := 0, error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(patience/time.Millisecond))
	}
	if must(t, err); n == 0 {
		t.Fatalf("not after %v: the connect is over", patience)
	}
}

// An error that is left in a socket's queue is not that of its next attempt.
func TestICMPOfAnEarlierAttempt(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	other := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.2"), 80)
	must(t, lab.SetPath(far4.Addr(), link.Path{State: link.AdminProhibited}))
	for want, state := range map[string]link.State{"": link.TCPReset, "net_unreachable": link.NetUnreachable} {
		must(t, lab.SetPath(other.Addr(), link.Path{State: state}))
		r, a := rawRace(t, newEngine(t), false)
		for id := range 3 {
			r.Start(id, allowed(t, far4.String()))
			fd := a.poller.sockets[0].fd
			awaitEnd(t, fd)
			rawsock.Dissolve(fd) // as if nobody had looked
			a.land(id, sched.Event{Kind: sched.Cancelled})
		}
		r.Start(3, allowed(t, other.String()))
		if f := r.until(t, 3, sched.Started, sched.Failed).Failure; f.ICMP.Word != want || len(a.poller.sockets) != 1 {
			t.Errorf("it is %+v, want %q", f, want)
		}
	}
}

// Nobody at the next hop: this host says so to itself.
func TestICMPOfThisHost(t *testing.T) {
	netlabtest.Start(t, netlab.Config{})
	for family, to := range map[string]string{"ipv4": "192.0.2.77:80", "ipv6": "[2001:db8:1::77]:80"} {
		devices, err := os.ReadDir("/proc/sys/net/" + family + "/neigh")
		must(t, err)
		for _, device := range devices { // else it takes 3 s
			dir := "/proc/sys/net/" + family + "/neigh/" + device.Name()
			must(t, os.WriteFile(dir+"/retrans_time_ms", []byte("20"), 0))
			must(t, os.WriteFile(dir+"/mcast_solicit", []byte("1"), 0))
		}
		r, _ := rawRace(t, newEngine(t), false)
		r.Start(0, allowed(t, to))
		f := r.outcome(t, 0).Failure
		if f.Errno != "EHOSTUNREACH" || f.Fault != sched.FaultPath || f.ICMP.Word != "host_unreachable" || !strings.Contains(f.Text, "next hop") {
			t.Errorf("to %s it is %+v", to, f)
		}
	}
}

// A connection that is kept rides out ICMP errors, as TCP must.
func TestICMPDoesNotBreakAConnection(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	for _, stage := range []Stage{nil, bare} {
		for _, at := range []netip.AddrPort{far4, far6} {
			must(t, lab.SetPath(at.Addr(), link.Path{}))
			host, err := lab.Serve(at, netlab.Read())
			must(t, err)
			r := newRaceOf(t, newEngine(t).Attempts, Race{Keep: true, Stage: stage})
			r.Start(0, allowed(t, at.String()))
			if stage != nil {
				r.until(t, 0, sched.Started, sched.Progressed)
				r.Proceed(0)
			}
			for r.outcome(t, 0).Kind != sched.Connected {
				t.Fatalf("it posted %v", r.kinds(0))
			}
			conn := r.Take(0)
			must(t, lab.SetPath(at.Addr(), link.Path{State: link.HostUnreachable}))
			_, err = conn.Write([]byte("hello"))
			must(t, err)
			must(t, conn.SetReadDeadline(time.Now().Add(50*ms)))
			_, err = conn.Read(make([]byte, 1))
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after an ICMP error reading from %s says %v", at, err)
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
			must(t, conn.Close())
			r.Close()
			must(t, host.Close())
		}
	}
}

// Every word has a sentence that says what to do next, whoever says it, and a type and
// code without a word has one too.
func TestICMPWords(t *testing.T) {
	router, to := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("198.51.100.1")
	for _, words := range []map[icmpKind]string{icmpWords4, icmpWords6, {{9, 99}: "other"}} {
		for kind, word := range words {
			for _, by := range []netip.Addr{router, to, v4} {
				icmp := sched.ICMP{From: by, Type: kind.kind, Code: kind.code, Word: icmpWord(kind.kind, kind.code, words)}
				f := withICMP(classify(unix.EHOSTUNREACH), icmp, v4, to)
				if f.ICMP.Word != word || icmpSentences[word].says == "" || !saysWhatToDo(f.Text) {
					t.Errorf("%s, %v, of %s is explained with %q", word, kind, by, f.Text)
				}
			}
		}
	}
}

// Who says it decides on what can be done: a firewall of this host only forbids.
func TestICMPSaysWhatToDo(t *testing.T) {
	router, to := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("198.51.100.1")
	for _, c := range []struct {
		by         netip.Addr
		kind, code uint8
		want       string
	}{
		{router, 3, 99, "the router 203.0.113.1 says: it cannot deliver the packet (ICMP type 3 code 99); see its log, or what this type and code mean"},
		{router, 3, 13, "the router 203.0.113.1 says: communication is administratively prohibited (ICMP type 3 code 13); allow it in its rules"},
		{to, 3, 2, "the target itself says: TCP is not spoken there (ICMP type 3 code 2); check the address, and the firewall rules there"},
		{v4, 3, 2, "a firewall of this host says: TCP is not spoken there (ICMP type 3 code 2); allow it in its rules"},
		{v4, 3, 1, "the next hop on the way there did not answer this host (ARP or neighbour discovery); see whether it is up"},
	} {
		icmp := sched.ICMP{From: c.by, Type: c.kind, Code: c.code, Word: icmpWord(c.kind, c.code, icmpWords4)}
		if f := withICMP(classify(unix.EHOSTUNREACH), icmp, v4, to); f.Text != c.want {
			t.Errorf("it is %q, want %q", f.Text, c.want)
		}
	}
}

// What a kernel could say otherwise is not taken for ICMP.
func TestICMPParsesNothingElse(t *testing.T) {
	for _, control := range [][]byte{nil, make([]byte, 16), make([]byte, 128), make([]byte, 40)} {
		if got := parseHeard(control); got != (sched.ICMP{}) {
			t.Errorf("%v is taken for %+v", control, got)
		}
	}
}
