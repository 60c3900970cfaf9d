package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

func TestCallResult(t *testing.T) {
	got := callResultOf(turn{name: "x", units: 100}, []callSample{
		{CPUMicros: 1000, WallMicros: 1e6, Calls: 10, Failures: 1},
		{CPUMicros: 3000, WallMicros: 1e6, Calls: 10},
		{CPUMicros: 2000, WallMicros: 1e6, Calls: 20, Failures: 2},
	})
	if got.CPU != (spread{1, 1, 3}) || got.PerSecond != (spread{1000, 1000, 2000}) || got.Failures != 3 {
		t.Errorf("it is %+v", got)
	}
}

func costsOf(costs map[string]float64) (r callRow) {
	for name, cpu := range costs {
		r.Results = append(r.Results, callResult{Name: name, CPU: spread{Median: cpu}})
	}
	return r
}

func TestProberBars(t *testing.T) {
	bars := proberBars(costsOf(map[string]float64{nameExporter: 400, nameCompressed: 500, nameProbe: 60, nameProbeAll: 8}))
	if len(bars) != 2 || bars[0].Value != 0.15 || bars[0].met() || bars[1].Value != 0.02 || !bars[1].met() {
		t.Errorf("the bars are %+v", bars)
	}
	if bars := proberBars(costsOf(map[string]float64{nameProbe: 60})); bars != nil {
		t.Errorf("without the exporter the bars are %+v", bars)
	}
}

func TestRPCBars(t *testing.T) {
	bars := rpcBars(costsOf(map[string]float64{
		rpcName(callEmpty, "TCP"): 30, rpcName(callRace, "TCP"): 104, rpcName(callRace, "a Unix socket"): 100, nameInProcess: 50,
	}))
	if len(bars) != 1 || bars[0].Value != 1.3 || !bars[0].met() {
		t.Errorf("the bars are %+v", bars)
	}
}

// The server's own time is what is taken, and calls are counted, whatever is asked.
func TestDrivers(t *testing.T) {
	targets, err := acceptEverywhere()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	server, err := startServer(self(t), path, targets[:2])
	if err != nil {
		t.Fatal(err)
	}
	defer server.stop()
	drives := []drive{
		{call: callRace, at: "unix://" + path, targets: targets[:2]},
		{call: callEmpty, at: "unix://" + path, targets: targets[:2]},
		{call: callEmpty, at: server.at, targets: targets[:2]},
		{call: callEmptyRace, at: server.at, targets: targets[:2]},
		{call: callProbe, at: server.at, targets: targets},
		{call: callProbeAll, at: server.at, targets: targets[:50]},
	}
	r := new(report)
	exporter, err := startExporter(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	if exporter == nil {
		t.Logf("not tested: %v", r.LeftOut)
	} else {
		defer exporter.stop()
		drives = append(drives, drive{call: callExporter, server: exporter, at: exporter.at, targets: targets})
	}
	for _, d := range drives {
		if d.server == nil {
			d.server = server
		}
		d.inFlight = 2
		s, err := d.run(self(t), pace{warm: 10 * ms, measure: 100 * ms})
		if err != nil {
			t.Fatal(err)
		}
		if s.Calls < 1 || s.Failures != 0 || s.CPUMicros <= 0 || s.WallMicros < 100_000 || s.CPUMicros > 2*s.WallMicros*4 {
			t.Errorf("%s: %+v", d.call, s)
		}
	}
}

// A server that can't be asked is an error, not a row of failures.
func TestDriverNeedsItsServer(t *testing.T) {
	at, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	nobody := &process{name: "nobody"}
	nobody.cmd = sleeper(t)
	for _, call := range []string{callRace, callEmpty, callEmptyRace, callProbe, callExporter, "dance"} {
		d := drive{call: call, server: nobody, at: at, inFlight: 1, targets: []string{"127.0.0.1:1", "127.0.0.1:2"}}
		if s, err := d.run(self(t), pace{measure: 10 * ms}); err == nil {
			t.Errorf("%s: %+v", call, s)
		}
	}
}

// Targets come in turn, also when many ask at once.
func TestInTurn(t *testing.T) {
	next := inTurn([]string{"a", "b", "c"})
	if got := next() + next() + next() + next(); got != "abca" {
		t.Errorf("they are %q", got)
	}
	var mu sync.Mutex
	seen := make(map[string]int)
	var askers sync.WaitGroup
	for range 30 {
		askers.Go(func() {
			target := next()
			mu.Lock()
			defer mu.Unlock()
			seen[target]++
		})
	}
	if askers.Wait(); seen["a"] != 10 || seen["b"] != 10 || seen["c"] != 10 {
		t.Errorf("they are %v", seen)
	}
}

// A process that is started listens, uses time, and has ended when stop returns.
func TestProcess(t *testing.T) {
	server, err := startServer(self(t), filepath.Join(t.TempDir(), "s"), nil)
	if err != nil {
		t.Fatal(err)
	}
	used, err := cpuTime(server.pid())
	if err != nil || used <= 0 || used > 10*time.Second {
		t.Errorf("it has used %v, %v", used, err)
	}
	server.stop()
	server.stop()
	if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(server.pid()))); err == nil {
		t.Error("it is still there")
	}
	if _, err := cpuTime(server.pid()); err == nil {
		t.Error("a process that is gone has a clock")
	}
	at, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := startProcess("false", at, "false"); err == nil {
		t.Error("one that ends at once has started")
	}
}

// One that takes no hint is killed.
func TestStopKills(t *testing.T) {
	p := &process{name: "stubborn", cmd: exec.Command("sh", "-c", "trap '' TERM; exec sleep 60"), done: make(chan struct{})}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	comm := filepath.Join("/proc", strconv.Itoa(p.pid()), "comm")
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * ms) {
		if name, err := os.ReadFile(comm); err == nil && string(name) == "sleep\n" {
			break
		}
	}
	p.stopWithin(100 * ms)
	if _, err := os.Stat(comm); err == nil {
		t.Error("it is still there")
		_ = p.cmd.Process.Kill()
	}
	<-p.done
}

// This process's own clock is the one getrusage reads.
func TestCPUTime(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	own, err := new(job).total()
	if err != nil {
		t.Fatal(err)
	}
	after, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const slack = 5 * 1000 // of getrusage, whose parts are scaled
	if got := own.UserMicros + own.SystemMicros; got < micros(before)-slack || got > micros(after)+slack {
		t.Errorf("getrusage has %v µs, the clock had %v and has %v", got, before, after)
	}
}
