package main

import (
	"encoding/json"
	"flag"
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

// workerCommand makes this program one of the programs that are measured.
const workerCommand = "worker"

// job is what a worker does. Races are counted when they are over, attempts when they
// start.
type job struct {
	endpoints                 []netip.AddrPort
	inFlight                  int
	races, attempts, failures atomic.Int64
}

// workers are the Go programs, in the order of the table.
var workers = []string{nameBare, nameRacer, nameDialer}

// Names of the Go programs.
const (
	nameBare   = "internal/connect"
	nameRacer  = "racer"
	nameDialer = "net.Dialer"
)

// begin starts a worker's goroutines, which work until the process ends.
func begin(name string, j *job) error {
	switch name {
	case nameBare:
		return j.bare()
	case nameRacer:
		j.racer()
	case nameDialer:
		j.dialer()
	default:
		return fmt.Errorf("there is no program %q", name)
	}
	return nil
}

func work(args []string) error {
	flags := flag.NewFlagSet(workerCommand, flag.ExitOnError)
	name := flags.String("program", "", "which one")
	inFlight := flags.Int("in-flight", 1, "races side by side")
	warm := flags.Duration("warm", 0, "time before the measurement")
	measured := flags.Duration("measure", 0, "time measured")
	profile := flags.String("profile", "", "directory for a CPU profile")
	if err := flags.Parse(args); err != nil {
		return err
	}
	j := &job{inFlight: *inFlight}
	for _, text := range flags.Args() {
		endpoint, err := netip.ParseAddrPort(text)
		if err != nil {
			return err
		}
		j.endpoints = append(j.endpoints, endpoint)
	}
	if err := begin(*name, j); err != nil {
		return err
	}
	time.Sleep(*warm)
	if *profile != "" {
		stop, err := j.profile(*profile, *name)
		if err != nil {
			return err
		}
		defer stop()
	}
	s, err := j.watch(*measured)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

// watch takes what happens within d.
func (j *job) watch(d time.Duration) (sample, error) {
	before, err := j.total()
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	time.Sleep(d)
	wall := time.Since(began)
	after, err := j.total()
	return sample{
		UserMicros:   after.UserMicros - before.UserMicros,
		SystemMicros: after.SystemMicros - before.SystemMicros,
		WallMicros:   float64(wall.Nanoseconds()) / 1e3,
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
func (j *job) profile(dir, name string) (stop func(), err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	pattern := fmt.Sprintf("%s-%d-%v-*.pprof", filepath.Base(name), len(j.endpoints), j.endpoints[0].Addr())
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // what is missing is seen by who reads it
	}, nil
}
