package racer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/racer/sched"
)

// stormHosts accept after 2, 6 and 16 ms, refuse, and are silent.
func (w *world) stormHosts(t *testing.T) (accepting []*netlab.Host, target Target) {
	t.Helper()
	for i, p := range []link.Path{
		{Delay: ms},
		{Delay: 3 * ms, Jitter: 2 * ms},
		{Delay: 8 * ms},
		{Delay: 2 * ms, State: link.TCPReset},
		{State: link.HostUnreachable},
		{State: link.Blackhole},
	} {
		addr := netip.AddrFrom4([4]byte{198, 51, 100, 1 + byte(i)})
		if i%2 == 1 {
			addr = netip.MustParseAddr(fmt.Sprintf("2001:db8:80::%d", i))
		}
		if h := w.host(t, addr, p); i < 3 {
			accepting = append(accepting, h)
		}
		target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: netip.AddrPortFrom(addr, 80).String()})
	}
	full := netip.MustParseAddrPort("198.51.100.9:80")
	must(t, w.SetPath(full.Addr(), link.Path{}))
	_, err := w.Swallow(full)
	must(t, err)
	target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: full.String()})
	return accepting, target
}

// A thousand races, eight at a time, over hosts that accept, refuse and are
// silent, each ended at a random moment by its caller, its deadline or a winner.
// Nothing is left of them: no goroutine, no descriptor, no connection.
func TestThousandRacesLeaveNothing(t *testing.T) {
	hosts, target := newWorld(t).stormHosts(t)
	racer := New(Config{})
	storm(t, racer, target, 20, 99) // Go's poller and the like open once
	checkClosed := func() {
		for _, h := range hosts {
			eventually(t, "no connection is open", func() bool { return h.Open() == 0 })
		}
	}
	checkClosed()
	racer.Close()
	before := resources(t)
	ends := storm(t, racer, target, 1000, 1)
	racer.Close()
	checkNothingLeft(t, before, hosts)
	t.Logf("races: %v", ends)
	for _, end := range []string{"won", "exhausted", "deadline_near", "the caller left", "with backups", "with late losers"} {
		if ends[end] == 0 {
			t.Errorf("none of the races ended that way: %s", end)
		}
	}
}

// storm runs races and counts how they ended, and what they came to.
func storm(t *testing.T, racer *Racer, target Target, count int, seed uint64) map[string]int {
	t.Helper()
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		ends    = make(map[string]int)
		jobs    = make(chan uint64)
	)
	for range 8 {
		workers.Go(func() {
			for n := range jobs {
				words := randomRace(t, racer, target, rand.New(rand.NewPCG(seed, n)))
				mu.Lock()
				for _, word := range words {
					ends[word]++
				}
				mu.Unlock()
			}
		})
	}
	for n := range count {
		jobs <- uint64(n)
	}
	close(jobs)
	workers.Wait()
	return ends
}

// randomRace runs one race and returns how it ended, and what else there was.
func randomRace(t *testing.T, racer *Racer, target Target, rng *rand.Rand) []string {
	ctx, cancel := randomContext(t.Context(), rng)
	defer cancel()
	req := randomRequest(target, rng)
	var (
		r   *RaceResult
		err error
	)
	if rng.IntN(2) == 0 {
		r, err = racer.Race(ctx, req)
	} else {
		r, err = dialAndClose(ctx, t, racer, req)
	}
	switch {
	case errors.Is(err, errCause) && r == nil:
		return []string{"the caller left"}
	case err != nil:
		t.Errorf("error is %v with %v", err, r)
		return nil
	}
	checkRace(t, r)
	if len(r.Candidates) != len(req.Target.Candidates) {
		t.Errorf("%d candidates of %d have an outcome", len(r.Candidates), len(req.Target.Candidates))
	}
	words := []string{r.End.String()}
	if r.Cost.Backups > 0 {
		words = append(words, "with backups")
	}
	if r.Cost.Dropped > 0 && r.Options.Grace > 0 {
		words = append(words, "with late losers")
	}
	return words
}

// dialAndClose takes an error for want of a winner for the result it holds.
func dialAndClose(ctx context.Context, t *testing.T, racer *Racer, req RaceRequest) (*RaceResult, error) {
	conn, r, err := racer.Dial(ctx, req)
	if conn != nil {
		if got, want := conn.RemoteAddr().String(), r.Winner.Endpoint.String(); got != want {
			t.Errorf("the connection is to %s, the winner is %s", got, want)
		}
		if err := conn.Close(); err != nil {
			t.Errorf("the winner's connection: %v", err)
		}
	}
	if lost, ok := errors.AsType[*NotWonError](err); ok && conn == nil {
		return lost.Result, nil
	}
	return r, err
}

// randomContext is one that is cancelled, one that has a deadline, or one that
// outlives the race.
func randomContext(ctx context.Context, rng *rand.Rand) (context.Context, func()) {
	moment := 60 * ms >> rng.IntN(12) // down to 29 µs, when most is in the making
	switch rng.IntN(3) {
	case 0:
		ctx, cancel := context.WithCancelCause(ctx)
		timer := time.AfterFunc(moment, func() { cancel(errCause) })
		return ctx, func() { timer.Stop(); cancel(nil) }
	case 1:
		return context.WithTimeout(ctx, moment)
	default:
		return ctx, func() {}
	}
}

func randomRequest(target Target, rng *rand.Rand) RaceRequest {
	var req RaceRequest
	for _, i := range rng.Perm(len(target.Candidates))[:1+rng.IntN(len(target.Candidates))] {
		spec := target.Candidates[i]
		if rng.IntN(2) == 0 {
			spec.ExpectedRTT = time.Duration(1+rng.IntN(5)) * ms // a backup is due after 10 to 15 ms
		}
		req.Target.Candidates = append(req.Target.Candidates, spec)
	}
	delay := time.Duration(10+rng.IntN(30)) * ms
	req.Options = Options{
		Strategy:       everyStrategy[rng.IntN(len(everyStrategy))],
		MaxBackups:     new(rng.IntN(4)),
		Grace:          time.Duration(rng.IntN(3)) * 20 * ms,
		AttemptTimeout: time.Duration(20+rng.IntN(40)) * ms,
		Timeout:        time.Duration(50+rng.IntN(200)) * ms,
		MaxInFlight:    rng.IntN(4),
	}
	if s := req.Options.Strategy; s != sched.Sequential && s != sched.AllAtOnce {
		req.Options.AttemptDelay = &delay
	}
	return req
}
