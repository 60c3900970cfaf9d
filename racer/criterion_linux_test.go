package racer

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/admit"
	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/racer/sched"
)

// serving is a host that does that with each connection.
func serving(b netlab.Behaviour) behaviour {
	return func(at netip.AddrPort) (*netlab.Host, error) { return netlab.Serve(at, b) }
}

// bad is a peer behind whose TCP there is nothing good, and what is said of it: "" where
// it is silent.
type bad struct {
	behaviour netlab.Behaviour
	fails     []string
	secure    bool // only what begins with TLS fails there
}

func (p *peers) bad() map[string]bad {
	broken := []string{"connection_reset", "connection_closed", "broken_pipe"}
	return map[string]bad{
		"resets":        {netlab.Reset(0), broken, false},
		"resets later":  {netlab.Reset(20 * ms), broken, false},
		"stalls":        {netlab.Read(), []string{""}, false},
		"hangs":         {netlab.Hang(), []string{""}, false},
		"stalls midway": {netlab.StallTLSMidway(), []string{""}, false},
		"garbage": {
			netlab.Garbage(), []string{"tls_not_spoken", "http_malformed", "grpc_not_spoken", "connection_closed"}, false,
		},
		"expired": {
			netlab.TLS(netlab.TLSServer{Certificate: p.certificate(netlab.Expired, "site.example"), ALPN: []string{"h2", "http/1.1"}}, netlab.Read()),
			[]string{"certificate_expired"},
			true,
		},
	}
}

// goodPeers are who meets each criterion.
func (p *peers) goodPeers() map[string]struct {
	criterion Criterion
	behaviour netlab.Behaviour
} {
	over := func(then netlab.Behaviour) netlab.Behaviour {
		return netlab.TLS(netlab.TLSServer{Certificate: p.good, ALPN: []string{"h2", "http/1.1"}}, then)
	}
	web, health := netlab.HTTP(netlab.HTTPServer{Status: 204}), netlab.Health(netlab.NewHealthServer())
	all := p.wants().TLS
	return map[string]struct {
		criterion Criterion
		behaviour netlab.Behaviour
	}{
		"tls":         {Criterion{TLS: all}, over(netlab.Read())},
		"http":        {Criterion{HTTP: &HTTPCheck{}}, web},
		"https":       {Criterion{TLS: all, HTTP: &HTTPCheck{}}, over(web)},
		"health":      {Criterion{Health: &HealthCheck{}}, health},
		"tls, health": {Criterion{TLS: all, Health: &HealthCheck{}}, over(health)},
	}
}

// On real sockets each criterion is met by the good peer behind a bad one, whatever
// that does after accept (H3-47, H3-49). The bad one is blamed for what it did, or for
// nothing, and nothing stays open.
func TestEachCriterionBehindABadPeer(t *testing.T) {
	p := newPeers(t)
	for name, good := range p.goodPeers() {
		for how, bad := range p.bad() {
			if bad.secure && good.criterion.TLS == nil {
				continue
			}
			t.Run(name+" behind one that "+how, func(t *testing.T) {
				t.Parallel()
				hosts, target := onePort(t, []string{"127.0.0.1", "127.0.0.2"}, serving(bad.behaviour), serving(good.behaviour))
				racer := New(Config{Panicked: func(v any, stack []byte) { t.Errorf("%v\n%s", v, stack) }})
				defer racer.Close()
				delay := 50 * ms
				if bad.fails[0] != "" { // its failure starts the next one, however late it comes
					delay = sched.MaxAttemptDelay
				}
				r, err := racer.Race(t.Context(), RaceRequest{
					Target: target, Options: Options{Criterion: good.criterion, AttemptDelay: &delay},
				})
				must(t, err)
				checkRace(t, r)
				if r.End != sched.EndWon || r.Winner.Position != 2 {
					t.Fatalf("%s: %+v", r.End, r.Candidates[0])
				}
				wantBlamed(t, r, bad)
				for _, h := range hosts {
					eventually(t, "no connection is open at "+h.Addr().String(), func() bool { return h.Open() == 0 })
				}
				checkRoomEmpty(t, racer)
			})
		}
	}
}

// A peer that speaks first wins over one that waits to be spoken to.
func TestFirstByteBehindASilentPeer(t *testing.T) {
	greeter, err := net.Listen("tcp", "127.0.0.2:0")
	must(t, err)
	var greeting sync.WaitGroup
	greeting.Go(func() {
		c, err := greeter.Accept()
		if err == nil {
			_, _ = io.WriteString(c, "220 here")
			_, _ = io.Copy(io.Discard, c) // until the race has closed it
			_ = c.Close()
		}
	})
	hosts, target := onePort(t, []string{"127.0.0.1"}, serving(netlab.Read()))
	target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: greeter.Addr().String()})
	racer := New(Config{})
	defer racer.Close()
	r, err := racer.Race(t.Context(), RaceRequest{
		Target: target, Options: Options{Criterion: Criterion{FirstByte: true}, AttemptDelay: new(50 * ms)},
	})
	must(t, err)
	checkRace(t, r)
	wantOutcomes(t, r, sched.OutcomeCancelled, sched.OutcomeWon)
	must(t, greeter.Close())
	greeting.Wait()
	eventually(t, "no connection is open", func() bool { return hosts[0].Open() == 0 })
}

// wantBlamed holds that the first candidate failed as a bad peer does, or was silent
// until the end, and that it is masked.
func wantBlamed(t *testing.T, r *RaceResult, bad bad) {
	t.Helper()
	a := &r.Candidates[0].Attempts[0]
	if !slices.Contains(bad.fails, a.Failure.Type) || a.Failure.Fault == sched.FaultHost {
		t.Errorf("the bad one failed by %+v, want one of %q", a.Failure, bad.fails)
	}
	if silent := a.Failure.Type == ""; silent != (a.Outcome == sched.OutcomeCancelled) || silent == (a.Outcome == sched.OutcomeFailed) {
		t.Errorf("the bad one is %s", a.Outcome)
	}
	if m := r.Masked.Addresses; len(m) != 1 || m[0].Position != 1 {
		t.Errorf("masked are %+v", m)
	}
	if a.Up == 0 && a.Failure.Errno == "" {
		t.Errorf("its TCP never was up: %+v", a)
	}
}

// Dial hands out TLS that works, as any connection of crypto/tls.
func TestDialWithTLSOnSockets(t *testing.T) {
	p := newPeers(t)
	over := netlab.TLS(netlab.TLSServer{Certificate: p.good, ALPN: []string{"http/1.1"}}, netlab.HTTP(netlab.HTTPServer{Body: "here"}))
	hosts, target := onePort(t, []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"},
		serving(netlab.Read()), serving(over), serving(over))
	racer := New(Config{})
	defer racer.Close()
	c := p.wants()
	c.TLS.ALPN = []string{"http/1.1"}
	conn, r, err := racer.Dial(t.Context(), RaceRequest{Target: target, Options: Options{Criterion: c, Strategy: sched.AllAtOnce}})
	must(t, err)
	checkRace(t, r)
	if _, ok := conn.(*tls.Conn); !ok || r.Winner.Position == 1 {
		t.Errorf("the connection is a %T to %s", conn, r.Winner.Endpoint)
	}
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n")
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))
	answer, err := io.ReadAll(conn)
	must(t, err)
	if !strings.HasSuffix(string(answer), "here") {
		t.Errorf("it answers %q", answer)
	}
	must(t, conn.Close())
	for _, h := range hosts {
		eventually(t, "no connection is open", func() bool { return h.Open() == 0 })
	}
}

// Hundreds of races with stages, eight at a time, ended at random moments: nothing is
// left of them.
func TestStagedRacesLeaveNothing(t *testing.T) {
	p := newPeers(t)
	var (
		behave []behaviour
		addrs  []string
	)
	for _, b := range p.bad() {
		behave = append(behave, serving(b.behaviour))
	}
	good := p.goodPeers()["https"]
	behave = append(behave, serving(good.behaviour))
	for i := range behave {
		addrs = append(addrs, fmt.Sprintf("127.0.0.%d", 1+i))
	}
	hosts, target := onePort(t, addrs, behave...)
	racer := New(Config{Panicked: func(v any, stack []byte) { t.Errorf("%v\n%s", v, stack) }})
	run := func(count int, seed uint64) {
		var workers sync.WaitGroup
		jobs := make(chan uint64)
		for range 8 {
			workers.Go(func() {
				for n := range jobs {
					stagedRace(t, racer, target, good.criterion, rand.New(rand.NewPCG(seed, n)))
				}
			})
		}
		for n := range count {
			jobs <- uint64(n)
		}
		close(jobs)
		workers.Wait()
	}
	run(20, 99)
	for _, h := range hosts {
		eventually(t, "no connection is open", func() bool { return h.Open() == 0 })
	}
	racer.Close()
	before := resources(t)
	run(300, 1)
	racer.Close()
	checkRoomEmpty(t, racer)
	checkNothingLeft(t, before, hosts)
}

// stagedRace is one of them: a race or a dial, ended by itself or not.
func stagedRace(t *testing.T, racer *Racer, target Target, c Criterion, rng *rand.Rand) {
	t.Helper()
	req := randomRequest(target, rng)
	req.Options.Criterion = Criterion{TLS: c.TLS}
	ctx, stop := randomContext(t.Context(), rng)
	defer stop()
	if rng.IntN(2) == 0 {
		conn, r, err := racer.Dial(ctx, req)
		if err == nil {
			checkRace(t, r)
			must(t, conn.Close())
		}
		return
	}
	req.Options.Criterion.HTTP, req.Share = c.HTTP, rng.IntN(2) == 0
	if r, err := racer.Race(ctx, req); err == nil {
		checkRace(t, r)
	}
}

// Out of descriptors, by the limits: attempts wait for one another, none fails, and the
// result says what they waited for.
func TestAttemptsWaitForDescriptors(t *testing.T) {
	const most = 5
	var (
		addrs  []string
		behave []behaviour
	)
	for i := range 12 {
		addrs, behave = append(addrs, fmt.Sprintf("127.0.0.%d", 1+i)), append(behave, serving(netlab.Read()))
	}
	hosts, target := onePort(t, addrs, behave...)
	racer := New(Config{})
	defer racer.Close()
	racer.room = admit.New(Limits{}, most+ofRaces)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := racer.Race(ctx, RaceRequest{Target: target, Options: Options{
		Criterion: Criterion{FirstByte: true}, Strategy: sched.AllAtOnce, AttemptTimeout: 100 * ms, MaxBackups: new(0),
	}})
	must(t, err)
	checkRace(t, r)
	wantWaves(t, r, most)
	for _, h := range hosts {
		eventually(t, "no connection is open", func() bool { return h.Open() == 0 })
	}
	checkRoomEmpty(t, racer)
}

// wantWaves holds that all attempts timed out, so many at a time.
func wantWaves(t *testing.T, r *RaceResult, most int) {
	t.Helper()
	waited := 0
	for i := range r.Candidates {
		c := &r.Candidates[i]
		a := &c.Attempts[0]
		if c.Outcome != sched.OutcomeTimedOut {
			t.Errorf("%s is %s: %+v", c.Endpoint, c.Outcome, a.Failure)
		}
		if d := a.Deferral; d != nil {
			waited++
			if d.Reason != sched.DeferDescriptors {
				t.Errorf("%s waited for %s", c.Endpoint, d.Reason)
			}
		}
		together := 0
		for j := range r.Candidates {
			if b := &r.Candidates[j].Attempts[0]; b.Begun && b.Start <= a.Start && a.Start < b.End {
				together++
			}
		}
		if together > most {
			t.Errorf("%d attempts at once, allowed are %d", together, most)
		}
	}
	if want := len(r.Candidates) - most; waited != want {
		t.Errorf("%d waited, want %d", waited, want)
	}
}

// A process with few descriptors, and a race of more attempts than those: it waits for
// them by itself, instead of running out in mid-race.
func TestFewDescriptorsInMidRace(t *testing.T) {
	if endpoints := os.Getenv(starved); endpoints != "" {
		fewDescriptors(t, strings.Fields(endpoints))
		return
	}
	var (
		addrs  []string
		behave []behaviour
	)
	for i := range 60 {
		addrs, behave = append(addrs, fmt.Sprintf("127.0.1.%d", 1+i)), append(behave, serving(netlab.Read()))
	}
	hosts, _ := onePort(t, addrs, behave...)
	var endpoints []string
	for _, h := range hosts {
		endpoints = append(endpoints, h.Addr().String())
	}
	inOwnProcess(t, endpoints)
}

func fewDescriptors(t *testing.T, endpoints []string) {
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 80, Max: 80}))
	most, err := admit.Descriptors()
	must(t, err)
	if most == 0 || most >= len(endpoints) {
		t.Fatalf("there are %d descriptors for %d attempts", most, len(endpoints))
	}
	var target Target
	for _, e := range endpoints {
		target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: e})
	}
	racer := New(Config{})
	defer racer.Close()
	r, err := racer.Race(t.Context(), RaceRequest{Target: target, Options: Options{
		Criterion: Criterion{FirstByte: true}, Strategy: sched.AllAtOnce, AttemptTimeout: 300 * ms, MaxBackups: new(0),
	}})
	must(t, err)
	checkRace(t, r)
	wantWaves(t, r, most-ofRaces)
}
