package netlab_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
)

// burning makes the test binary a process that does nothing but keep a core busy.
const burning = "CONNRACE_TEST_BURN"

// TestAccuracy measures how well the lab keeps its delays, and prints it: by the
// kernel's own figure of the handshake, by the link's of its lateness, and by the
// clock of a Go program that connects.
//
// A packet is never early. Nearly all of them are late by no more than the slack
// that tests of the product allow for.
func TestAccuracy(t *testing.T) {
	if os.Getenv(burning) != "" {
		for began := time.Now(); time.Since(began) < time.Minute; {
		}
		return
	}
	netlabtest.Need(t)
	for _, load := range []struct {
		name  string
		cores int
	}{{"idle", 0}, {"every core busy", runtime.NumCPU()}} {
		t.Run(load.name, func(t *testing.T) {
			burn(t, load.cores)
			t.Logf("%-10s %9s %8s %8s   %s", "error of", "one way", "median", "p99", "over so many connects")
			for _, delay := range []time.Duration{0, ms, 5 * ms, 20 * ms, 80 * ms} {
				t.Run(delay.String(), func(t *testing.T) {
					netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) { measure(t, watch, delay) })
				})
			}
		})
	}
}

// burn keeps cores busy until the test ends, at the usual priority.
func burn(t *testing.T, cores int) {
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	for range cores {
		cmd := exec.CommandContext(ctx, "/proc/self/exe", "-test.run=^TestAccuracy$")
		cmd.Env = append(os.Environ(), burning+"=1")
		must(t, cmd.Start())
		t.Cleanup(func() { stop(); _ = cmd.Wait() })
	}
}

// measure connects a hundred times, a few at a time, over both families.
func measure(t *testing.T, watch *netlabtest.Watch, delay time.Duration) {
	lab := netlabtest.Start(t, netlab.Config{})
	const rounds, abreast = 100, 4
	var (
		mu            sync.Mutex
		kernel, clock []time.Duration
		all           sync.WaitGroup
	)
	for i := range abreast {
		addr := []netip.Addr{server4, server6}[i%2]
		path(t, lab, addr, link.Path{Delay: delay})
		h, err := lab.Serve(netip.AddrPortFrom(addr, uint16(80+i)), netlab.Read())
		must(t, err)
		all.Go(func() {
			for range rounds / abreast {
				byKernel, byClock, err := connectTimed(h.Addr())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				kernel, clock = append(kernel, byKernel-2*delay), append(clock, byClock-2*delay)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	late, err := lab.Lateness()
	must(t, err)
	for _, row := range []struct {
		name  string
		error []time.Duration
	}{{"kernel RTT", kernel}, {"link", late}, {"Go's clock", clock}} {
		slices.Sort(row.error)
		t.Logf("%-10s %9v %8s %8s   %d", row.name, delay, millis(quantile(row.error, 50)), millis(quantile(row.error, 99)), len(row.error))
		const rounding = 20 * time.Microsecond
		what := fmt.Sprintf("%s at a delay of %v: ", row.name, delay)
		watch.Between(what+"the earliest", row.error[0], -rounding, time.Minute)
		watch.Between(what+"the latest of nine in ten", quantile(row.error, 90), -rounding, slack)
	}
}

// connectTimed connects once. The kernel's time is from the SYN to its answer.
func connectTimed(to netip.AddrPort) (kernel, clock time.Duration, err error) {
	began := time.Now()
	c, err := net.DialTimeout("tcp", to.String(), patience)
	if err != nil {
		return 0, 0, err
	}
	clock = time.Since(began)
	tcp := c.(*net.TCPConn)
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var info *unix.TCPInfo
	cerr := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err := errors.Join(cerr, err, tcp.SetLinger(0), tcp.Close()); err != nil {
		return 0, 0, err
	}
	return time.Duration(info.Rtt) * time.Microsecond, clock, nil
}

func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)-1)*percent/100]
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }
