package link

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Link is an [Emulator] that runs in a process of its own. [Start] makes one. All
// methods may be called from several goroutines. Once its process has died, each
// returns an error that says why.
type Link struct {
	process *exec.Cmd
	stderr  bytes.Buffer // the process's; to be read when it has ended
	ended   chan struct{}
	exit    error // of the process, when it has ended
	closed  atomic.Bool
	close   func() error
	control net.Conn

	mu      sync.Mutex // one request at a time
	replies *json.Decoder
	broken  error // why there can be no further request
}

const (
	// answerLimit is how long the link's process may take for an answer; it needs
	// well below a millisecond, and starts in some ten.
	answerLimit = 30 * time.Second

	// exitLimit is how long it may take to end.
	exitLimit = 3 * time.Second
)

// Start runs a link between two packet sockets, which carry whole Ethernet frames
// (sockets of AF_UNIX that keep messages apart do as well). They remain the
// caller's, to be closed at any time; nobody else may read from them.
//
// The link is this same program, run once more: see [Main].
func Start(client, server *os.File, cfg Config) (*Link, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("link: start: %w", err)
	}
	if !mainCalled.Load() {
		return nil, errors.New("link: start: this program would run itself for ever: call link.Main first thing in main or TestMain")
	}
	for _, socket := range []*os.File{client, server} {
		if err := prepare(socket); err != nil {
			return nil, fmt.Errorf("link: start: %w", err)
		}
	}
	l, err := start(client, server)
	if err != nil {
		return nil, fmt.Errorf("link: start: %w", err)
	}
	if _, err := l.ask(request{Start: &cfg}); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// start runs the process.
func start(client, server *os.File) (*Link, error) {
	control, theirs, err := controlSockets()
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }()
	l := &Link{ended: make(chan struct{}), control: control, replies: json.NewDecoder(control)}
	l.close = sync.OnceValue(l.shut)
	// A session of its own: kernels that share the processor out by sessions (autogroup)
	// give the link a share beside that of the program under test, however busy
	// that is. The terminal is not the link's either.
	l.process = &exec.Cmd{
		Path:        "/proc/self/exe",
		Args:        []string{marker},
		Env:         environment(),
		ExtraFiles:  []*os.File{client, server, theirs}, // clientSocket and so on
		Stderr:      &l.stderr,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := l.process.Start(); err != nil {
		return nil, errors.Join(err, control.Close())
	}
	go func() {
		l.exit = l.process.Wait()
		close(l.ended)
	}()
	return l, nil
}

// environment is as good as empty: what was meant for the program under test is
// not for the link. A program built with the race detector would wait for a
// second at its end.
func environment() []string {
	kept := []string{"GORACE=" + os.Getenv("GORACE") + " atexit_sleep_ms=0"}
	if dir, set := os.LookupEnv("GOCOVERDIR"); set {
		kept = append(kept, "GOCOVERDIR="+dir)
	}
	return kept
}

// controlSockets are connected to each other; theirs is for the link's process.
func controlSockets() (ours net.Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	file := os.NewFile(uintptr(fds[0]), "control")
	theirs = os.NewFile(uintptr(fds[1]), "control of the link")
	ours, err = net.FileConn(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// prepare asks the kernel to say when a frame came, and for room for those that
// wait: a burst must not get lost while the link's process has no core. Only the
// socket's being one is required.
func prepare(socket *os.File) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	const room = 8 << 20
	return raw.Control(func(fd uintptr) {
		for _, o := range []struct{ name, value int }{
			{unix.SO_TIMESTAMPNS, 1},
			{unix.SO_RCVBUF, room},
			{unix.SO_SNDBUF, room},
			{unix.SO_RCVBUFFORCE, room}, // beyond the system's limit, for root
			{unix.SO_SNDBUFFORCE, room},
		} {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, o.name, o.value)
		}
	})
}

// Set sets the path to a server address. When it returns, the link has it. The
// first one makes the address exist; before, it is unreachable.
func (l *Link) Set(addr netip.Addr, p Path) error {
	if err := p.Check(addr); err != nil { // NaN can't be sent
		return fmt.Errorf("link: path to %v: %w", addr, err)
	}
	_, err := l.ask(request{Set: &setting{addr, p}})
	return err
}

// Packets returns the log, in the order in which the packets were sent, and how
// many more there were for which it has no room. It has room for a million.
func (l *Link) Packets() (packets []Packet, leftOut int, err error) {
	for p := (pages{}); ; {
		r, err := l.ask(request{Packets: &p})
		if err != nil {
			return nil, 0, err
		}
		packets = append(packets, r.Packets...)
		if p = (pages{r.Next, r.End}); r.Next >= r.End {
			sortBySent(packets)
			return packets, r.LeftOut, nil
		}
	}
}

// Lateness returns how long after their time frames have left, oldest first: of
// the last 100,000.
func (l *Link) Lateness() ([]time.Duration, error) {
	var all []time.Duration
	for p := (pages{}); ; {
		r, err := l.ask(request{Lateness: &p})
		if err != nil {
			return nil, err
		}
		all = append(all, r.Lateness...)
		if p = (pages{r.Next, r.End}); r.Next >= r.End {
			return all, nil
		}
	}
}

// Close ends the link and its process; what is on its way is lost. The error says
// that the process had died before, or would not end. Later calls do nothing and
// return the same.
func (l *Link) Close() error { return l.close() }

func (l *Link) shut() error {
	l.closed.Store(true)
	_ = l.control.Close()
	if !l.endsWithin(exitLimit) {
		_ = l.process.Process.Kill()
		<-l.ended
		return fmt.Errorf("link: its process didn't end within %v and was killed", exitLimit)
	}
	if l.exit != nil {
		return l.death()
	}
	return nil
}

// ask sends a request and waits for the reply.
func (l *Link) ask(r request) (reply, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return reply{}, l.broken
	}
	answer, err := l.exchange(r)
	switch {
	case err != nil:
		l.broken = l.why(err)
		return reply{}, l.broken
	case answer.Error != "":
		return reply{}, errors.New(answer.Error)
	}
	return answer, nil
}

func (l *Link) exchange(r request) (answer reply, err error) {
	if err := l.control.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return answer, err
	}
	line, err := json.Marshal(r)
	if err != nil {
		return answer, err
	}
	if _, err := l.control.Write(append(line, '\n')); err != nil {
		return answer, err
	}
	return answer, l.replies.Decode(&answer)
}

// why finds the reason for which the control socket has failed.
func (l *Link) why(err error) error {
	switch {
	case l.closed.Load():
		return fmt.Errorf("link: %w", os.ErrClosed)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("link: its process gave no answer within %v", answerLimit)
	case l.endsWithin(exitLimit):
		return l.death()
	}
	return fmt.Errorf("link: its process doesn't listen: %w", err)
}

// death says how the process has ended and what it said.
func (l *Link) death() error {
	said := strings.TrimSpace(l.stderr.String())
	if said == "" {
		said = "it said nothing"
	}
	return fmt.Errorf("link: its process has died: %v: %s", l.process.ProcessState, said)
}

func (l *Link) endsWithin(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-l.ended:
		return true
	case <-timer.C:
		return false
	}
}
