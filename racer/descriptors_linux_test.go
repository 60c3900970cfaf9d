package racer

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/racer/sched"
)

// starved has what a process that runs out of descriptors must know, in its
// environment: endpoints.
const starved = "CONNRACE_TEST_STARVED"

// inOwnProcess runs this test again, in a process of its own.
func inOwnProcess(t *testing.T, endpoints []string) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	child := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	child.Env = append(os.Environ(), starved+"="+strings.Join(endpoints, " "))
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("the process of its own ended with %v and said\n%s", err, out)
	}
}

// starve takes all descriptors there are, of a few.
func starve(t *testing.T) []*os.File {
	t.Helper()
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 60, Max: 60}))
	return takeAll(t)
}

// A process out of descriptors: that is this host's trouble and says so, nothing
// panics, and a probe claims to know nothing of the target.
func TestOutOfDescriptors(t *testing.T) {
	if endpoints := os.Getenv(starved); endpoints != "" {
		outOfDescriptors(t, strings.Fields(endpoints))
		return
	}
	addrs, behave := []string{"127.0.0.1"}, []behaviour{netlab.Accept}
	for i := range 12 {
		addrs, behave = append(addrs, fmt.Sprintf("127.0.0.%d", 2+i)), append(behave, netlab.Swallow)
	}
	hosts, _ := onePort(t, addrs, behave...)
	var endpoints []string
	for _, h := range hosts {
		endpoints = append(endpoints, h.Addr().String())
	}
	inOwnProcess(t, endpoints)
}

// outOfDescriptors is what the process does: a good endpoint comes first, then
// silent ones.
func outOfDescriptors(t *testing.T, endpoints []string) {
	good, dark := Target{Name: endpoints[0]}, Target{}
	for _, e := range endpoints[1:] {
		dark.Candidates = append(dark.Candidates, CandidateSpec{Endpoint: e})
	}
	taken := starve(t)
	nothingFree(t, dark)
	for range 8 {
		must(t, taken[0].Close())
		taken = taken[1:]
	}
	eightFree(t, dark)
	for _, f := range taken {
		must(t, f.Close())
	}
	r := raceFor(t, good, Options{})
	if r.End != sched.EndWon {
		t.Errorf("with descriptors again it is %s", r.End)
	}
}

// A name that could not be asked for is no failure of the name server, which has
// not heard of it.
func TestOutOfDescriptorsForDNS(t *testing.T) {
	server := os.Getenv(starved)
	if server == "" {
		w := newWorld(t)
		w.dns.Set("one.example", netlab.Answers{A: answer(here4)})
		inOwnProcess(t, []string{w.dns.Addr().String()})
		if log := w.dns.Log(); len(log) > 0 {
			t.Errorf("the name server was asked %v", log)
		}
		return
	}
	defer func(taken []*os.File) {
		for _, f := range taken {
			must(t, f.Close())
		}
	}(starve(t))
	r, err := New(Config{DNSServer: netip.MustParseAddrPort(server)}).
		Race(t.Context(), RaceRequest{Target: Target{Name: "one.example.:443"}})
	must(t, err)
	checkRace(t, r)
	if r.End != sched.EndResolutionFailed {
		t.Errorf("it is %s", r.End)
	}
	for _, q := range r.Queries {
		if q.Failure.Fault != sched.FaultHost || q.Failure.Errno != "EMFILE" {
			t.Errorf("%s: %+v, want this host's fault", q.Type, q.Failure)
		}
	}
}

// Many more races than there are descriptors for wait for them, and none fails.
func TestManyRacesOfFewDescriptors(t *testing.T) {
	endpoint := os.Getenv(starved)
	if endpoint == "" {
		hosts, _ := onePort(t, []string{"127.0.0.1"}, netlab.Swallow)
		inOwnProcess(t, []string{hosts[0].Addr().String()})
		return
	}
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 128, Max: 128}))
	racer := New(Config{})
	defer racer.Close()
	var races sync.WaitGroup
	var deferred atomic.Int32
	for range 100 {
		races.Go(func() {
			r, err := racer.Race(t.Context(), RaceRequest{
				Target: Target{Name: endpoint}, Options: Options{AttemptTimeout: 100 * ms, MaxBackups: new(0)},
			})
			must(t, err)
			a := r.Candidates[0].Attempts[0]
			if r.Candidates[0].Outcome != sched.OutcomeTimedOut {
				t.Errorf("it is %s with %+v", r.Candidates[0].Outcome, a.Failure)
			}
			if a.Deferral != nil && a.Deferral.Reason == sched.DeferDescriptors {
				deferred.Add(1)
			}
		})
	}
	if races.Wait(); deferred.Load() < 50 {
		t.Errorf("%d had to wait for descriptors", deferred.Load())
	}
}

// Attempts that have failed leave their sockets to their race's next ones. All races
// together keep no more than there may be, however long they go on.
func TestIdleSocketsOfRacesUnderWay(t *testing.T) {
	silence := os.Getenv(starved)
	if silence == "" {
		hosts, _ := onePort(t, []string{"127.0.0.1"}, netlab.Swallow)
		inOwnProcess(t, []string{hosts[0].Addr().String()})
		return
	}
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 260, Max: 260}))
	port, err := netlab.FreePort(netip.MustParseAddr("127.0.1.1"))
	must(t, err)
	target := Target{Candidates: []CandidateSpec{{Endpoint: silence}}}
	for i := range byte(29) {
		closed := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, 1 + i}), port)
		target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: closed.String()})
	}
	racer := New(Config{})
	defer racer.Close()
	var races sync.WaitGroup
	for i := range 20 {
		races.Go(func() {
			time.Sleep(time.Duration(i) * 20 * ms) // one after the other they begin, and all go on
			r, err := racer.Race(t.Context(), RaceRequest{Target: target, Options: Options{
				Strategy: sched.AllAtOnce, AttemptTimeout: 1500 * ms, MaxBackups: new(0),
			}})
			must(t, err)
			for i := range r.Candidates {
				if f := r.Candidates[i].Attempts[0].Failure; f.Fault == sched.FaultHost {
					t.Errorf("%s: %+v", r.Candidates[i].Endpoint, f)
				}
			}
		})
	}
	races.Wait()
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

func nothingFree(t *testing.T, target Target) {
	for _, s := range []sched.Strategy{sched.AllAtOnce, sched.Staggered, sched.Sequential} {
		r := raceFor(t, target, Options{Strategy: s})
		if r.End != sched.EndExhausted || r.Cost.Attempts != 0 {
			t.Errorf("%s: %s, cost %+v", s, r.End, r.Cost)
		}
		if host, other := outcomes(t, r); host != len(target.Candidates) || other > 0 {
			t.Errorf("%s: %d failed by this host, %d otherwise", s, host, other)
		}
	}
	racer := New(Config{})
	defer racer.Close()
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

// eightFree has room for some attempts, beside what a race needs to wait and to look
// for routes.
func eightFree(t *testing.T, target Target) {
	r := raceFor(t, target, Options{Strategy: sched.AllAtOnce, AttemptTimeout: 200 * ms})
	host, silent := outcomes(t, r)
	if r.End != sched.EndExhausted || silent == 0 || silent > 8 || host != len(target.Candidates)-silent {
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
