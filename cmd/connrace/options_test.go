package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
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
	if race.selection() != nil || race.options(nil, new(sourceFlags)) != nil || probe.options(nil, new(sourceFlags)) != nil || duration(probe.Interval) != nil || probe.Rounds != 0 {
		t.Errorf("fields are set that nobody gave: %v %v %v", race.selection(), race.options(nil, new(sourceFlags)), probe.options(nil, new(sourceFlags)))
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	race := parsed[raceCmd](t, "race", "a.example:1", "-4", "--prefer", "ipv4", "--first-family-count", "2",
		"--resolution-delay", "0s", "--max-addresses", "7", "--strategy", "all-at-once", "--attempt-delay", "100ms",
		"--attempt-timeout", "1s", "--timeout", "2s", "--max-in-flight", "9")
	wantProto(t, race.selection(), `only_family: ADDRESS_FAMILY_IPV4 preferred_family: ADDRESS_FAMILY_IPV4
		first_address_family_count: 2 resolution_delay {} max_addresses_per_answer: 7`)
	wantProto(t, race.options(nil, new(sourceFlags)), `strategy: STRATEGY_ALL_AT_ONCE attempt_delay { nanos: 100000000 }
		attempt_timeout { seconds: 1 } timeout { seconds: 2 } max_in_flight: 9`)

	race = parsed[raceCmd](t, "race", "a.example:1", "--strategy", "adaptive", "--delay-multiplier", "1.5", "--quantile", "0.95",
		"--max-backups", "0", "--grace", "500ms", "--happy-eyeballs", "v2")
	wantProto(t, race.options(nil, new(sourceFlags)), `strategy: STRATEGY_ADAPTIVE attempt_delay_multiplier: 1.5 adaptive_quantile: 0.95
		max_backup_attempts: 0 grace { nanos: 500000000 } version: HAPPY_EYEBALLS_VERSION_V2`)
	wantProto(t, parsed[raceCmd](t, "race", "a.example:1", "--max-backups=3", "--grace=0s", "--happy-eyeballs=v3").options(nil, new(sourceFlags)),
		`max_backup_attempts: 3 grace {} version: HAPPY_EYEBALLS_VERSION_V3`)

	rank := parsed[rankCmd](t, "rank", "-6", "--prefer=ipv6", "--strategy=sequential", "a.example:1")
	wantProto(t, rank.selection(), `only_family: ADDRESS_FAMILY_IPV6 preferred_family: ADDRESS_FAMILY_IPV6`)
	wantProto(t, rank.options(nil, new(sourceFlags)), `strategy: STRATEGY_SEQUENTIAL`)

	watch := parsed[watchCmd](t, "watch", "a.example:1", "-n", "3", "-i", "20ms", "--attempt-timeout", "1s", "--timeout", "2s", "--max-in-flight", "9")
	wantProto(t, watch.options(nil, new(sourceFlags)), `attempt_timeout { seconds: 1 } timeout { seconds: 2 } max_in_flight: 9`)
	wantProto(t, duration(watch.Interval), `nanos: 20000000`)
}

// Every strategy of the contract can be named, and no other.
func TestStrategies(t *testing.T) {
	t.Parallel()
	for number, name := range pb.Strategy_name {
		word := strings.ReplaceAll(strategyWord(pb.Strategy(number)), " ", "-")
		command, _, err := parse([]string{"race", "a.example:1", "--strategy", word}, io.Discard)
		if number == 0 {
			if err == nil {
				t.Errorf("--strategy takes %q", word)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		race := command.Selected().Target.Addr().Interface().(*raceCmd)
		if got := race.options(nil, new(sourceFlags)).GetStrategy().String(); got != name {
			t.Errorf("--strategy %s is %s, want %s", word, got, name)
		}
	}
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
		{[]string{"a.example:1@20ms"}, `candidates { endpoint: "a.example:1" expected_rtt { nanos: 20000000 } }`, "a.example:1@20ms"},
		{[]string{"x@y=[2001:db8::1]:1@1.5s"}, `candidates { endpoint: "[2001:db8::1]:1" label: "x@y" expected_rtt { seconds: 1 nanos: 500000000 } }`, "x@y=[2001:db8::1]:1@1.5s"},
		{[]string{"x@y=a.example:1", "a.example:1@-1s,0s,2ms"}, `candidates { endpoint: "a.example:1" label: "x@y" }
			candidates { endpoint: "a.example:1" past_connect_durations { seconds: -1 } past_connect_durations {} past_connect_durations { nanos: 2000000 } }`, "2 candidates"},
	} {
		args := targetArgs{Targets: c.args}
		target, candidates, err := args.target()
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
		}
		wantProto(t, &pb.RaceRequest{Target: target, Candidates: candidates}, c.want)
		if args.title() != c.title {
			t.Errorf("%q is called %q, want %q", c.args, args.title(), c.title)
		}
	}
}

// What is known of a candidate must be readable; what times are allowed is the
// daemon's to say.
func TestTargetWithUnreadableTimes(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"a.example:1@":            `candidate 2: "" is no time; write what is known of it with a unit: a.example:1@20ms`,
		"a.example:1@20":          `candidate 2: "20" is no time`,
		"a.example:1@20ms,":       `candidate 2: "" is no time`,
		"a.example:1@20ms@20ms":   `candidate 2: "20ms@20ms" is no time`,
		"x=a.example:1@fast":      `candidate 2: "fast" is no time`,
		"a.example:1@20ms;30ms":   `candidate 2: "20ms;30ms" is no time`,
		"a.example:1@\x1b[31mred": `candidate 2: "\x1b[31mred" is no time`,
	} {
		args := targetArgs{Targets: []string{"b.example:1", arg}}
		_, _, err := args.target()
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", arg, err, want)
		}
	}
}

// What flags say of success, source and end goes into the options of all commands that
// connect.
func TestMannerFlags(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("M\xfcller\n-----BEGIN X-----\nPEM\n-----END X-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, ``},
		{[]string{"--tls"}, `criterion { tls {} }`},
		{[]string{"--tls", "--server-name", "b.example", "--alpn", "h2,http/1.1", "--ca-file", file}, `criterion { tls {
			server_name: "b.example" alpn_protocols: "h2" alpn_protocols: "http/1.1" root_certificates_pem: "-----BEGIN X-----\nPEM\n-----END X-----\n" } }`},
		{[]string{"--http", "/"}, `criterion { http { path: "/" } }`},
		{[]string{"--http", "/x?y", "--http-method", "HEAD", "--http-host", "b:1", "--http-status", "200,204"}, `criterion { http {
			path: "/x?y" method: "HEAD" host: "b:1" success_statuses: 200 success_statuses: 204 } }`},
		{[]string{"--tls", "--grpc-health", ""}, `criterion { tls {} grpc_health {} }`},
		{[]string{"--grpc-health", "a.v1.B"}, `criterion { grpc_health { service: "a.v1.B" } }`},
		{[]string{"--first-byte"}, `criterion { first_byte {} }`},
		{[]string{"--bind", "192.0.2.1,2001:db8::1", "--interface", "eth1", "--mark", "4294967295", "--dscp", "46", "--close-with-fin"}, `source {
			bind_addresses: "192.0.2.1" bind_addresses: "2001:db8::1" interface: "eth1" mark: 4294967295 dscp: 46 } close_with_fin: true`},
	} {
		race := parsed[raceCmd](t, append([]string{"race", "a.example:1"}, c.args...)...)
		probe := parsed[probeCmd](t, append([]string{"probe", "a.example:1"}, c.args...)...)
		watch := parsed[watchCmd](t, append([]string{"watch", "a.example:1"}, c.args...)...)
		for name, f := range map[string]*criterionFlags{"race": &race.criterionFlags, "probe": &probe.criterionFlags, "watch": &watch.criterionFlags} {
			if _, err := f.criterion(nil); err != nil {
				t.Errorf("%s %q: %v", name, c.args, err)
			}
		}
		criterion, _ := race.criterion(nil)
		wantOptions(t, race.options(criterion, &race.sourceFlags), c.want)
		criterion, _ = probe.criterion(nil)
		wantOptions(t, probe.options(criterion, &probe.sourceFlags), c.want)
		criterion, _ = watch.criterion(nil)
		wantOptions(t, watch.options(criterion, &watch.sourceFlags), c.want)
	}
}

// wantOptions takes nil for nothing.
func wantOptions[M interface {
	comparable
	proto.Message
}](t *testing.T, got M, text string) {
	t.Helper()
	var none M
	if text == "" && got == none {
		return
	}
	wantProto(t, got, text)
}

// A URL says whom to connect to and what counts as a success there; flags add to it.
func TestURLTargets(t *testing.T) {
	t.Parallel()
	for url, c := range map[string]struct{ target, criterion string }{
		"https://a.example":            {"a.example:443", `tls {} http { path: "/" }`},
		"https://a.example:8443/x?y=z": {"a.example:8443", `tls {} http { path: "/x?y=z" }`},
		"http://192.0.2.1":             {"192.0.2.1:80", `http { path: "/" }`},
		"HTTP://a.example/%20":         {"a.example:80", `http { path: "/%20" }`},
		"http://[2001:db8::1]:80?x":    {"[2001:db8::1]:80", `http { path: "/?x" }`},
		"tls://a.example":              {"a.example:443", `tls {}`},
		"tls://a.example:1/":           {"a.example:1", `tls {}`},
		"grpcs://a.example:443":        {"a.example:443", `tls {} grpc_health {}`},
		"grpc://a.example:1/a.v1.B":    {"a.example:1", `grpc_health { service: "a.v1.B" }`},
	} {
		args := targetArgs{Targets: []string{url}}
		got, err := args.asked()
		if err != nil || got.target != c.target || got.candidates != nil {
			t.Errorf("%s is %q with %v, %v; want %q", url, got.target, got.candidates, err, c.target)
			continue
		}
		wantProto(t, got.criterion, c.criterion)
	}
	race := parsed[raceCmd](t, "race", "https://a.example/x", "--server-name", "b.example", "--http-method", "HEAD")
	asked, err := race.asked()
	if err != nil {
		t.Fatal(err)
	}
	got, err := race.criterion(asked.criterion)
	if err != nil {
		t.Fatal(err)
	}
	wantProto(t, got, `tls { server_name: "b.example" } http { path: "/x" method: "HEAD" }`)
}
