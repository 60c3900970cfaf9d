package main

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"time"
)

// driverWorker asks a server, and takes what that costs the server.
const driverWorker = "driver"

// drive is what a driver does.
type drive struct {
	call     string // one of calls
	server   *process
	at       string // where to ask it
	inFlight int
	targets  []string
}

// callSample is what a driver prints.
type callSample struct {
	CPUMicros  float64 `json:"cpuUs"` // of the server
	WallMicros float64 `json:"wallUs"`
	Calls      float64 `json:"calls"`
	Failures   float64 `json:"failures"`
}

// run has another process ask, and returns what it has seen.
func (d drive) run(self string, at pace) (s callSample, err error) {
	args := []string{
		self, workerCommand, driverWorker, "-call", d.call, "-at", d.at, "-pid", strconv.Itoa(d.server.pid()),
		"-in-flight", strconv.Itoa(d.inFlight), "-warm", at.warm.String(), "-measure", at.measure.String(),
	}
	if err := output(append(args, d.targets...), &s); err != nil {
		return s, fmt.Errorf("%s of %s: %w", d.call, d.server.name, err)
	}
	return s, nil
}

func workDriver(args []string) (any, error) {
	flags := flag.NewFlagSet(driverWorker, flag.ExitOnError)
	name := flags.String("call", "", "what to ask")
	at := flags.String("at", "", "where to ask")
	pid := flags.Int("pid", 0, "the server's process")
	inFlight := flags.Int("in-flight", 1, "calls side by side")
	warm := flags.Duration("warm", 0, "time before the measurement")
	measured := flags.Duration("measure", 0, "time measured")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	prepare, known := calls[*name]
	if !known {
		return nil, fmt.Errorf("there is no call %q", *name)
	}
	call, err := prepare(*at, flags.Args())
	if err != nil {
		return nil, err
	}
	if err := call(context.Background()); err != nil {
		return nil, fmt.Errorf("the first call: %w", err)
	}
	j := &job{inFlight: *inFlight, boundary: boundaries()}
	j.repeat(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := call(ctx); err != nil {
			j.failures.Add(1)
		}
	})
	return j.watchServer(*pid, *warm, *measured)
}

// watchServer takes what calls cost the process that answers them.
func (j *job) watchServer(pid int, warm, d time.Duration) (s callSample, err error) {
	if err := j.untilOver(warm); err != nil {
		return s, err
	}
	races, failures, began := j.races.Load(), j.failures.Load(), time.Now()
	before, err := cpuTime(pid)
	if err != nil {
		return s, err
	}
	if err := j.untilOver(d); err != nil {
		return s, err
	}
	after, err := cpuTime(pid)
	return callSample{
		CPUMicros:  micros(after - before),
		WallMicros: micros(time.Since(began)),
		Calls:      float64(j.races.Load() - races),
		Failures:   float64(j.failures.Load() - failures),
	}, err
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
