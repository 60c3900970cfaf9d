package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == workerCommand {
		exit(work(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Every program does what its row says: races that are won by the one good endpoint,
// with as many attempts as there are endpoints, all of them under way at once.
func TestPrograms(t *testing.T) {
	t.Chdir("..") // where the C program's source is
	places, err := openPlaces(nil)
	if err != nil {
		t.Fatal(err)
	}
	programs, cleanup, err := availablePrograms(self(t), "", new(report))
	if err != nil {
		t.Fatal(err)
	}
	defer cleanup()
	for _, c := range places[0].cases() {
		if c.Width != 1 && c.Width != 8 && c.Width != 1000 {
			continue // the others differ in nothing but the width
		}
		for _, p := range programs {
			s, err := p.run(c, pace{warm: 10 * time.Millisecond, measure: 30 * time.Millisecond})
			if err != nil {
				t.Fatalf("%s: %v", c.title(), err)
			}
			// Those under way when the time began and ended count on one side alone.
			want, under := s.Races*float64(c.Width), float64(2*c.InFlight*c.Width)
			if s.Attempts < want-under || s.Attempts > want+under || s.Failures != 0 {
				t.Errorf("%s, %s: %v attempts and %v failures in %v races", c.title(), p.Name, s.Attempts, s.Failures, s.Races)
			}
			if cpu := s.UserMicros + s.SystemMicros; cpu <= 0 || s.WallMicros < 30_000 {
				t.Errorf("%s, %s: %v µs of CPU in %v µs", c.title(), p.Name, cpu, s.WallMicros)
			}
		}
	}
}

// What was done while a program warmed up does not count.
func TestWarmUpDoesNotCount(t *testing.T) {
	t.Chdir("..")
	programs, cleanup, err := availablePrograms(self(t), "", new(report))
	if err != nil {
		t.Fatal(err)
	}
	defer cleanup()
	places, err := openPlaces(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := places[0].cases()[0]
	const window = 30 * ms
	for _, p := range programs {
		var long, short sample
		good := false
		for range 5 { // a machine that stalls spoils a try, a wrong program each of them
			if long, err = p.run(c, pace{measure: 6 * window}); err != nil {
				t.Fatal(err)
			}
			if short, err = p.run(c, pace{warm: 12 * window, measure: window}); err != nil {
				t.Fatal(err)
			}
			const most = 4 // with the warm-up it would be some 13
			if good = short.Races/short.WallMicros <= most*long.Races/long.WallMicros; good {
				break
			}
		}
		if !good || short.Attempts > short.Races+2*float64(c.InFlight) {
			t.Errorf("%s: after a time to warm up it is %+v, and without %+v", p.Name, short, long)
		}
	}
}

// A probe is over when its last attempt is, which a lost SYN makes late here; a race is
// over long before.
func TestGoals(t *testing.T) {
	t.Chdir("..")
	programs, cleanup, err := availablePrograms(self(t), "", new(report))
	if err != nil {
		t.Fatal(err)
	}
	defer cleanup()
	good, err := netlab.Accept(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = good.Close() })
	const late = 700 * ms             // a kernel repeats a SYN after a second
	const patience = 20 * time.Second // who waits for the hole does so for minutes
	for _, goal := range []goal{first, all} {
		hole, err := netlab.Swallow(netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = hole.Close() })
		c := benchCase{Goal: goal, Width: 2, Endpoints: []netip.AddrPort{good.Addr(), hole.Addr()}, InFlight: 1}
		var running sync.WaitGroup
		for _, p := range programs {
			running.Go(func() {
				s, err := p.run(c, pace{measure: 10 * ms})
				took := time.Duration(s.WallMicros * 1e3)
				if err != nil || s.Failures != 0 || took > patience || goal == all && took <= late {
					t.Errorf("%s: %s: %+v, %v", goal, p.Name, s, err)
				}
			})
		}
		if goal == all {
			untilPending(t, hole.Addr().Port(), len(programs))
			if err := hole.Drain(); err != nil {
				t.Fatal(err)
			}
		}
		running.Wait()
	}
}

// untilPending waits until so many connects to the port of 127.0.0.1 have no answer.
func untilPending(t *testing.T, port uint16, n int) {
	t.Helper()
	pending := fmt.Sprintf(" 0100007F:%04X 02 ", port) // the peer, and SYN_SENT
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * ms) {
		text, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), pending) >= n {
			return
		}
	}
	t.Fatalf("less than %d connects to port %d are pending", n, port)
}

// sleeper is a process that does nothing, until the end of the test.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}
