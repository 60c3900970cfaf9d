package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"

	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/racer/sched"
)

// workerCommand makes this program one of the programs that are measured, or that
// ask them.
const workerCommand = "worker"

// Names of the Go programs.
const (
	nameBare   = "internal/connect"
	nameRacer  = "racer"
	nameDialer = "net.Dialer"

	nameDefaults = "racer, defaults" // beside RPCs only
)

// contenders are the Go programs, in the order of the table.
var contenders = []string{nameBare, nameRacer, nameDialer}

// work does what a worker's first argument names, and prints what it came to as JSON.
func work(args []string) error {
	kinds := map[string]func([]string) (any, error){
		connectsWorker:  workConnects,
		pendingWorker:   workPending,
		driverWorker:    workDriver,
		serverWorker:    workServer,
		roundTripWorker: workRoundTrips,
	}
	if len(args) == 0 || kinds[args[0]] == nil {
		return fmt.Errorf("there is no worker for %q", args)
	}
	result, err := kinds[args[0]](args[1:])
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// connectsWorker makes connects, races or probes.
const connectsWorker = "connects"

func workConnects(args []string) (any, error) {
	flags := flag.NewFlagSet(connectsWorker, flag.ExitOnError)
	name := flags.String("program", "", "which one")
	to := flags.String("goal", string(first), "when a race is over")
	inFlight := flags.Int("in-flight", 1, "races side by side")
	warm := flags.Duration("warm", 0, "time before the measurement")
	measured := flags.Duration("measure", 0, "time measured")
	profile := flags.String("profile", "", "directory for a CPU profile")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	endpoints, err := parseEndpoints(flags.Args())
	if err != nil {
		return nil, err
	}
	j := &job{endpoints: endpoints, goal: goal(*to), inFlight: *inFlight, boundary: boundaries()}
	if *profile != "" {
		stop, err := j.profile(*profile, *name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = stop() }() // what is missing is seen by who reads it
	}
	return j.watch(func() error { return begin(*name, j) }, *warm, *measured)
}

// begin starts a program's goroutines, which work until the process ends.
func begin(name string, j *job) error {
	switch name {
	case nameBare:
		return j.bare()
	case nameRacer:
		j.racer(racer.Options{Strategy: sched.AllAtOnce})
	case nameDefaults:
		j.racer(racer.Options{})
	case nameDialer:
		j.dialer()
	default:
		return fmt.Errorf("there is no program %q", name)
	}
	return nil
}

func parseEndpoints(texts []string) (endpoints []netip.AddrPort, err error) {
	for _, text := range texts {
		endpoint, err := netip.ParseAddrPort(text)
		if err != nil {
			return nil, err
		}
		endpoints = append(endpoints, endpoint)
	}
	return endpoints, nil
}
