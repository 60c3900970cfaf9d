package main

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/connrace/connrace/internal/connect"
	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/racer/sched"
)

// bare is the engine without a race around it.
func (j *job) bare() error {
	var allowed []policy.Allowed
	for _, e := range j.endpoints {
		a, err := policy.Check(e)
		if err != nil {
			return err
		}
		allowed = append(allowed, a)
	}
	engine := new(connect.Engine)
	if len(allowed) == 1 {
		go j.bareConnects(engine, allowed[0])
		return nil
	}
	for range j.inFlight {
		go j.bareRaces(engine, allowed)
	}
	return nil
}

// bareConnects has all connects in one set of attempts, a new one for each that is
// over.
func (j *job) bareConnects(engine *connect.Engine, to policy.Allowed) {
	began, next, free := time.Now(), 0, j.inFlight
	attempts := engine.Attempts(connect.Race{
		Now: func() time.Duration { return time.Since(began) },
		Post: func(e sched.Event) {
			if e.Kind == sched.Started {
				j.attempts.Add(1)
				return
			}
			if e.Kind != sched.Connected {
				j.failures.Add(1)
			}
			free++
			j.over()
		},
	})
	for {
		for ; free > 0; free-- {
			attempts.Start(next, to)
			next++
		}
		attempts.Wait(0, false)
	}
}

func (j *job) bareRaces(engine *connect.Engine, to []policy.Allowed) {
	for {
		j.bareRace(engine, to)
		j.over()
	}
}

// bareRace gives the losers up one by one, as a race does, which asks the kernel about
// each.
func (j *job) bareRace(engine *connect.Engine, to []policy.Allowed) {
	began, pending, won := time.Now(), len(to), false
	attempts := engine.Attempts(connect.Race{
		Now: func() time.Duration { return time.Since(began) },
		Post: func(e sched.Event) {
			switch e.Kind {
			case sched.Started:
				j.attempts.Add(1)
			case sched.Connected:
				won = j.goal == first
				pending--
			case sched.Failed:
				j.failures.Add(1)
				pending--
			}
		},
	})
	for id, endpoint := range to {
		attempts.Start(id, endpoint)
	}
	for !won && pending > 0 {
		attempts.Wait(0, false)
	}
	for id := range to {
		attempts.Cancel(id)
	}
	attempts.Close()
}

// racer is the whole library, without names.
func (j *job) racer(o racer.Options) {
	r := racer.New(racer.Config{})
	if j.goal == all {
		j.repeat(func() { j.probe(r) })
		return
	}
	request := racer.RaceRequest{Target: j.target(), Options: o, NoTranscript: true}
	j.repeat(func() { j.race(r, request) })
}

// race has one request answered.
func (j *job) race(r *racer.Racer, request racer.RaceRequest) {
	result, err := r.Race(context.Background(), request)
	if err != nil || result.Winner == nil {
		j.failures.Add(1)
		return
	}
	j.attempts.Add(int64(result.Cost.Attempts))
}

func (j *job) probe(r *racer.Racer) {
	result, err := r.Probe(context.Background(), racer.ProbeRequest{
		Target:       j.target(),
		Options:      racer.ProbeOptions{MaxInFlight: racer.MaxMaxInFlight, AttemptTimeout: longest, Timeout: longest},
		NoTranscript: true, // as an RPC that does not ask for it
	})
	if err != nil {
		j.failures.Add(1)
		return
	}
	for _, c := range result.Report.Candidates {
		j.attempts.Add(int64(len(c.Attempts)))
		j.failures.Add(int64(len(c.Attempts) - len(c.Stats.Samples)))
	}
}

// longest is longer than any probe of a program that works.
const longest = time.Minute

func (j *job) target() racer.Target {
	var texts []string
	for _, e := range j.endpoints {
		texts = append(texts, e.String())
	}
	return target(texts)
}

func target(endpoints []string) (t racer.Target) {
	for _, e := range endpoints {
		t.Candidates = append(t.Candidates, racer.CandidateSpec{Endpoint: e})
	}
	return t
}

// dialer is what a Go program does without connrace.
func (j *job) dialer() {
	switch {
	case len(j.endpoints) == 1:
		j.repeat(func() { j.dialOne(j.endpoints[0]) })
	case j.goal == all:
		j.repeat(j.dialAll)
	default:
		j.repeat(j.dialRace)
	}
}

// dialAll is a probe: a goroutine for each endpoint.
func (j *job) dialAll() {
	var dials sync.WaitGroup
	for _, endpoint := range j.endpoints {
		dials.Go(func() { j.dialOne(endpoint) })
	}
	dials.Wait()
}

func (j *job) dialOne(to netip.AddrPort) {
	j.attempts.Add(1)
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", to.String())
	if err != nil {
		j.failures.Add(1)
		return
	}
	discard(conn)
}

// dialRace has a goroutine for each endpoint. The first that connects cancels the
// others.
func (j *job) dialRace() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, len(j.endpoints))
	for _, endpoint := range j.endpoints {
		go func() { done <- dialReset(ctx, endpoint) }()
	}
	j.attempts.Add(int64(len(j.endpoints)))
	won := false
	for range j.endpoints {
		switch err := <-done; {
		case err == nil && !won:
			won = true
			cancel()
		case err != nil && !won:
			j.failures.Add(1)
		}
	}
}

// dialReset sees that net.Dialer too closes with RST what connects when it is
// cancelled: a FIN would fill the ports with TIME_WAIT.
func dialReset(ctx context.Context, to netip.AddrPort) error {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
		})
	}}
	conn, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return err
	}
	return conn.Close()
}

func discard(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close() // nothing was sent, so nothing can be lost
}
