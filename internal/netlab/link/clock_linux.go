package link

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Clock turns the link's times into the process's own. [NewClock] makes one.
type Clock struct {
	now  time.Time
	mono time.Duration // the monotonic clock at now
}

// NewClock compares the two clocks, which takes some microseconds. Times of one
// Clock may be subtracted from each other, and from time.Now.
func NewClock() Clock {
	var best Clock
	closest := time.Duration(-1)
	for range 10 { // one of them is not interrupted
		before := time.Now()
		mono := monotonic()
		took := time.Since(before)
		if closest < 0 || took < closest {
			best, closest = Clock{before.Add(took / 2), mono}, took
		}
	}
	return best
}

// At returns the time at which the monotonic clock shows mono.
func (c Clock) At(mono time.Duration) time.Time { return c.now.Add(mono - c.mono) }

// monotonic is CLOCK_MONOTONIC.
func monotonic() time.Duration { return clock(unix.CLOCK_MONOTONIC) }

// realtime is CLOCK_REALTIME since 1970.
func realtime() time.Duration { return clock(unix.CLOCK_REALTIME) }

func clock(id int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		panic(os.NewSyscallError("clock_gettime", err)) // every kernel has both
	}
	return time.Duration(t.Nano())
}
