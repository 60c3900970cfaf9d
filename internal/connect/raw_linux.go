package connect

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/internal/rawsock"
	"github.com/connrace/connrace/racer/sched"
)

// raw are attempts on raw sockets, all in the goroutine that owns the race.
type raw struct {
	race   Race
	engine *Engine
	poller *poller

	flights []flight           // by attempt
	ready   func(uintptr) bool // look, for Go's poller
	news    bool               // something was posted since Wait last returned
	taken   bool               // nobody takes another connection

	mu     sync.Mutex // for Wake
	closed bool
}

// flight is an attempt.
type flight struct {
	socket int // its index; none: it is over
	start  time.Duration
	to     netip.AddrPort
	held   bool // it is connected and may be taken
}

// none is a flight without a socket.
const none = -1

func (a *raw) Start(id int, to policy.Allowed) {
	for len(a.flights) <= id {
		a.flights = append(a.flights, flight{socket: none})
	}
	if to == (policy.Allowed{}) {
		a.fail(id, errUnchecked)
		return
	}
	family := 0
	if to.Endpoint().Addr().Is6() {
		family = 1
	}
	i, err := a.poller.take(family, a.race.Keep)
	if descriptorsAreOut(err) { // what other races have left must not keep this one from its own
		a.engine.Close()
		i, err = a.poller.take(family, a.race.Keep)
	}
	if err != nil {
		a.fail(id, err)
		return
	}
	a.begin(id, i, to)
}

func (a *raw) begin(id, i int, to policy.Allowed) {
	s, f := &a.poller.sockets[i], &a.flights[id]
	s.attempt = id
	f.socket, f.to, f.start = i, to.Endpoint(), a.race.Now()
	errno := rawsock.Connect(s.fd, f.to)
	if errno != 0 && errno != unix.EINPROGRESS && !hasLeft(errno) {
		a.poller.release(i)
		f.socket = none
		a.post(sched.Event{Kind: sched.Failed, At: a.race.Now(), Attempt: id, Failure: classify(errno)})
		return
	}
	a.post(sched.Event{Kind: sched.Started, At: f.start, Attempt: id})
	switch errno {
	case 0:
		a.connected(id)
	case unix.EINPROGRESS:
	default:
		a.refused(id, errno)
	}
}

// hasLeft says that a connect that has failed at once had sent its SYN: an answer to
// it came before the call returned, as it does on loopback.
func hasLeft(errno unix.Errno) bool {
	return errno == unix.ECONNREFUSED || errno == unix.ECONNRESET || errno == unix.ETIMEDOUT
}

func (a *raw) Cancel(id int) {
	f := &a.flights[id]
	if f.socket == none {
		return // its outcome is under way
	}
	if f.held {
		a.lose(f)
		return
	}
	// A loser can connect or fail in the instant it is cancelled, and the server has
	// seen it.
	info, known := tcpInfo(a.poller.sockets[f.socket].fd)
	if known && info.State != tcpSynSent {
		a.happened(f.socket)
		a.lose(f)
		return
	}
	e := sched.Event{Kind: sched.Cancelled, At: a.race.Now()}
	if known {
		e.Kernel = facts(&info)
	}
	a.land(id, e)
}

func (a *raw) Take(id int) net.Conn {
	if id >= len(a.flights) || !a.flights[id].held {
		return nil
	}
	f := &a.flights[id]
	fd := a.poller.detach(f.socket)
	*f = flight{socket: none}
	a.taken = true
	a.drop()
	a.poller.spend()
	defer func() { _ = a.poller.reserve() }() // else the next race has none to spare
	file := os.NewFile(uintptr(fd), "tcp")
	defer func() { _ = file.Close() }() // FileConn has a descriptor of its own
	conn, err := net.FileConn(file)
	if err != nil {
		return nil
	}
	return conn
}

// drop closes connections that nobody takes.
func (a *raw) drop() {
	for id := range a.flights {
		a.lose(&a.flights[id])
	}
}

// lose closes a connection if it is held for Take.
func (a *raw) lose(f *flight) {
	if f.held {
		a.poller.discard(f.socket)
		*f = flight{socket: none}
	}
}

func (a *raw) Wait(due time.Duration, bounded bool) {
	if a.look() { // over a short way the answer is there already
		return
	}
	left := time.Duration(-1)
	if bounded {
		if left = due - a.race.Now(); left <= 0 {
			return
		}
	}
	a.poller.wait(left, a.ready)
	a.news = false
}

// look takes in what has happened and says whether Wait can return.
func (a *raw) look() bool {
	woken := a.news
	for full := true; full; {
		events := a.poller.collect()
		full = len(events) == len(a.poller.events)
		for i := range events {
			if events[i].Fd == wakeData {
				a.poller.woken()
				woken = true
				continue
			}
			a.happened(int(events[i].Fd))
		}
	}
	woken = woken || a.news
	a.news = false
	return woken
}

// happened looks at a socket that has an event.
func (a *raw) happened(i int) {
	s := &a.poller.sockets[i]
	if s.attempt == free || a.flights[s.attempt].held {
		return
	}
	id := s.attempt
	if errno := pendingError(s.fd); errno != 0 {
		a.refused(id, errno)
		return
	}
	a.connected(id)
}

// connected reports a handshake that is done, by the kernel's clock: the SYN left when
// the attempt started, and the answer came a round trip later, whenever this process
// got to know.
func (a *raw) connected(id int) {
	f := &a.flights[id]
	info, known := tcpInfo(a.poller.sockets[f.socket].fd)
	if !known || info.State == tcpSynSent {
		return // the echo of an earlier attempt: a reused socket keeps an event
	}
	local := rawsock.LocalEnd(a.poller.sockets[f.socket].fd)
	if local == f.to { // nothing listens, and the port was free for the SYN to leave from
		a.refused(id, unix.ECONNREFUSED)
		return
	}
	e := sched.Event{Kind: sched.Connected, Noticed: a.race.Now(), Local: local, Kernel: facts(&info)}
	e.At = e.Noticed
	if e.Kernel.RTT > 0 && e.Kernel.SYNRepeats == 0 {
		e.At = min(e.At, f.start+e.Kernel.RTT)
	}
	a.land(id, e)
}

func (a *raw) refused(id int, errno unix.Errno) {
	a.land(id, sched.Event{
		Kind: sched.Failed, At: a.race.Now(), Failure: classify(errno),
	})
}

// fail reports an attempt that has sent nothing.
func (a *raw) fail(id int, err error) {
	a.post(sched.Event{Kind: sched.Failed, At: a.race.Now(), Attempt: id, Failure: Classify(err)})
}

// land reports the one outcome of an attempt and lets its socket go, unless its
// connection may be taken.
func (a *raw) land(id int, e sched.Event) {
	f := &a.flights[id]
	e.Attempt = id
	f.held = e.Kind == sched.Connected && a.race.Keep && !a.taken
	if !f.held {
		a.poller.release(f.socket)
		f.socket = none
	}
	a.post(e)
}

func (a *raw) post(e sched.Event) {
	a.news = true
	a.race.Post(e)
}

func (a *raw) Wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.poller.wake()
	}
}

func (a *raw) Close() {
	if a.shut() {
		return
	}
	for id := range a.flights {
		if f := &a.flights[id]; f.socket != none && !f.held {
			a.land(id, sched.Event{Kind: sched.Cancelled, At: a.race.Now()})
		}
	}
	a.drop()
	a.poller.woken() // by nobody who is still there
	a.poller.flights, a.flights = a.flights, nil
	a.engine.keep(a.poller)
}

// shut keeps Wake from the poller, which will serve another race, and says whether
// it has been kept before.
func (a *raw) shut() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.closed
	a.closed = true
	return before
}
