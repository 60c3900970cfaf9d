package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// job is what a worker does. Races are counted when they are over, attempts when they
// start, or with their race where nothing tells of them before.
type job struct {
	endpoints                 []netip.AddrPort
	goal                      goal
	inFlight                  int
	races, attempts, failures atomic.Int64
	boundary                  chan struct{} // takes one when a race is over, if somebody waits
}

// boundaries are where a job's races end.
func boundaries() chan struct{} { return make(chan struct{}) }

// repeat does it again and again, inFlight times side by side, until the process
// ends.
func (j *job) repeat(do func()) {
	for range j.inFlight {
		go func() {
			for {
				do()
				j.over()
			}
		}()
	}
}

// over counts a race.
func (j *job) over() {
	j.races.Add(1)
	select {
	case j.boundary <- struct{}{}:
	default:
	}
}

// untilOver waits for d and then until a race is over: in flights of one, nothing is
// counted by halves.
func (j *job) untilOver(d time.Duration) error {
	time.Sleep(d)
	select {
	case <-j.boundary:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("no race was over within %v", patience)
	}
}

// patience bounds the wait for what takes a fraction of a second.
const patience = 30 * time.Second

// watch takes what happens within d after a time to warm up; without one, from the
// start on.
func (j *job) watch(start func() error, warm, d time.Duration) (sample, error) {
	before, err := j.total()
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	if err := start(); err != nil {
		return sample{}, err
	}
	if warm > 0 {
		if err := j.untilOver(warm); err != nil {
			return sample{}, err
		}
		if before, err = j.total(); err != nil {
			return sample{}, err
		}
		began = time.Now()
	}
	if err := j.untilOver(d); err != nil {
		return sample{}, err
	}
	wall := time.Since(began)
	after, err := j.total()
	return sample{
		UserMicros:   after.UserMicros - before.UserMicros,
		SystemMicros: after.SystemMicros - before.SystemMicros,
		WallMicros:   micros(wall),
		Races:        after.Races - before.Races,
		Attempts:     after.Attempts - before.Attempts,
		Failures:     after.Failures - before.Failures,
		Switches:     after.Switches - before.Switches,
		Allocations:  after.Allocations - before.Allocations,
	}, err
}

// total is what has come together since the process began.
func (j *job) total() (sample, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return sample{}, os.NewSyscallError("getrusage", err)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return sample{
		UserMicros:   float64(u.Utime.Nano()) / 1e3,
		SystemMicros: float64(u.Stime.Nano()) / 1e3,
		Races:        float64(j.races.Load()),
		Attempts:     float64(j.attempts.Load()),
		Failures:     float64(j.failures.Load()),
		Switches:     float64(u.Nvcsw + u.Nivcsw),
		Allocations:  float64(memory.Mallocs),
	}, nil
}

// profile begins a CPU profile, one for each sample.
func (j *job) profile(dir, name string) (stop func() error, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	pattern := fmt.Sprintf("%s-%d-%v-*.pprof", filepath.Base(name), len(j.endpoints), j.endpoints[0].Addr())
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
