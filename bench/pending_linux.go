package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
)

// pendingRow is what attempts cost that nobody answers, while they wait.
type pendingRow struct {
	Attempts int             `json:"attempts"`
	Results  []pendingResult `json:"results"`
}

// pendingResult is in bytes of user memory for each attempt.
type pendingResult struct {
	Program  string  `json:"program"`
	InUse    *spread `json:"inUseBytes"`    // heap and stacks of a Go program, garbage aside
	Resident spread  `json:"residentBytes"` // what the process has of its own
}

// heldMemory is what a program prints when its attempts are pending.
type heldMemory struct {
	Pending       float64  `json:"pending"`
	InUseBytes    *float64 `json:"inUseBytes"`
	ResidentBytes float64  `json:"residentBytes"`
}

// Attempts that are pending: races side by side to as many endpoints as a request may
// have.
const pendingRaces = 10

// pendingCase has one dead address with many ports.
func pendingCase(lab *netlab.Lab) (benchCase, error) {
	dead := netip.AddrFrom4([4]byte{198, 19, 0, 1})
	if err := lab.SetPath(dead, link.Path{State: link.Blackhole}); err != nil {
		return benchCase{}, err
	}
	c := benchCase{Goal: all, Width: probeWidth, InFlight: pendingRaces}
	const firstPort = 1024
	for i := range probeWidth {
		c.Endpoints = append(c.Endpoints, netip.AddrPortFrom(dead, firstPort+uint16(i)))
	}
	return c, nil
}

// measurePending has the programs take turns.
func measurePending(c benchCase, programs []program, rounds int) (r pendingRow, err error) {
	r.Attempts = c.Width * c.InFlight
	var turns []func() (heldMemory, error)
	for _, p := range programs {
		if p.pending == nil {
			continue
		}
		r.Results = append(r.Results, pendingResult{Program: p.Name})
		turns = append(turns, func() (m heldMemory, err error) {
			if err := output(p.pending(c), &m); err != nil {
				return m, fmt.Errorf("%s: %w", p.Name, err)
			}
			if int(m.Pending) != r.Attempts {
				return m, fmt.Errorf("%s had %v attempts pending instead of %d", p.Name, m.Pending, r.Attempts)
			}
			return m, nil
		})
	}
	samples, err := takeTurns(rounds, turns)
	if err != nil {
		return r, err
	}
	for i := range r.Results {
		r.Results[i].sum(samples[i])
	}
	return r, nil
}

func (x *pendingResult) sum(samples []heldMemory) {
	x.Resident = spreadBy(samples, func(m heldMemory) float64 { return m.ResidentBytes / m.Pending })
	if samples[0].InUseBytes != nil {
		x.InUse = new(spreadBy(samples, func(m heldMemory) float64 { return *m.InUseBytes / m.Pending }))
	}
}

func (r pendingRow) print() {
	fmt.Printf("\nuser memory of each of %d attempts pending in a blackhole, bytes\n", r.Attempts)
	fmt.Printf("  %-18s %24s %28s\n", "", "heap and stacks in use", "resident (min - max)")
	for _, x := range r.Results {
		inUse := "-"
		if x.InUse != nil {
			inUse = fmt.Sprintf("%.0f", x.InUse.Median)
		}
		fmt.Printf("  %-18s %24s %28s\n", x.Program, inUse,
			fmt.Sprintf("%.0f (%.0f - %.0f)", x.Resident.Median, x.Resident.Min, x.Resident.Max))
	}
}

// pendingLimit is how many bytes an attempt may take.
const pendingLimit = 512

func (r pendingRow) bars() (bars []bar) {
	for _, x := range r.Results {
		if x.InUse != nil && x.Program != nameDialer {
			bars = append(bars, bar{
				Case:    fmt.Sprintf("%d pending attempts, bytes of heap and stacks for each", r.Attempts),
				Program: x.Program, Value: x.InUse.Median, Limit: pendingLimit,
			})
		}
	}
	return bars
}

// pendingWorker holds attempts that nobody answers.
const pendingWorker = "pending"

func workPending(args []string) (any, error) {
	flags := flag.NewFlagSet(pendingWorker, flag.ExitOnError)
	name := flags.String("program", "", "which one")
	to := flags.String("goal", string(all), "when a race is over")
	inFlight := flags.Int("in-flight", 1, "races side by side")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	endpoints, err := parseEndpoints(flags.Args())
	if err != nil {
		return nil, err
	}
	j := &job{endpoints: endpoints, goal: goal(*to), inFlight: *inFlight, boundary: boundaries()}
	open, errOpen := descriptors()
	before, err := memoryNow()
	if err := errors.Join(errOpen, err); err != nil {
		return nil, err
	}
	if err := begin(*name, j); err != nil {
		return nil, err
	}
	want := j.inFlight * len(endpoints)
	if err := untilSYNs(open + want); err != nil {
		return nil, err
	}
	after, err := memoryNow()
	if err != nil {
		return nil, err
	}
	return heldMemory{float64(want), new(*after.InUseBytes - *before.InUseBytes), after.ResidentBytes - before.ResidentBytes}, nil
}

// untilSYNs waits until so many descriptors are open, and a little longer: the SYN
// leaves after that.
func untilSYNs(n int) error {
	const pause, little = 10 * time.Millisecond, 500 * time.Millisecond
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pause) {
		open, err := descriptors()
		if err != nil {
			return err
		}
		if open >= n {
			time.Sleep(little)
			return nil
		}
	}
	return fmt.Errorf("less than %d descriptors were open within %v", n, patience)
}

// descriptors is how many are open, at least: a new one gets the lowest number that is
// free.
func descriptors() (int, error) {
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("fcntl", err)
	}
	return fd, os.NewSyscallError("close", unix.Close(fd))
}

// memoryNow is what this process has, when the garbage is gone.
func memoryNow() (m heldMemory, err error) {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return m, err
	}
	own, err := ownPages(string(text))
	m.InUseBytes = new(float64(stats.HeapInuse + stats.StackInuse))
	m.ResidentBytes = float64(own * os.Getpagesize())
	return m, err
}

// ownPages are those in memory that belong to no file, of /proc/self/statm: size,
// resident, shared and more, in pages.
func ownPages(statm string) (int, error) {
	fields := strings.Fields(statm)
	if len(fields) < 3 {
		return 0, fmt.Errorf("/proc/self/statm: %q", statm)
	}
	resident, errR := strconv.Atoi(fields[1])
	shared, errS := strconv.Atoi(fields[2])
	return resident - shared, errors.Join(errR, errS)
}
