package link

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	maxFrame = 64 << 10

	// batch is how many frames are read from one side before those that are due
	// get their turn.
	batch = 64

	// busyWait is how long a side without room to send is left alone.
	busyWait = 100 * time.Microsecond
)

// relay is the link's process: an emulator, the sockets of its two sides, and the
// control socket.
type relay struct {
	emulator *Emulator // nil until the first request
	sides    [2]socket // by Side
	control  control

	// asleep is when the relay last went to sleep, woke when it woke up from that, and
	// offset what the monotonic clock is ahead of the real-time clock, as far as is known.
	asleep time.Duration
	woke   time.Duration
	offset time.Duration

	busy  bool // a side had no room to send
	frame []byte
	extra []byte // a frame's control messages
}

func newRelay(client, server, controls int) *relay {
	return &relay{
		sides:   [2]socket{{fd: int32(client)}, {fd: int32(server)}},
		control: control{fd: controls},
		offset:  math.MaxInt64, // more than any look allows
		frame:   make([]byte, maxFrame),
		extra:   make([]byte, 256),
	}
}

// run returns when the other end of the control socket is closed.
func (r *relay) run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sharpen()
	for {
		if err := r.wait(); err != nil {
			return err
		}
		if r.emulator != nil {
			if err := r.receive(); err != nil {
				return err
			}
			r.send()
		}
		over, err := r.obey()
		if over || err != nil {
			return err
		}
	}
}

// sharpen has the kernel wake this thread to the nanosecond instead of within 50
// microseconds, and let it run soon though others are busy: by a short slice, in
// kernels that take such a wish (6.12 and later). Where that fails the link is
// later.
func sharpen() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	const slice = 100 * time.Microsecond // the least that can be had
	if attr, err := unix.SchedGetAttr(0, 0); err == nil {
		attr.Runtime = uint64(slice)
		_ = unix.SchedSetAttr(0, attr, 0)
	}
}

// wait sleeps until there is something to do.
func (r *relay) wait() error {
	fds := []unix.PollFd{
		{Fd: r.sides[Client].fd, Events: unix.POLLIN},
		{Fd: r.sides[Server].fd, Events: unix.POLLIN},
		{Fd: int32(r.control.fd), Events: unix.POLLIN},
	}
	if r.emulator == nil { // frames have to wait for it
		fds = fds[2:]
	}
	limit := r.timeout()
	r.asleep = monotonic()
	_, err := unix.Ppoll(fds, limit, nil)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return os.NewSyscallError("ppoll", err)
	}
	before := monotonic()
	wall := realtime()
	r.woke = monotonic()
	r.offset = within(r.offset, before-wall, r.woke-wall)
	r.control.ready = fds[len(fds)-1].Revents != 0
	if r.emulator != nil {
		r.sides[Client].ready = fds[Client].Revents != 0
		r.sides[Server].ready = fds[Server].Revents != 0
	}
	return nil
}

// within is the offset nearest to the one so far that another look at the clocks
// allows. One that was interrupted allows many, and leaves it as it is: frames keep
// the order of the kernel's stamps as long as nobody sets the clock.
func within(offset, least, most time.Duration) time.Duration {
	return min(max(offset, least), most)
}

// timeout is how long to sleep; nil is for ever.
func (r *relay) timeout() *unix.Timespec {
	if r.emulator == nil {
		return nil
	}
	due, ok := r.emulator.Next()
	if !ok {
		return nil
	}
	left := max(due-monotonic(), 0)
	if r.busy {
		left = max(left, busyWait)
	}
	t := unix.NsecToTimespec(int64(left))
	return &t
}

// receive takes in what has come from both sides.
func (r *relay) receive() error {
	for _, from := range []Side{Client, Server} {
		s := &r.sides[from]
		for range batch {
			if !s.ready {
				s.empty = r.asleep // and not woke: since the kernel looked, others may have had the core
				break
			}
			if err := r.receiveOne(from); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *relay) receiveOne(from Side) error {
	s := &r.sides[from]
	size, extra, flags, _, err := unix.Recvmsg(int(s.fd), r.frame, r.extra, unix.MSG_DONTWAIT)
	switch {
	case errors.Is(err, unix.EINTR):
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENETDOWN): // down: it may come up again
		s.ready = false
	case errors.Is(err, unix.ECONNRESET), err == nil && size == 0:
		s.gone()
	case err != nil:
		return fmt.Errorf("link: receive from the %v: %w", from, os.NewSyscallError("recvmsg", err))
	case flags&unix.MSG_TRUNC != 0: // no frame is that large
	default:
		r.emulator.Arrive(r.arrival(s, r.extra[:extra]), from, r.frame[:size])
	}
	return nil
}

// arrival is when a frame came: by the kernel, which says it in a control message
// by the real-time clock, or now. It is between the time when the socket was seen
// empty last and now, whatever that clock does.
func (r *relay) arrival(s *socket, extra []byte) time.Duration {
	// The kernel looks at its clock some time before the frame gets to the socket.
	const inside = 10 * time.Millisecond
	stamp, ok := timestamp(extra)
	if !ok {
		return monotonic()
	}
	at := stamp + r.offset
	if at > r.woke {
		at = min(at, monotonic())
	}
	return max(at, s.empty-inside)
}

// timestamp finds an SO_TIMESTAMPNS, since 1970.
func timestamp(extra []byte) (time.Duration, bool) {
	for len(extra) >= unix.CmsgLen(0) {
		header, data, rest, err := unix.ParseOneSocketControlMessage(extra)
		if err != nil {
			return 0, false
		}
		var t unix.Timespec
		if header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(t)) {
			t = *(*unix.Timespec)(unsafe.Pointer(&data[0]))
			return time.Duration(t.Nano()), true
		}
		extra = rest
	}
	return 0, false
}

// send lets go what is due. It may become late while others are sent, so each has
// its own look at the clock.
func (r *relay) send() {
	r.busy = false
	for r.emulator.Leave(monotonic(), r.sendOne) {
	}
}

func (r *relay) sendOne(to Side, frame []byte) error {
	for {
		err := unix.Send(int(r.sides[to].fd), frame, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS):
			r.busy = true
			return ErrBusy
		}
		return err
	}
}

// socket carries the frames of one side.
type socket struct {
	fd    int32         // -1 when its other end is gone
	ready bool          // there may be something to read
	empty time.Duration // when there was certainly nothing
}

// gone says that nobody will ever send again. It happens to sockets of AF_UNIX.
func (s *socket) gone() { s.fd, s.ready = -1, false }
