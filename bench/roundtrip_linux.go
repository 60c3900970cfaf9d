package main

import (
	"flag"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/connrace/connrace/internal/connect"
	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer/sched"
)

// roundTripRow is what the kernel and the process say of handshakes of a known length.
type roundTripRow struct {
	Handshake  float64 `json:"handshakeMs"` // the lab's
	Busy       bool    `json:"busy"`        // the process has all cores at work
	Connects   int     `json:"connects"`
	Kernel     spread  `json:"kernelMs"`    // tcpi_rtt
	Process    spread  `json:"processMs"`   // from the start to the moment the process knew
	KernelP90  float64 `json:"kernelP90Ms"` // nine tenths are no longer
	ProcessP90 float64 `json:"processP90Ms"`
}

// handshakes are the lengths that are measured.
var handshakes = []time.Duration{5 * time.Millisecond, 25 * time.Millisecond}

// roundTrips returns how many connects a row has.
func (p pace) roundTrips() int {
	if p.short {
		return 31
	}
	return 101
}

func measureRoundTrips(self string, lab *netlab.Lab, n int) (rows []roundTripRow, err error) {
	for i, handshake := range handshakes {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 102, byte(i + 1)}), 80)
		if err := serve(lab, at, link.Path{Delay: handshake / 2}, netlab.Read()); err != nil {
			return nil, err
		}
		for _, busy := range []bool{false, true} {
			var trips []roundTrip
			command := []string{self, workerCommand, roundTripWorker, "-connects", strconv.Itoa(n), "-busy=" + strconv.FormatBool(busy), at.String()}
			if err := output(command, &trips); err != nil {
				return nil, fmt.Errorf("round trips: %w", err)
			}
			rows = append(rows, roundTripRowOf(handshake, busy, trips))
		}
	}
	return rows, nil
}

func roundTripRowOf(handshake time.Duration, busy bool, trips []roundTrip) roundTripRow {
	kernel := func(t roundTrip) float64 { return t.KernelMillis }
	process := func(t roundTrip) float64 { return t.ProcessMillis }
	p90 := func(figure func(roundTrip) float64) float64 {
		var values []float64
		for _, t := range trips {
			values = append(values, figure(t))
		}
		slices.Sort(values)
		return percentile(values, 90)
	}
	return roundTripRow{
		Handshake: millisOf(handshake), Busy: busy, Connects: len(trips),
		Kernel: spreadBy(trips, kernel), Process: spreadBy(trips, process),
		KernelP90: p90(kernel), ProcessP90: p90(process),
	}
}

func (r roundTripRow) title() string {
	if r.Busy {
		return fmt.Sprintf("%g ms, all cores busy", r.Handshake)
	}
	return fmt.Sprintf("%g ms, idle", r.Handshake)
}

// off says by how much of the handshake a time differs from it.
func (r roundTripRow) off(millis float64) string {
	return fmt.Sprintf("%+.1f %%", (millis/r.Handshake-1)*100)
}

func printRoundTrips(rows []roundTripRow) {
	if len(rows) == 0 {
		return
	}
	fmt.Printf("\nmilliseconds of a handshake as the kernel and the process have it, one at a time\n")
	fmt.Printf("  %-24s %24s %9s %8s %28s %9s %8s\n", "the lab's", "kernel (min-max)", "off", "p90", "process (min-max)", "off", "p90")
	for _, r := range rows {
		fmt.Printf("  %-24s %24s %9s %8s %28s %9s %8s\n", r.title(),
			r.Kernel, r.off(r.Kernel.Median), figure(r.KernelP90), r.Process, r.off(r.Process.Median), figure(r.ProcessP90))
	}
}

// roundTripLimit is how far the kernel's figure may be off the lab's.
const roundTripLimit = 1.05

func (r roundTripRow) bar() bar {
	return bar{Case: r.title(), Program: "the kernel's round trip", To: "the lab's", Value: r.Kernel.Median / r.Handshake, Limit: roundTripLimit}
}

// roundTripWorker connects one at a time, through the engine.
const roundTripWorker = "round-trips"

// roundTrip is one handshake.
type roundTrip struct {
	KernelMillis  float64 `json:"kernelMs"`
	ProcessMillis float64 `json:"processMs"`
}

func workRoundTrips(args []string) (any, error) {
	flags := flag.NewFlagSet(roundTripWorker, flag.ExitOnError)
	connects := flags.Int("connects", 1, "how many")
	busy := flags.Bool("busy", false, "keep all cores at work")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	endpoints, err := parseEndpoints(flags.Args())
	if err != nil {
		return nil, err
	}
	to, err := policy.Check(endpoints[0])
	if err != nil {
		return nil, err
	}
	if *busy {
		for range runtime.GOMAXPROCS(0) {
			go func() {
				for { //nolint:staticcheck // to be busy is the point; it ends with the process
				}
			}()
		}
	}
	return roundTrips(to, *connects)
}

func roundTrips(to policy.Allowed, n int) (trips []roundTrip, err error) {
	began, started, over := time.Now(), time.Duration(0), 0
	attempts := new(connect.Engine).Attempts(connect.Race{
		Now: func() time.Duration { return time.Since(began) },
		Post: func(e sched.Event) {
			switch e.Kind {
			case sched.Started:
				started = e.At
			case sched.Connected:
				trips = append(trips, roundTrip{millisOf(e.Kernel.RTT), millisOf(e.Noticed - started)})
				over++
			default:
				err = fmt.Errorf("a connect came to %v: %s", e.Kind, e.Failure.Text)
				over++
			}
		},
	})
	defer attempts.Close()
	for id := range n {
		attempts.Start(id, to)
		for over == id && time.Since(began) < patience {
			attempts.Wait(time.Since(began)+time.Second, true)
		}
		if over == id || err != nil {
			return nil, fmt.Errorf("connect %d of %d was not over within %v, or failed: %w", id+1, n, patience, err)
		}
	}
	return trips, nil
}
