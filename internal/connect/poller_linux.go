package connect

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/rawsock"
)

// poller is an epoll instance and the sockets that are registered with it, for one
// race at a time. It waits through Go's own poller: no thread blocks.
type poller struct {
	fd     int
	gate   gate        // of fd
	wakeFD int         // an eventfd
	rung   atomic.Bool // wakeFD has been written to, and not been read
	ports  uint32      // that sockets connect from, as IP_LOCAL_PORT_RANGE has it
	spare  int         // a descriptor kept for Take, which needs one more for a moment; or absent

	sockets []socket
	vacant  []int    // indexes of sockets without a descriptor
	idle    [2][]int // sockets without an attempt, by family
	stock   *stock   // that they count in
	events  [32]unix.EpollEvent

	flights []flight // room for the next race's
}

// socket is registered once, edge-triggered, and used for one attempt after another.
type socket struct {
	fd      int
	family  int // 0: IPv4, 1: IPv6
	attempt int // or free
}

const (
	// free is a socket without an attempt: an event of it is the echo of an earlier
	// one, since dissolving a connection leaves an error behind.
	free = -1
	// absent is the descriptor of no socket.
	absent = -1
	// maxIdleSockets bounds what the pollers of an engine keep. A kernel holds about 4 KB
	// for each.
	maxIdleSockets = 1024
	// wakeData marks the eventfd among the sockets' indexes.
	wakeData = -1
)

func newPoller(s *stock) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	g, err := newGate(fd)
	if err != nil {
		_ = unix.Close(fd) // nothing is lost
		return nil, err
	}
	p := &poller{stock: s, fd: fd, gate: g, wakeFD: absent, spare: absent, ports: portRange()}
	if err := p.prepareWake(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// prepareWake makes an eventfd that sends events, and a spare descriptor.
func (p *poller) prepareWake() (err error) {
	p.wakeFD, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC) // absent with an error
	if err != nil {
		return err
	}
	if err := p.register(p.wakeFD, wakeData, unix.EPOLLIN); err != nil {
		return err
	}
	return p.reserve()
}

// reserve makes sure that there is a spare descriptor.
func (p *poller) reserve() (err error) {
	if p.spare == absent {
		p.spare, err = unix.FcntlInt(uintptr(p.wakeFD), unix.F_DUPFD_CLOEXEC, 0) // -1 with an error
	}
	return err
}

// spend gives the spare descriptor back, for another to be opened.
func (p *poller) spend() {
	if p.spare != absent {
		_ = unix.Close(p.spare) // the eventfd itself stays
		p.spare = absent
	}
}

func (p *poller) register(fd, data int, events uint32) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events | unix.EPOLLET, Fd: int32(data)})
}

// take returns the index of an idle socket of the family, or of a new one. Whoever
// may get the connection gets one of a new socket.
func (p *poller) take(family int, fresh bool) (int, error) {
	p.gate.shut() // over loopback, connecting makes events before it returns
	if n := len(p.idle[family]); n > 0 && !fresh {
		i := p.idle[family][n-1]
		p.idle[family] = p.idle[family][:n-1]
		p.stock.remove(1)
		return i, nil
	}
	fd, err := newSocket(family, p.ports)
	if descriptorsAreOut(err) && p.shed() { // what is kept must not keep this one from its descriptor
		fd, err = newSocket(family, p.ports)
	}
	if err != nil {
		return 0, err
	}
	i := p.slot()
	if err := p.register(fd, i, unix.EPOLLOUT); err != nil {
		p.vacant = append(p.vacant, i)
		_ = unix.Close(fd) // the error that counts is the other one
		return 0, os.NewSyscallError("epoll_ctl", err)
	}
	p.sockets[i] = socket{fd: fd, family: family, attempt: free}
	return i, nil
}

func descriptorsAreOut(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
}

// shed closes an idle socket, if there is one.
func (p *poller) shed() bool {
	for family, idle := range p.idle {
		if n := len(idle); n > 0 {
			p.idle[family] = idle[:n-1]
			p.stock.remove(1)
			p.discard(idle[n-1])
			return true
		}
	}
	return false
}

// slot returns an index without a socket.
func (p *poller) slot() int {
	if n := len(p.vacant); n > 0 {
		i := p.vacant[n-1]
		p.vacant = p.vacant[:n-1]
		return i
	}
	p.sockets = append(p.sockets, socket{fd: absent, attempt: free})
	return len(p.sockets) - 1
}

// vacate makes the index of a socket that is gone free for another.
func (p *poller) vacate(i int) {
	p.sockets[i] = socket{fd: absent, attempt: free}
	p.vacant = append(p.vacant, i)
}

// newSocket makes one that keeps what ICMP says, and that finds a free port fast.
func newSocket(family int, ports uint32) (int, error) {
	domain := [2]int{unix.AF_INET, unix.AF_INET6}[family]
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return fd, os.NewSyscallError("socket", err)
	}
	hearICMP(fd, family, true)
	useAllPorts(fd, ports)
	return fd, nil
}

// release dissolves a socket's connection or attempt and keeps it for another. What
// was established is reset: a FIN would leave the port in TIME_WAIT on this host.
func (p *poller) release(i int) {
	s := &p.sockets[i]
	s.attempt = free
	p.gate.shut() // dissolving makes an event
	if !p.stock.add() {
		p.discard(i)
		return
	}
	if rawsock.Dissolve(s.fd) != 0 {
		p.stock.remove(1)
		p.discard(i)
		return
	}
	p.idle[s.family] = append(p.idle[s.family], i)
}

// discard closes a socket, with a RST if it is connected.
func (p *poller) discard(i int) {
	p.gate.shut()
	_ = rawsock.Dissolve(p.sockets[i].fd) // its connection would end with a FIN
	_ = unix.Close(p.sockets[i].fd)       // nothing was sent, so nothing can be lost
	p.vacate(i)
}

// detach takes a connected socket out of the poller and returns its descriptor.
func (p *poller) detach(i int) int {
	fd := p.sockets[i].fd
	// A descriptor made from this one would go on sending events.
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil)
	p.vacate(i)
	return fd
}

// collect returns what has happened, without waiting. The events are valid until the
// next call.
func (p *poller) collect() []unix.EpollEvent {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd),
			uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
		if errno == 0 {
			return p.events[:n]
		}
		if errno != unix.EINTR {
			return nil
		}
	}
}

// wait calls ready until it returns true, each time something has happened, or until
// d has passed; less than 0: without bound. It says whether ready returned true.
func (p *poller) wait(d time.Duration, ready func(uintptr) bool) bool {
	var due time.Time
	if d >= 0 {
		due = time.Now().Add(d)
	}
	return p.gate.wait(due, ready)
}

func (p *poller) idleSockets() int { return len(p.idle[0]) + len(p.idle[1]) }

// wake may be called by any goroutine. Neither it nor woken can block, so Go's
// scheduler need not know: it would wake the thread that watches over long calls.
func (p *poller) wake() {
	if p.rung.Swap(true) {
		return // collect has still to find that
	}
	one := uint64(1)
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(p.wakeFD), uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one)) //nolint:dogsled // three results of no use
}

// woken takes calls of wake back, and says whether there were any.
func (p *poller) woken() bool {
	if !p.rung.Load() {
		return false
	}
	var count uint64
	_, _, _ = unix.RawSyscall(unix.SYS_READ, uintptr(p.wakeFD), uintptr(unsafe.Pointer(&count)), unsafe.Sizeof(count)) //nolint:dogsled // three results of no use
	// Not before the read, which would take a later call's event, and rung would stay.
	p.rung.Store(false)
	return true
}

func (p *poller) close() {
	p.stock.remove(p.idleSockets())
	for i := range p.sockets {
		if p.sockets[i].fd != absent {
			p.discard(i)
		}
	}
	p.spend()
	if p.wakeFD != absent {
		_ = unix.Close(p.wakeFD)
	}
	p.gate.close()
	_ = unix.Close(p.fd)
}
