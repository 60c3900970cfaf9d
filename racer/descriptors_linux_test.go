package racer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/racer/sched"
)

// exhausted names the endpoints, in the environment of a process that has run out
// of descriptors.
const exhausted = "CONNRACE_TEST_EXHAUSTED"

// A process out of descriptors: that is this host's trouble and says so, nothing
// panics, and a probe claims to know nothing of the target. It takes a process of
// its own.
func TestOutOfDescriptors(t *testing.T) {
	if endpoints := os.Getenv(exhausted); endpoints != "" {
		outOfDescriptors(t, strings.Fields(endpoints))
		return
	}
	addrs, behave := []string{"127.0.0.1"}, []behaviour{netlab.Accept}
	for i := range 12 {
		addrs, behave = append(addrs, fmt.Sprintf("127.0.0.%d", 2+i)), append(behave, netlab.Swallow)
	}
	_, target := onePort(t, addrs, behave...)
	var endpoints []string
	for _, c := range target.Candidates {
		endpoints = append(endpoints, c.Endpoint)
	}
	self, err := os.Executable()
	must(t, err)
	child := exec.Command(self, "-test.run=^TestOutOfDescriptors$", "-test.v", "-test.timeout=60s")
	child.Env = append(os.Environ(), exhausted+"="+strings.Join(endpoints, " "))
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestOutOfDescriptors") {
		t.Errorf("the process out of descriptors ended with %v and said\n%s", err, out)
	}
}

// outOfDescriptors is what the process does: a good endpoint comes first, then
// silent ones.
func outOfDescriptors(t *testing.T, endpoints []string) {
	good, dark := Target{Name: endpoints[0]}, Target{}
	for _, e := range endpoints[1:] {
		dark.Candidates = append(dark.Candidates, CandidateSpec{Endpoint: e})
	}
	limit := syscall.Rlimit{Cur: 60, Max: 60}
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	taken := takeAll(t)
	racer := New(Config{})

	nothingFree(t, racer, dark)
	for range 4 {
		must(t, taken[0].Close())
		taken = taken[1:]
	}
	fourFree(t, racer, dark)
	for _, f := range taken {
		must(t, f.Close())
	}
	r := raceOf(t, racer, good, Options{})
	if r.End != sched.EndWon {
		t.Errorf("with descriptors again it is %s", r.End)
	}
}

// takeAll takes every descriptor there is.
func takeAll(t *testing.T) []*os.File {
	t.Helper()
	var taken []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, syscall.EMFILE) {
			return taken
		}
		must(t, err)
		taken = append(taken, f)
	}
}

func raceOf(t *testing.T, racer *Racer, target Target, o Options) *RaceResult {
	t.Helper()
	r, err := racer.Race(t.Context(), RaceRequest{Target: target, Options: o})
	must(t, err)
	checkRace(t, r)
	return r
}

func nothingFree(t *testing.T, racer *Racer, target Target) {
	for _, s := range []sched.Strategy{sched.AllAtOnce, sched.Staggered, sched.Sequential} {
		r := raceOf(t, racer, target, Options{Strategy: s})
		if r.End != sched.EndExhausted || r.Cost.Attempts != 0 {
			t.Errorf("%s: %s, cost %+v", s, r.End, r.Cost)
		}
		if host, other := outcomes(t, r); host != len(target.Candidates) || other > 0 {
			t.Errorf("%s: %d failed by this host, %d otherwise", s, host, other)
		}
	}
	p, err := racer.Probe(t.Context(), ProbeRequest{Target: target, Rounds: 2, Interval: MinInterval})
	must(t, err)
	checkProbed(t, p)
	if p.Report.Verdict != Inconclusive || !strings.Contains(p.Report.Explain(), "this host's own") {
		t.Errorf("verdict %d: %s", p.Report.Verdict, p.Report.Explain())
	}
	for i := range p.Report.Candidates {
		if s := p.Report.Candidates[i].Stats; s.Count != 0 || s.HostFailures != 2 {
			t.Errorf("%s counts %+v", p.Report.Candidates[i].Endpoint, s)
		}
	}
}

func fourFree(t *testing.T, racer *Racer, target Target) {
	r := raceOf(t, racer, target, Options{Strategy: sched.AllAtOnce, AttemptTimeout: 200 * ms})
	host, silent := outcomes(t, r)
	if r.End != sched.EndExhausted || silent == 0 || silent > 4 || host != len(target.Candidates)-silent {
		t.Errorf("%s: %d failed by this host, %d were silent", r.End, host, silent)
	}
}

// outcomes counts what this host is to blame for, and what timed out.
func outcomes(t *testing.T, r *RaceResult) (host, silent int) {
	t.Helper()
	for i := range r.Candidates {
		c := &r.Candidates[i]
		f := c.Attempts[0].Failure
		switch {
		case c.Outcome == sched.OutcomeTimedOut && f.Fault == sched.FaultTarget:
			silent++
		case c.Outcome == sched.OutcomeFailed && f.Fault == sched.FaultHost && f.Errno == "EMFILE":
			host++
		default:
			t.Errorf("%s is %s with %+v", c.Endpoint, c.Outcome, f)
		}
	}
	return host, silent
}
