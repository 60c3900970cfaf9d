package link

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// role makes the test binary another program.
const role = "CONNRACE_TEST_ROLE"

func TestMain(m *testing.M) {
	Main()
	if os.Getenv(role) == "holder" {
		hold()
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

func wantNil(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wires are the tests' ends of the link.
type wires [2]*os.File

// newWires returns both ends of two pairs of sockets that stand in for packet
// sockets: ours and the link's.
func newWires(kind int) (ours, theirs wires) {
	for i := range ours {
		fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
		must(err)
		must(unix.SetNonblock(fds[0], true))
		ours[i] = os.NewFile(uintptr(fds[0]), "ours")
		theirs[i] = os.NewFile(uintptr(fds[1]), "theirs")
	}
	return ours, theirs
}

func (w wires) close() {
	for _, f := range w {
		_ = f.Close()
	}
}

// send returns when it was before.
func (w wires) send(t testing.TB, from Side, raw []byte) time.Duration {
	t.Helper()
	before := monotonic()
	_, err := w[from].Write(raw)
	wantNil(t, err)
	return before
}

// receive returns when it was after.
func (w wires) receive(t testing.TB, at Side) ([]byte, time.Duration) {
	t.Helper()
	wantNil(t, w[at].SetReadDeadline(time.Now().Add(patience)))
	raw := make([]byte, 1<<17)
	n, err := w[at].Read(raw)
	wantNil(t, err)
	return raw[:n], monotonic()
}

// startLink starts a link that the test need not close.
func startLink(t testing.TB, kind int) (*Link, wires) {
	t.Helper()
	return startLinkWith(t, kind, 8<<20)
}

// startLinkWith leaves the link's sockets some room for what it sends.
func startLinkWith(t testing.TB, kind, room int) (*Link, wires) {
	t.Helper()
	ours, theirs := newWires(kind)
	l, err := Start(theirs[Client], theirs[Server], Config{Seed: 1, Router4: router4, Router6: router6})
	for _, f := range theirs {
		wantNil(t, unix.SetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_SNDBUF, room))
	}
	theirs.close()
	wantNil(t, err)
	t.Cleanup(func() {
		_ = l.Close()
		ours.close()
	})
	return l, ours
}

var kinds = map[string]int{"seqpacket": unix.SOCK_SEQPACKET, "datagram": unix.SOCK_DGRAM}

// A delay is kept exactly from below, by the link's own figures and by ours.
func TestLinkKeepsDelays(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			l, w := startLink(t, kind)
			for _, delay := range []time.Duration{0, ms, 20 * ms} {
				wantNil(t, l.Set(server4, Path{Delay: delay}))
				for range 5 {
					for from, raw := range map[Side][]byte{Client: tcp(server4, "S").frame(), Server: tcp(server4, "SA").reversed().frame()} {
						sent := w.send(t, from, raw)
						got, arrived := w.receive(t, from.peer())
						if !bytes.Equal(got, raw) {
							t.Fatal("the frame has changed")
						}
						if arrived-sent < delay {
							t.Errorf("from the %v it took %v, want %v", from, arrived-sent, delay)
						}
						packets, leftOut, err := l.Packets()
						wantNil(t, err)
						p := packets[len(packets)-1]
						if p.Sent < sent || p.Arrived-p.Sent < delay || p.Arrived > arrived || p.Fate != Delivered || p.By != from || leftOut != 0 {
							t.Errorf("it was sent at %v and received at %v; the log has %+v", sent, arrived, p)
						}
					}
				}
			}
			late, err := l.Lateness()
			wantNil(t, err)
			if len(late) != 30 || slices.Min(late) < 0 {
				t.Errorf("lateness is %v", late)
			}
			slices.Sort(late)
			t.Logf("late by %v in the middle, %v at most", late[len(late)/2], late[len(late)-1])
		})
	}
}

// A refusal comes both delays later, and an unknown host at once.
func TestLinkAnswers(t *testing.T) {
	l, w := startLink(t, unix.SOCK_SEQPACKET)
	wantNil(t, l.Set(server4, Path{Delay: 10 * ms, State: TCPReset}))
	sent := w.send(t, Client, tcp(server4, "S").frame())
	raw, arrived := w.receive(t, Client)
	if s := look(t, raw); s.src != server4 || s.protocol != 6 || arrived-sent < 20*ms {
		t.Errorf("after %v comes %+v", arrived-sent, s)
	}
	w.send(t, Client, tcp(server4, "S").frame())
	w.send(t, Client, tcp(server4, "S").frame()) // before the first one is answered
	w.receive(t, Client)
	w.receive(t, Client)
	packets, _, err := l.Packets()
	wantNil(t, err)
	if len(packets) != 6 || !slices.IsSortedFunc(packets, func(a, b Packet) int { return int(a.Sent - b.Sent) }) {
		t.Errorf("the log is %+v", packets)
	}
	w.send(t, Client, tcp(server6, "S").frame())
	raw, _ = w.receive(t, Client)
	if s := look(t, raw); s.src != router6 || s.protocol != 58 {
		t.Errorf("it answers %+v", s)
	}
}

// A frame came when the kernel had it, though the link's process has been busy
// otherwise: what it was late for is not added to the delay.
func TestLinkUsesTheKernelsTime(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			l, w := startLink(t, kind)
			wantNil(t, l.Set(server4, Path{Delay: 10 * ms}))
			l.stop(t)
			sent := w.send(t, Client, tcp(server4, "S").frame())
			after := monotonic()
			time.Sleep(200 * ms)
			wantNil(t, l.process.Process.Signal(unix.SIGCONT))
			_, arrived := w.receive(t, Server)
			packets, _, err := l.Packets()
			wantNil(t, err)
			// The kernel's tick and a step of the wall clock stay far below.
			if p := packets[0]; p.Sent < sent-ms || p.Sent > after+50*ms || arrived-sent < 10*ms {
				t.Errorf("sent between %v and %v, the link says %v; received at %v", sent, after, p.Sent, arrived)
			}
			late, err := l.Lateness()
			wantNil(t, err)
			if len(late) != 1 || late[0] < 100*ms {
				t.Errorf("the link was late by %v, want some 190 ms", late)
			}
		})
	}
}

// stop returns when the process has stopped.
func (l *Link) stop(t *testing.T) {
	t.Helper()
	wantNil(t, l.process.Process.Signal(unix.SIGSTOP))
	eventually(t, "stopped", func() bool { return state(l.process.Process.Pid) == "T" })
}

// What comes faster than it can go waits, and nothing is lost or overtaken.
func TestLinkUnderPressure(t *testing.T) {
	l, w := startLinkWith(t, unix.SOCK_SEQPACKET, 10_000)
	wantNil(t, l.Set(server4, Path{}))
	const n = 2000
	var sending sync.WaitGroup
	for from, p := range map[Side]packet{Client: tcp(server4, "A"), Server: tcp(server4, "A").reversed()} {
		sending.Go(func() {
			for i := range uint32(n) {
				_, err := w[from].Write(p.with(func(p *packet) { p.seq = i }).frame())
				must(err)
			}
		})
	}
	time.Sleep(50 * ms) // nobody reads: the link has to keep them
	for i := range uint32(n) {
		for _, to := range []Side{Client, Server} {
			raw, _ := w.receive(t, to)
			if got := look(t, raw).payload[4:8]; !bytes.Equal(got, []byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}) {
				t.Fatalf("frame %d to the %v is % x", i, to, got)
			}
		}
	}
	sending.Wait()
}

// Neither a side that takes nothing nor one that is gone costs a core.
func TestLinkDoesNotSpin(t *testing.T) {
	l, w := startLinkWith(t, unix.SOCK_SEQPACKET, 10_000)
	wantNil(t, l.Set(server4, Path{}))
	for i := range 3 {
		switch i {
		case 1: // fill what the socket takes
			for range 50 {
				w.send(t, Client, tcp(server4, "S").frame())
			}
		case 2:
			w.close()
		}
		before, began := cpu(t, l.process.Process.Pid), time.Now()
		time.Sleep(300 * ms)
		used := cpu(t, l.process.Process.Pid) - before
		if took := time.Since(began); used > took/2 {
			t.Errorf("case %d: it uses %v of %v", i, used, took)
		}
	}
	if err := l.Set(server4, Path{Delay: ms}); err != nil { // it lives on
		t.Error(err)
	}
}

// cpu is what a process has used, in ticks of 10 ms.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	fields := stat(pid)
	if len(fields) < 15 {
		t.Fatalf("process %d is gone", pid)
	}
	user, err := strconv.Atoi(fields[13])
	wantNil(t, err)
	system, err := strconv.Atoi(fields[14])
	wantNil(t, err)
	return time.Duration(user+system) * 10 * ms
}

// stat is /proc/PID/stat; the name of the link's process has no spaces.
func stat(pid int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Fields(string(text))
}

// state is empty if there is no such process.
func state(pid int) string {
	if fields := stat(pid); len(fields) > 2 {
		return fields[2]
	}
	return ""
}

// No frame is larger than 64 KiB, and one that is does no harm.
func TestLinkDropsGiants(t *testing.T) {
	l, w := startLink(t, unix.SOCK_SEQPACKET)
	wantNil(t, l.Set(server4, Path{}))
	giant := append(udp(server4, 60000).frame(), make([]byte, maxFrame)...)
	w.send(t, Client, giant)
	large := udp(server4, 60000).frame()
	w.send(t, Client, large)
	if got, _ := w.receive(t, Server); !bytes.Equal(got, large) {
		t.Errorf("%d bytes came, want %d", len(got), len(large))
	}
}

// A long log comes whole.
func TestLinkLongLog(t *testing.T) {
	l, w := startLink(t, unix.SOCK_SEQPACKET)
	wantNil(t, l.Set(server4, Path{}))
	const n = 5*packetsPerPage + 1
	for i := range n {
		w.send(t, Client, tcp(server4, "S").with(func(p *packet) { p.sport = uint16(i) }).frame())
		w.receive(t, Server)
	}
	packets, leftOut, err := l.Packets()
	wantNil(t, err)
	if len(packets) != n || leftOut != 0 {
		t.Fatalf("%d packets, %d left out, want %d", len(packets), leftOut, n)
	}
	for i, p := range packets {
		if p.From.Port() != uint16(i) || p.Fate != Delivered {
			t.Fatalf("packet %d is %+v", i, p)
		}
	}
	late, err := l.Lateness()
	wantNil(t, err)
	if len(late) != n {
		t.Errorf("%d values of lateness, want %d", len(late), n)
	}
}

// All methods at once.
func TestLinkConcurrently(t *testing.T) {
	l, w := startLink(t, unix.SOCK_SEQPACKET)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 50 {
				addr := netip.AddrFrom4([4]byte{198, 51, byte(i), byte(j)})
				if err := l.Set(addr, Path{Delay: time.Duration(j)}); err != nil {
					t.Error(err)
				}
				if _, _, err := l.Packets(); err != nil {
					t.Error(err)
				}
				if _, err := l.Lateness(); err != nil {
					t.Error(err)
				}
				w.send(t, Client, tcp(addr, "S").frame())
			}
		})
	}
	all.Go(func() {
		for range 200 {
			w.receive(t, Server)
		}
	})
	all.Wait()
	packets, _, err := l.Packets()
	wantNil(t, err)
	if len(packets) != 200 || !slices.IsSortedFunc(packets, func(a, b Packet) int { return int(a.Sent - b.Sent) }) {
		t.Errorf("%d packets", len(packets))
	}
	for _, p := range packets {
		if p.Fate != Delivered {
			t.Errorf("though its path was set: %+v", p)
		}
	}
}

func TestLinkWrongUse(t *testing.T) {
	l, w := startLink(t, unix.SOCK_SEQPACKET)
	for says, p := range map[string]Path{"Loss is NaN": {Loss: math.NaN()}, "Loss is +Inf": {Loss: math.Inf(1)}, "State is": {State: RejectRoute}} {
		if err := l.Set(server4, p); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	wantNil(t, l.Set(server4, Path{})) // it does no harm
	if _, err := Start(w[Client], w[Server], Config{Router4: router6}); err == nil || !strings.Contains(err.Error(), "Router4") {
		t.Errorf("a wrong Config: %v", err)
	}
	mainCalled.Store(false)
	defer mainCalled.Store(true)
	if _, err := Start(w[Client], w[Server], Config{}); err == nil || !strings.Contains(err.Error(), "call link.Main first") {
		t.Errorf("without Main: %v", err)
	}
}

// A closed file has no socket.
func TestStartFails(t *testing.T) {
	_, theirs := newWires(unix.SOCK_SEQPACKET)
	theirs.close()
	if _, err := Start(theirs[Client], theirs[Server], Config{}); err == nil || !strings.Contains(err.Error(), "use of closed file") {
		t.Errorf("Start: %v", err)
	}
}

// Whoever kills the process from outside is told in each later call.
func TestLinkKilled(t *testing.T) {
	l, _ := startLink(t, unix.SOCK_SEQPACKET)
	wantNil(t, l.Set(server4, Path{}))
	wantNil(t, l.process.Process.Kill())
	wantDeath(t, l, "its process has died: signal: killed")
}

// wantDeath holds that every call, the first one too, says why.
func wantDeath(t *testing.T, l *Link, says string) {
	t.Helper()
	for range 2 {
		_, _, inPackets := l.Packets()
		_, inLateness := l.Lateness()
		for name, err := range map[string]error{"Packets": inPackets, "Lateness": inLateness, "Set": l.Set(server4, Path{})} {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v, want %q", name, err, says)
			}
		}
	}
	for range 2 {
		if err := l.Close(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("Close: %v, want %q", err, says)
		}
	}
}

// What the process itself has to complain of is passed on.
func TestLinkComplains(t *testing.T) {
	file, err := os.Open(os.DevNull)
	wantNil(t, err)
	defer file.Close()
	l, err := Start(file, file, Config{})
	if err == nil {
		<-l.ended
		wantDeath(t, l, "its process has died: exit status 1: link: receive from the client: recvmsg: socket operation on non-socket")
	} else if !strings.Contains(err.Error(), "socket operation on non-socket") { // as soon as that
		t.Error(err)
	}
}

// Close leaves no process, descriptor or goroutine, whatever is under way.
func TestLinkCloseLeavesNothing(t *testing.T) {
	live := func() {
		ours, theirs := newWires(unix.SOCK_SEQPACKET)
		l, err := Start(theirs[Client], theirs[Server], Config{})
		wantNil(t, err)
		wantNil(t, l.Set(server4, Path{Delay: time.Minute}))
		ours.send(t, Client, tcp(server4, "S").frame())
		_, _, err = l.Packets()
		wantNil(t, err)
		wantNil(t, l.Close())
		if l.process.ProcessState == nil || state(l.process.Process.Pid) != "" {
			t.Error("its process is there")
		}
		wantNil(t, l.Close())
		ours.close()
		theirs.close()
		if err := l.Set(server4, Path{}); !errors.Is(err, os.ErrClosed) {
			t.Errorf("a closed link: %v", err)
		}
	}
	live()
	before := footprint(t)
	for range 5 {
		live()
	}
	for range 2 { // that don't start
		_, err := Start(os.Stdin, os.Stdin, Config{Router4: router6})
		if err == nil {
			t.Error("a wrong Config starts")
		}
	}
	eventually(t, "no more than before", func() bool {
		now := footprint(t)
		return now[0] <= before[0] && now[1] <= before[1] && now[2] <= before[2]
	})
}

// footprint is descriptors, goroutines and children.
func footprint(t *testing.T) [3]int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	wantNil(t, err)
	return [3]int{len(fds), runtime.NumGoroutine(), len(children(t, os.Getpid()))}
}

func children(t *testing.T, pid int) (pids []string) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	wantNil(t, err)
	for _, list := range lists {
		text, _ := os.ReadFile(list) // the thread may have ended
		pids = append(pids, strings.Fields(string(text))...)
	}
	return pids
}

// Close does not wait for a call, and the call says that the link is closed.
func TestLinkCloseDuringCalls(t *testing.T) {
	l, _ := startLink(t, unix.SOCK_SEQPACKET)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				if err := l.Set(server4, Path{}); err != nil {
					if !errors.Is(err, os.ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	time.Sleep(10 * ms)
	wantNil(t, l.Close())
	all.Wait()
}

// A process that does not end is killed, and Close says so.
func TestLinkThatHangs(t *testing.T) {
	l, _ := startLink(t, unix.SOCK_SEQPACKET)
	l.stop(t)
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "didn't end within") {
		t.Errorf("Close: %v", err)
	}
	if got := state(l.process.Process.Pid); got != "" {
		t.Errorf("the process is %s", got)
	}
}

// The signals of a terminal are the parent's business.
func TestLinkIgnoresTheTerminal(t *testing.T) {
	l, _ := startLink(t, unix.SOCK_SEQPACKET)
	for _, s := range []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM} {
		wantNil(t, l.process.Process.Signal(s))
	}
	time.Sleep(20 * ms)
	wantNil(t, l.Set(server4, Path{}))
}

// The process has what it needs and nothing else of the program under test.
func TestLinkInherits(t *testing.T) {
	t.Setenv("GORACE", "history_size=2")
	t.Setenv("SECRET", "of the program")
	l, _ := startLink(t, unix.SOCK_SEQPACKET)
	pid := l.process.Process.Pid
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	wantNil(t, err)
	if bytes.Contains(env, []byte("SECRET")) || !bytes.Contains(env, []byte("GORACE=history_size=2")) {
		t.Errorf("its environment is %q", env)
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	wantNil(t, err)
	sockets := 0
	for _, fd := range fds {
		if target, _ := os.Readlink(fd); strings.HasPrefix(target, "socket:") {
			sockets++
		}
	}
	if sockets != 3 {
		t.Errorf("it has %d sockets, want 3", sockets)
	}
}

// hold starts a link, says which its process is, and waits to be killed.
func hold() {
	ours, theirs := newWires(unix.SOCK_SEQPACKET)
	l, err := Start(theirs[Client], theirs[Server], Config{})
	must(err)
	must(l.Set(server4, Path{Delay: time.Minute}))
	_, err = ours[Client].Write(tcp(server4, "S").frame())
	must(err)
	fmt.Println(l.process.Process.Pid)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// A link does not outlive the process that started it, even one that is killed.
func TestLinkEndsWithItsParent(t *testing.T) {
	holder := exec.Command("/proc/self/exe")
	holder.Env = append(os.Environ(), role+"=holder")
	stdin, err := holder.StdinPipe()
	wantNil(t, err)
	defer stdin.Close()
	out, err := holder.StdoutPipe()
	wantNil(t, err)
	wantNil(t, holder.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	wantNil(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	wantNil(t, err)
	if got := state(pid); got == "" || got == "Z" {
		t.Fatalf("the link is %q while its parent lives", got)
	}
	wantNil(t, holder.Process.Kill())
	var exit *exec.ExitError
	if err := holder.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Errorf("the holder ended by %v", err)
	}
	eventually(t, "gone", func() bool { s := state(pid); return s == "" || s == "Z" })
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(ms) {
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}
