package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/connrace/connrace/client"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// call asks a server once.
type call func(ctx context.Context) error

// Names of the calls.
const (
	callExporter   = "exporter"            // one address of blackbox_exporter
	callCompressed = "exporter-compressed" // likewise, as Prometheus asks
	callProbe      = "probe"               // one address
	callProbeAll   = "probe-all"           // all targets at once
	callRace       = "race"                // all targets
	callEmpty      = "empty"               // nothing, in messages as large as those of a race
	callEmptyRace  = "empty-race"          // a race, in such messages
)

// calls prepare a call of the server at the address. Those of one target take turns
// among all.
var calls = map[string]func(at string, targets []string) (call, error){
	callExporter:   func(at string, targets []string) (call, error) { return askExporter(at, targets, true), nil },
	callCompressed: func(at string, targets []string) (call, error) { return askExporter(at, targets, false), nil },
	callProbe: func(at string, targets []string) (call, error) {
		next := inTurn(targets)
		return askProbe(at, func() []string { return []string{next()} })
	},
	callProbeAll: func(at string, targets []string) (call, error) {
		return askProbe(at, func() []string { return targets })
	},
	callRace:      askRace,
	callEmpty:     func(at string, targets []string) (call, error) { return askEmpty(emptyMethod, at, targets) },
	callEmptyRace: func(at string, targets []string) (call, error) { return askEmpty(emptyRaceMethod, at, targets) },
}

// inTurn returns one after the other, to any goroutine.
func inTurn(targets []string) func() string {
	var n atomic.Uint64
	return func() string { return targets[(n.Add(1)-1)%uint64(len(targets))] }
}

// askExporter keeps its connections, as Prometheus does.
func askExporter(at string, targets []string, plain bool) call {
	const connections = 1000
	web := http.Client{Transport: &http.Transport{DisableCompression: plain, MaxIdleConnsPerHost: connections}}
	next := inTurn(targets)
	return func(ctx context.Context) error {
		query := url.Values{"module": {exporterModule}, "target": {next()}}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/probe?"+query.Encode(), http.NoBody)
		if err != nil {
			return err
		}
		reply, err := web.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = reply.Body.Close() }()
		text, err := io.ReadAll(reply.Body)
		if err == nil && !strings.Contains(string(text), "\nprobe_success 1\n") {
			err = fmt.Errorf("the probe of %s: %s", query, text)
		}
		return err
	}
}

func askProbe(at string, targets func() []string) (call, error) {
	daemon, err := client.New(at)
	return func(ctx context.Context) error {
		request := &connracev1.ProbeRequest{Candidates: candidates(targets())}
		reply, err := daemon.Probe(ctx, request)
		if err != nil {
			return err
		}
		if v := reply.GetReport().GetVerdict(); v != connracev1.Verdict_VERDICT_REACHABLE {
			return fmt.Errorf("the verdict is %v", v)
		}
		return nil
	}, err
}

func askRace(at string, targets []string) (call, error) {
	daemon, err := client.New(at)
	request := raceRequest(targets)
	return func(ctx context.Context) error {
		reply, err := daemon.Race(ctx, request)
		if err == nil && reply.GetWinner() == nil {
			err = fmt.Errorf("the race was not won: %v", reply.GetRun().GetEndReason())
		}
		return err
	}, err
}

func raceRequest(targets []string) *connracev1.RaceRequest {
	return &connracev1.RaceRequest{Candidates: candidates(targets)}
}

func candidates(targets []string) (all []*connracev1.CandidateSpec) {
	for _, t := range targets {
		all = append(all, &connracev1.CandidateSpec{Endpoint: t})
	}
	return all
}
