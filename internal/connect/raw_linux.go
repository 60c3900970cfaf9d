package connect

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/internal/rawsock"
	"github.com/connrace/connrace/racer/sched"
)

// raw are attempts on raw sockets, all in the goroutine that owns the race but for
// the stages after TCP. A race that waits without any socket, for DNS or for its place
// among others, has no poller either.
type raw struct {
	race   Race
	engine *Engine
	poller *poller // nil: no flight has a socket
	crew   *crew   // nil: there are no stages after TCP

	flights []flight           // by attempt
	open    int                // flights that have a socket
	ready   func(uintptr) bool // look, for Go's poller
	news    bool               // something was posted since Wait last returned
	begun   int                // attempts
	taken   bool               // nobody takes another connection

	mu     sync.Mutex // for Wake: of the poller too
	closed bool
	nap    nap
}

// flight is an attempt.
type flight struct {
	socket int // its index; none: it is over
	start  time.Duration
	to     netip.AddrPort
	held   bool       // it is connected and may be taken
	said   unix.Errno // that was asked for while the handshake went on; 0: none
	stage  *staged
}

// staged is an attempt whose TCP handshake is done, in a race with stages after that.
// It waits for Proceed while it has a socket.
type staged struct {
	handshake

	cancel context.CancelFunc // gives its goroutine up; nil: it has none
}

// none is a flight without a socket.
const none = -1

// lookEvery is after how many starts those before are looked at: each start makes the
// news of them some microseconds later.
const lookEvery = 8

func (a *raw) Start(id int, to policy.Allowed) {
	if a.begun > 0 && a.begun%lookEvery == 0 && a.poller != nil {
		a.news = a.look()
	}
	a.begun++
	i, err := a.socket(to)
	for len(a.flights) <= id {
		a.flights = append(a.flights, flight{socket: none})
	}
	if err != nil {
		a.fail(id, err)
		return
	}
	a.begin(id, i, to)
}

// socket returns the index of one that may connect to there.
func (a *raw) socket(to policy.Allowed) (int, error) {
	if to == (policy.Allowed{}) {
		return 0, errUnchecked
	}
	i, err := a.take(familyOf(to))
	if descriptorsAreOut(err) { // what other races have left must not keep this one from its own
		a.engine.Close()
		i, err = a.take(familyOf(to))
	}
	if err != nil {
		return 0, err
	}
	if err := a.race.Source.apply(a.poller.sockets[i].fd, familyOf(to)); err != nil {
		a.poller.discard(i)
		return 0, err
	}
	return i, nil
}

// take returns the index of a socket, in a poller that it gets where there is none.
func (a *raw) take(family int) (int, error) {
	if a.poller == nil {
		p, err := a.engine.poller()
		if err != nil {
			return 0, err
		}
		a.attach(p)
	}
	return a.poller.take(family, a.fresh())
}

// attach takes a poller into use.
func (a *raw) attach(p *poller) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.poller = p
	a.news = a.nap.end() || a.news
	if cap(p.flights) > cap(a.flights) {
		a.flights, p.flights = append(p.flights[:0], a.flights...), nil
	}
}

// detach gives the poller back.
func (a *raw) detach() {
	a.mu.Lock()
	p := a.poller
	a.poller = nil
	if p.woken() {
		a.nap.wake()
	}
	a.mu.Unlock()
	a.engine.keep(p)
}

// fresh says that sockets are new: somebody may get them, or they are set up for this
// race.
func (a *raw) fresh() bool { return a.race.Keep || a.single() }

// single says that sockets serve no other race: a goroutine has had them, or they are
// set up for this one.
func (a *raw) single() bool { return a.race.Stage != nil || a.race.Source != (Source{}) }

func (a *raw) begin(id, i int, to policy.Allowed) {
	s, f := &a.poller.sockets[i], &a.flights[id]
	s.attempt = id
	f.socket, f.to, f.start = i, to.Endpoint(), a.race.Now()
	a.open++
	errno := rawsock.Connect(s.fd, f.to)
	if errno != 0 && errno != unix.EINPROGRESS && !hasLeft(errno) {
		a.letGo(f, false)
		a.post(sched.Event{Kind: sched.Failed, At: a.race.Now(), Attempt: id, Failure: a.unsent(errno)})
		return
	}
	a.post(sched.Event{Kind: sched.Started, At: f.start, Attempt: id})
	switch errno {
	case 0:
		a.happened(i)
	case unix.EINPROGRESS:
	default:
		a.refused(id, errno, heard(a.poller.sockets[a.flights[id].socket].fd, a.flights[id].to), 0)
	}
}

// hasLeft says that a connect that has failed at once had sent its SYN: an answer to
// it came before the call returned, as it does on loopback.
func hasLeft(errno unix.Errno) bool {
	return errno == unix.ECONNREFUSED || errno == unix.ECONNRESET || errno == unix.ETIMEDOUT
}

// unsent is why this host has sent nothing. With a source that was asked for, it is
// about that, and not about the way to the target.
func (a *raw) unsent(errno unix.Errno) sched.Failure {
	f := classify(errno)
	if a.race.Source == (Source{}) {
		return f
	}
	f.Fault = sched.FaultHost
	switch errno {
	case unix.ENETUNREACH:
		f.Text = "this host has no route from the source that was asked for; add one, or give another source"
	case unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL: // a route that is unreachable, prohibit or blackhole
		f.Text = "a route of this host forbids it from the source that was asked for; `ip route get` shows which"
	default:
		f.Text = "from the source that was asked for: " + f.Text
	}
	return f
}

func (a *raw) Proceed(id int) {
	f := &a.flights[id]
	if f.stage == nil || f.socket == none {
		return // it is over, or under way
	}
	conn, err := a.extract(f)
	if err != nil {
		a.post(sched.Event{
			Kind: sched.Failed, At: a.race.Now(), Attempt: id,
			Local: f.stage.local, Kernel: f.stage.kernel, Failure: Classify(err),
		})
		return
	}
	if !a.race.Polite {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
	var ctx context.Context
	ctx, f.stage.cancel = context.WithCancel(context.Background())
	stage := *f.stage
	stage.conn = conn
	a.crew.wg.Go(func() {
		defer stage.cancel()
		a.crew.carryOut(ctx, id, stage.handshake)
	})
}

func (a *raw) Cancel(id int) {
	f := &a.flights[id]
	switch {
	case f.stage != nil && f.stage.cancel != nil:
		f.stage.cancel()
	case f.socket == none: // its outcome is under way
	case f.held || f.stage != nil:
		a.abandon(id)
	default:
		a.giveUp(id)
	}
}

// giveUp ends an attempt whose handshake is not known to be done. A loser can connect
// or fail in the instant it is cancelled, and the server has seen it.
func (a *raw) giveUp(id int) {
	f := &a.flights[id]
	info, known := tcpInfo(a.poller.sockets[f.socket].fd)
	if known && !handshaking(&info) {
		a.settled(id, &info, known)
		a.abandon(id)
		return
	}
	e := sched.Event{Kind: sched.Cancelled, At: a.race.Now()}
	if known {
		e.Local, e.Kernel = unanswered(a.poller.sockets[f.socket].fd, &info)
	}
	a.land(id, e)
}

func (a *raw) Standing(id int) (local netip.AddrPort, kernel sched.Kernel) {
	if id >= len(a.flights) || a.flights[id].socket == none {
		return local, kernel
	}
	fd := a.poller.sockets[a.flights[id].socket].fd
	if info, known := tcpInfo(fd); known && handshaking(&info) { // else its news is under way
		return unanswered(fd, &info)
	}
	return local, kernel
}

// abandon closes what has connected. It has reported that, or waits for Proceed.
func (a *raw) abandon(id int) {
	f := &a.flights[id]
	switch {
	case f.held:
		a.lose(f)
	case f.stage != nil && f.socket != none:
		a.land(id, sched.Event{Kind: sched.Cancelled, At: a.race.Now(), Local: f.stage.local, Kernel: f.stage.kernel})
	}
}

// letGo gives back the socket of an attempt, which may have connected.
func (a *raw) letGo(f *flight, connected bool) {
	i := f.socket
	f.socket = none
	a.open--
	switch {
	case connected && a.race.Polite:
		a.poller.finish(i)
	case a.single(), connected && a.race.Keep:
		a.poller.discard(i)
	default:
		a.poller.release(i)
	}
}

func (a *raw) Wait(due time.Duration, bounded bool) {
	if a.poller != nil && a.look() { // over a short way the answer is there already
		return
	}
	left := time.Duration(-1)
	if bounded {
		if left = due - a.race.Now(); left <= 0 {
			return
		}
	}
	if a.poller != nil && a.open == 0 {
		a.detach()
	}
	a.sleep(left)
	if a.crew != nil && bounded {
		a.crew.catchUp(due)
	}
	a.news = false
}

// sleep waits for news or Wake, or for that long; less than 0: without bound. A process
// that stood still may hear that the time is over before it hears what came in time.
func (a *raw) sleep(d time.Duration) {
	if a.poller == nil {
		a.doze(d)
	} else if !a.poller.wait(d, a.ready) {
		a.look()
	}
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
	if s.attempt == free || a.flights[s.attempt].held || a.flights[s.attempt].stage != nil {
		return
	}
	info, known := tcpInfo(s.fd)
	a.settled(s.attempt, &info, known)
}

// settled looks at what the kernel knows of an attempt. A connection has come about
// whatever the network said meanwhile, so it is not asked for an error.
func (a *raw) settled(id int, info *unix.TCPInfo, known bool) {
	goesOn := known && handshaking(info)
	if !known || info.State != tcpEstablished {
		f := &a.flights[id]
		fd := a.poller.sockets[f.socket].fd
		if errno := pendingError(fd); errno != 0 {
			icmp := heard(fd, f.to)
			if !goesOn || icmp.From.IsValid() {
				a.refused(id, errno, icmp, repeats(info))
				return
			}
			// It was said to an earlier attempt, for dissolving leaves it; or to this one just
			// now, and then it is not said again: a kernel notes the error before the state.
			f.said = errno
			return
		}
		if known && info.State == tcpClosed {
			a.refused(id, cmp.Or(f.said, unix.ECONNREFUSED), sched.ICMP{}, repeats(info))
			return
		}
	}
	if known && !goesOn { // else the echo of an earlier attempt: a reused socket keeps an event
		a.connected(id, info)
	}
}

// connected reports a handshake that is done, by the kernel's clock: the SYN left when
// the attempt started, and the answer came a round trip later, whenever this process
// got to know.
func (a *raw) connected(id int, info *unix.TCPInfo) {
	f := &a.flights[id]
	local := rawsock.LocalEnd(a.poller.sockets[f.socket].fd)
	if local == f.to { // nothing listens, and the port was free for the SYN to leave from
		a.refused(id, unix.ECONNREFUSED, sched.ICMP{}, repeats(info))
		return
	}
	e := sched.Event{Kind: sched.Connected, Noticed: a.race.Now(), Local: local, Kernel: facts(info)}
	e.At = e.Noticed
	if e.Kernel.RTT > 0 && e.Kernel.SYNRepeats == 0 {
		e.At = min(e.At, f.start+e.Kernel.RTT)
	}
	if a.race.Stage != nil {
		a.progress(id, e)
		return
	}
	a.land(id, e)
}

// progress reports that TCP is up, and keeps the connection for Proceed.
func (a *raw) progress(id int, e sched.Event) {
	f := &a.flights[id]
	f.stage = &staged{handshake: handshake{local: e.Local, kernel: e.Kernel}}
	a.settle(f)
	e.Kind, e.Attempt = sched.Progressed, id
	a.post(e)
}

// settle makes a connection that is kept an ordinary one: it rides out what ICMP says.
func (a *raw) settle(f *flight) {
	s := &a.poller.sockets[f.socket]
	hearICMP(s.fd, s.family, false)
}

// refused reports a handshake that has failed after so many repeats of its SYN, and what
// the network said of it.
func (a *raw) refused(id int, errno unix.Errno, icmp sched.ICMP, repeats int) {
	f, failure := &a.flights[id], classify(errno)
	local := localEnd(a.poller.sockets[f.socket].fd)
	if icmp.From.IsValid() {
		failure = withICMP(failure, icmp, local.Addr(), f.to.Addr())
	}
	a.land(id, sched.Event{
		Kind: sched.Failed, At: a.race.Now(),
		Local: local, Kernel: sched.Kernel{SYNRepeats: repeats}, Failure: failure,
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
	if f.held {
		a.settle(f)
	} else {
		a.letGo(f, e.Kind == sched.Connected || f.stage != nil)
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
	switch {
	case a.closed:
	case a.poller != nil:
		a.poller.wake()
	default:
		a.nap.wake()
	}
}

func (a *raw) Close() {
	if a.shut() {
		return
	}
	for id := range a.flights {
		a.Cancel(id)
	}
	if a.crew != nil {
		a.crew.wait()
		clear(a.flights) // what they point to is not for the next race
	}
	if a.poller == nil {
		return
	}
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
