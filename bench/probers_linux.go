package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
)

// Names of the rows.
const (
	nameExporter   = "blackbox_exporter"
	nameCompressed = "blackbox_exporter, replies compressed for Prometheus"
	nameProbe      = "connrace serve, a Probe RPC of one address"
	nameProbeAll   = "connrace serve, a Probe RPC of 1,000 addresses"
)

// probesInFlight are calls side by side, and addresses within a probe: the daemon's
// default.
const probesInFlight = 32

// measureProbers compares the daemon with blackbox_exporter, over loopback.
func measureProbers(self string, p pace, left *report) (r callRow, err error) {
	dir, err := os.MkdirTemp("", "connrace-bench-")
	if err != nil {
		return r, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	targets, err := acceptEverywhere()
	if err != nil {
		return r, err
	}
	daemon, err := startDaemon(dir)
	if err != nil {
		return r, err
	}
	defer daemon.stop()
	exporter, err := startExporter(dir, left)
	if err != nil {
		return r, err
	}
	var turns []turn
	add := func(name, call string, server *process, inFlight, units int) {
		d := drive{call: call, server: server, at: server.at, inFlight: inFlight, targets: targets}
		turns = append(turns, turn{name, units, func() (callSample, error) { return d.run(self, p) }})
	}
	if exporter != nil {
		defer exporter.stop()
		add(nameExporter, callExporter, exporter, probesInFlight, 1)
		add(nameCompressed, callCompressed, exporter, probesInFlight, 1)
	}
	add(nameProbe, callProbe, daemon, probesInFlight, 1)
	add(nameProbeAll, callProbeAll, daemon, 1, len(targets))
	title := fmt.Sprintf("CPU time of the server that probes over loopback, %d addresses at a time", probesInFlight)
	return measureCalls(title, "an address", p.rounds, turns)
}

// acceptEverywhere has addresses of loopback that accept.
func acceptEverywhere() (targets []string, err error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", "0.0.0.0:0")
	if err != nil {
		return nil, err
	}
	open = append(open, listener)
	go acceptAll(listener)
	port := listener.Addr().(*net.TCPAddr).AddrPort().Port()
	for i := range probeWidth {
		targets = append(targets, netip.AddrPortFrom(nth([2]byte{127, 2}, i), port).String())
	}
	return targets, nil
}

// What of the exporter's CPU time for a probe an address may cost.
const (
	probeLimit    = 1.0 / 8
	probeAllLimit = 1.0 / 40
)

func proberBars(r callRow) (bars []bar) {
	exporter, known := r.cpu(nameExporter)
	if !known {
		return nil
	}
	for _, b := range []bar{{Program: nameProbe, Limit: probeLimit}, {Program: nameProbeAll, Limit: probeAllLimit}} {
		if cpu, known := r.cpu(b.Program); known {
			b.Case, b.To, b.Value = "server CPU for each address", nameExporter, cpu/exporter
			bars = append(bars, b)
		}
	}
	return bars
}
