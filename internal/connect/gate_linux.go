package connect

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// gate stands between an epoll instance and Go's poller. Were the instance itself
// parked there, each of its events would wake a thread that waits in Go's poller,
// also while nobody waits for the event: connecting and dissolving make one each.
type gate struct {
	inner  int             // the epoll instance
	outer  int             // another one, with inner in it
	file   *os.File        // of outer, in Go's poller
	parked syscall.RawConn // of file
	open   bool            // events of inner reach outer
	alarm  time.Time       // the deadline of file; zero: none
}

// newGate returns a gate that is shut. It fails when Go's poller does not take it:
// without that the deadlines of wait would not work.
func newGate(inner int) (gate, error) {
	outer, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return gate{}, err
	}
	_ = unix.SetNonblock(outer, true) // else os.NewFile keeps it from Go's poller; setAlarm tells
	g := gate{inner: inner, outer: outer, file: os.NewFile(uintptr(outer), "epoll")}
	err = unix.EpollCtl(outer, unix.EPOLL_CTL_ADD, inner, &unix.EpollEvent{})
	if err == nil {
		err = g.setAlarm(time.Time{})
	}
	if err == nil {
		g.parked, err = g.file.SyscallConn()
	}
	if err != nil {
		g.close()
	}
	return g, err
}

// wait calls ready until it returns true, first at once and then each time something
// has happened, or until due; zero: without bound. It says whether ready returned true.
func (g *gate) wait(due time.Time, ready func(uintptr) bool) bool {
	g.let(true) // before ready looks: nothing happens between the two unseen
	if !g.inTime(due) && g.setAlarm(due) != nil {
		return false
	}
	for g.parked.Read(ready) != nil {
		over := !due.IsZero() && !time.Now().Before(due)
		if over || g.setAlarm(due) != nil { // else the one that rang was an earlier wait's
			return false
		}
	}
	return true
}

// inTime says that the alarm will not ring after due. That it rings too early costs
// less than setting it for every wait, which can wake another thread of Go's.
func (g *gate) inTime(due time.Time) bool {
	if due.IsZero() || g.alarm.IsZero() {
		return due.IsZero()
	}
	return !g.alarm.After(due)
}

func (g *gate) setAlarm(due time.Time) error {
	g.alarm = due
	return g.file.SetReadDeadline(due)
}

// shut keeps events from Go's poller until somebody waits again.
func (g *gate) shut() { g.let(false) }

func (g *gate) let(through bool) {
	if g.open == through {
		return
	}
	e := unix.EpollEvent{Events: 0}
	if through {
		e.Events = unix.EPOLLIN | unix.EPOLLET
	}
	// It cannot fail, nor block: outer has inner in it.
	_, _, _ = unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(g.outer), unix.EPOLL_CTL_MOD, uintptr(g.inner), uintptr(unsafe.Pointer(&e)), 0, 0) //nolint:dogsled // three results of no use
	g.open = through
}

func (g *gate) close() { _ = g.file.Close() } // outer too
