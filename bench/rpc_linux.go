package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// rpcsInFlight are calls side by side, and races of the row without gRPC.
const rpcsInFlight = 32

// nameInProcess is the row without gRPC.
const nameInProcess = "the same race without gRPC"

// wires are how RPCs get to the server.
var wires = []string{"TCP", "a Unix socket"}

func rpcName(call, wire string) string {
	return map[string]string{
		callEmpty:     "an empty RPC over ",
		callEmptyRace: "an empty RPC that races over ",
		callRace:      "a Race RPC over ",
	}[call] + wire
}

// measureRPCs compares races of two addresses through gRPC, an empty RPC with the same
// interceptors and sizes, one that races and throws the result away, and the race
// alone: in a server a race costs more than alone, since its caches are cold.
func measureRPCs(self string, c benchCase, p pace) (r callRow, err error) {
	dir, err := os.MkdirTemp("", "connrace-bench-")
	if err != nil {
		return r, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "server.sock")
	server, err := startServer(self, path, endpoints(c))
	if err != nil {
		return r, err
	}
	defer server.stop()
	var turns []turn
	for i, at := range []string{"passthrough:///" + server.at, "unix://" + path} {
		for _, call := range []string{callEmpty, callEmptyRace, callRace} {
			d := drive{call: call, server: server, at: at, inFlight: rpcsInFlight, targets: endpoints(c)}
			turns = append(turns, turn{rpcName(call, wires[i]), 1, func() (callSample, error) { return d.run(self, p) }})
		}
	}
	alone := goProgram(self, nameDefaults, "")
	turns = append(turns, turn{nameInProcess, 1, func() (callSample, error) {
		s, err := alone.run(c, p)
		return callSample{CPUMicros: s.UserMicros + s.SystemMicros, WallMicros: s.WallMicros, Calls: s.Races, Failures: s.Failures}, err
	}})
	title := fmt.Sprintf("CPU time of the server for RPCs, %d at a time: races of two literal addresses of loopback with the defaults", rpcsInFlight)
	return measureCalls(title, "a call", p.rounds, turns)
}

// rpcCase is a race of two.
func rpcCase(p place) benchCase {
	return benchCase{Place: p.name, Name: "Race RPC of 2", Goal: first, Width: 2, Endpoints: p.good[:2], InFlight: rpcsInFlight}
}

// rpcLimit is what a Race RPC may cost of its parts: the RPC and the race.
const rpcLimit = 1.3

const nameParts = "empty RPC + race"

func rpcBars(r callRow) (bars []bar) {
	race, known := r.cpu(nameInProcess)
	for _, wire := range wires {
		whole, knownWhole := r.cpu(rpcName(callRace, wire))
		empty, knownEmpty := r.cpu(rpcName(callEmpty, wire))
		if known && knownWhole && knownEmpty {
			bars = append(bars, bar{
				Case: "server CPU over " + wire, Program: "Race RPC", To: nameParts, Value: whole / (empty + race), Limit: rpcLimit,
			})
		}
	}
	return bars
}
