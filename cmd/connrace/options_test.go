package main

import (
	"io"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// parsed returns the command that args select.
func parsed[C any](t *testing.T, args ...string) *C {
	t.Helper()
	command, _, err := parse(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return command.Selected().Target.Addr().Interface().(*C)
}

// The daemon has the defaults: what was not given is not sent.
func TestUnsetOptions(t *testing.T) {
	t.Parallel()
	race := parsed[raceCmd](t, "race", "example.com:443")
	probe := parsed[probeCmd](t, "probe", "example.com:443")
	if race.selection() != nil || race.options() != nil || probe.options() != nil || duration(probe.Interval) != nil || probe.Rounds != 0 {
		t.Errorf("fields are set that nobody gave: %v %v %v", race.selection(), race.options(), probe.options())
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	race := parsed[raceCmd](t, "race", "a.example:1", "-4", "--prefer", "ipv4", "--first-family-count", "2",
		"--resolution-delay", "0s", "--max-addresses", "7", "--strategy", "all-at-once", "--attempt-delay", "100ms",
		"--attempt-timeout", "1s", "--timeout", "2s", "--max-in-flight", "9")
	wantProto(t, race.selection(), `only_family: ADDRESS_FAMILY_IPV4 preferred_family: ADDRESS_FAMILY_IPV4
		first_address_family_count: 2 resolution_delay {} max_addresses_per_answer: 7`)
	wantProto(t, race.options(), `strategy: STRATEGY_ALL_AT_ONCE attempt_delay { nanos: 100000000 }
		attempt_timeout { seconds: 1 } timeout { seconds: 2 } max_in_flight: 9`)

	rank := parsed[rankCmd](t, "rank", "-6", "--prefer=ipv6", "--strategy=sequential", "a.example:1")
	wantProto(t, rank.selection(), `only_family: ADDRESS_FAMILY_IPV6 preferred_family: ADDRESS_FAMILY_IPV6`)
	wantProto(t, rank.options(), `strategy: STRATEGY_SEQUENTIAL`)

	watch := parsed[watchCmd](t, "watch", "a.example:1", "-n", "3", "-i", "20ms", "--attempt-timeout", "1s", "--timeout", "2s", "--max-in-flight", "9")
	wantProto(t, watch.options(), `attempt_timeout { seconds: 1 } timeout { seconds: 2 } max_in_flight: 9`)
	wantProto(t, duration(watch.Interval), `nanos: 20000000`)
}

func wantProto[M proto.Message](t *testing.T, got M, text string) {
	t.Helper()
	want := got.ProtoReflect().New().Interface()
	if err := prototext.Unmarshal([]byte(text), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  []string
		want  string
		title string
	}{
		{[]string{"a.example:1"}, `target: "a.example:1"`, "a.example:1"},
		{[]string{"x=a.example:1"}, `candidates { endpoint: "a.example:1" label: "x" }`, "x=a.example:1"},
		{[]string{"x=y=[::1]:1", "b.example:2"}, `candidates { endpoint: "[::1]:1" label: "x=y" } candidates { endpoint: "b.example:2" }`, "2 candidates"},
		{[]string{"=a.example:1"}, `candidates { endpoint: "a.example:1" }`, "=a.example:1"},
	} {
		args := targetArgs{Targets: c.args}
		target, candidates := args.target()
		wantProto(t, &pb.RaceRequest{Target: target, Candidates: candidates}, c.want)
		if args.title() != c.title {
			t.Errorf("%q is called %q, want %q", c.args, args.title(), c.title)
		}
	}
}
