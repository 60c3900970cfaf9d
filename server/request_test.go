package server_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// badTargets are wrong in every RPC: target and candidates are the same in all.
var badTargets = map[string]struct {
	target     string
	candidates []*connracev1.CandidateSpec
	want       []violation
}{
	"neither": {want: []violation{wrong("target", "missing", "candidates")}},
	"both": {
		target: "127.0.0.1:80", candidates: candidates("127.0.0.1:80"),
		want: []violation{wrong("target", "candidates", "one of them")},
	},
	"no port":         {target: "example.com", want: []violation{wrong("target", "example.com", "port")}},
	"port 0":          {target: "example.com:0", want: []violation{wrong("target", `"0"`, "1 to 65535")}},
	"port 65536":      {target: "example.com:65536", want: []violation{wrong("target", `"65536"`, "1 to 65535")}},
	"port by name":    {target: "example.com:https", want: []violation{wrong("target", `"https"`, "1 to 65535")}},
	"signed port":     {target: "example.com:+80", want: []violation{wrong("target", `"+80"`, "1 to 65535")}},
	"no host":         {target: ":80", want: []violation{wrong("target", "no name or address")}},
	"no brackets":     {target: "2001:db8::1:80", want: []violation{wrong("target", "brackets", "[2001:db8::1]:443")}},
	"IPv4 bracketed":  {target: "[127.0.0.1]:80", want: []violation{wrong("target", "brackets", "IPv6")}},
	"octal spelling":  {target: "0177.0.0.1:80", want: []violation{wrong("target", "four decimal numbers")}},
	"hex spelling":    {target: "0x7f.1:80", want: []violation{wrong("target", "four decimal numbers")}},
	"number":          {target: "2130706433:80", want: []violation{wrong("target", "four decimal numbers")}},
	"URL":             {target: "http://example.com:80", want: []violation{wrong("target", "a URL", "options.criterion")}},
	"space":           {target: "ex ample.com:80", want: []violation{wrong("target", "' '", "letters, digits")}},
	"not ASCII":       {target: "exämple.com:80", want: []violation{wrong("target", "xn--")}},
	"empty label":     {target: "example..com:80", want: []violation{wrong("target", "63")}},
	"long label":      {target: strings.Repeat("a", 64) + ".com:80", want: []violation{wrong("target", "63")}},
	"long name":       {target: strings.Repeat("a.", 127) + "a:80", want: []violation{wrong("target", "255", "253")}},
	"long target":     {target: strings.Repeat("a", 263), want: []violation{wrong("target", "263", "262")}},
	"1001 candidates": {candidates: addressed(1001), want: []violation{wrong("candidates", "1001", "1000")}},
	"65 names":        {candidates: named65(), want: []violation{wrong("candidates", "65", "64")}},
	"empty candidate": {candidates: candidates(""), want: []violation{wrong("candidates[0].endpoint", "empty", "example.com:443")}},
	"second candidate": {
		candidates: candidates("127.0.0.1:80", "127.0.0.1"), want: []violation{wrong("candidates[1].endpoint", "port")},
	},
	"long endpoint": {
		candidates: candidates(strings.Repeat("a", 263)), want: []violation{wrong("candidates[0].endpoint", "263", "262")},
	},
	"long label of a candidate": {
		candidates: []*connracev1.CandidateSpec{{Endpoint: "127.0.0.1:80", Label: strings.Repeat("a", 101)}},
		want:       []violation{wrong("candidates[0].label", "101", "100")},
	},
	"many at once": {
		candidates: []*connracev1.CandidateSpec{{Endpoint: "a", Label: strings.Repeat("a", 101)}, {}},
		want: []violation{
			wrong("candidates[0].label"), wrong("candidates[0].endpoint"), wrong("candidates[1].endpoint"),
		},
	},
}

// addressed are candidates at n different addresses.
func addressed(n int) []*connracev1.CandidateSpec {
	endpoints := make([]string, n)
	for i := range endpoints {
		endpoints[i] = fmt.Sprintf("127.0.%d.%d:80", i/250, 1+i%250)
	}
	return candidates(endpoints...)
}

// named65 are one name too many, beside addresses.
func named65() []*connracev1.CandidateSpec {
	specs := addressed(2)
	for i := range 65 {
		specs = append(specs, candidates(fmt.Sprintf("name-%d.example:80", i))...)
	}
	return specs
}

// refuses asks all RPCs for what is wrong with a target or a selection: these are
// the same in all.
func refuses(t *testing.T, d *daemon, req *connracev1.RaceRequest, want ...violation) {
	t.Helper()
	ctx, target, specs, selection := patient(t), req.GetTarget(), req.GetCandidates(), req.GetSelection()
	_, err := d.rpc.Race(ctx, req)
	violates(t, err, want...)
	_, err = d.rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Target: target, Candidates: specs, Selection: selection})
	violates(t, err, want...)
	_, err = d.rpc.Probe(ctx, &connracev1.ProbeRequest{Target: target, Candidates: specs, Selection: selection})
	violates(t, err, want...)
	_, err = watch(t, d, &connracev1.WatchProbeRequest{Target: target, Candidates: specs, Selection: selection}).Recv()
	violates(t, err, want...)
}

func TestBadTargets(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for name, c := range badTargets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuses(t, d, &connracev1.RaceRequest{Target: c.target, Candidates: c.candidates}, c.want...)
		})
	}
}

// invalid are Durations no clock can show: signs that differ, and a nano too
// many. The last one is zero if one adds it up.
var invalid = []*durationpb.Duration{
	{Seconds: 1, Nanos: -1},
	{Seconds: -1, Nanos: 1},
	{Nanos: 1_000_000_000},
	{Seconds: 400_000_000_000},
	{Seconds: 1, Nanos: -1_000_000_000},
}

func TestBadSelections(t *testing.T) {
	t.Parallel()
	v4, v6 := connracev1.AddressFamily_ADDRESS_FAMILY_IPV4, connracev1.AddressFamily_ADDRESS_FAMILY_IPV6
	bad := map[string][]*connracev1.SelectionOptions{
		"selection.only_family": {{OnlyFamily: 3}, {OnlyFamily: -1}, {OnlyFamily: 258}},
		"selection.preferred_family": {
			{PreferredFamily: 3}, {PreferredFamily: -1}, {OnlyFamily: v4, PreferredFamily: v6}, {OnlyFamily: v6, PreferredFamily: v4},
		},
		"selection.first_address_family_count": {{FirstAddressFamilyCount: -1}, {FirstAddressFamilyCount: 1001}},
		"selection.max_addresses_per_answer":   {{MaxAddressesPerAnswer: -1}, {MaxAddressesPerAnswer: 1001}},
		"selection.resolution_delay": {
			{ResolutionDelay: durationpb.New(-1)}, {ResolutionDelay: durationpb.New(2*time.Second + 1)},
		},
	}
	for _, m := range invalid {
		bad["selection.resolution_delay"] = append(bad["selection.resolution_delay"],
			&connracev1.SelectionOptions{ResolutionDelay: m})
	}
	d := serve(t, plain())
	for field, selections := range bad {
		for _, s := range selections {
			t.Run(fmt.Sprint(field, s), func(t *testing.T) {
				t.Parallel()
				refuses(t, d, &connracev1.RaceRequest{Target: "127.0.0.1:80", Selection: s}, wrong(field))
			})
		}
	}
}

// unreal are doubles that are no number.
var unreal = []float64{math.NaN(), math.Inf(1), math.Inf(-1)}

func TestBadRaceOptions(t *testing.T) {
	t.Parallel()
	bad := map[string][]*connracev1.RaceOptions{
		"options.strategy":        {{Strategy: 7}, {Strategy: 99}, {Strategy: -1}, {Strategy: 257}},
		"options.version":         {{Version: 1}, {Version: 4}, {Version: -1}, {Version: 258}},
		"options.attempt_delay":   {{AttemptDelay: durationpb.New(-1)}, {Strategy: 2, AttemptDelay: durationpb.New(-time.Hour)}},
		"options.attempt_timeout": {},
		"options.timeout":         {},
		"options.max_in_flight":   {{MaxInFlight: -1}, {MaxInFlight: 1001}},
		"options.grace":           {{Grace: durationpb.New(-1)}, {Grace: durationpb.New(10*time.Second + 1)}, {Grace: durationpb.New(11 * time.Second)}},
	}
	add := func(field string, o *connracev1.RaceOptions) { bad[field] = append(bad[field], o) }
	for _, m := range invalid {
		add("options.attempt_delay", &connracev1.RaceOptions{AttemptDelay: m})
		add("options.grace", &connracev1.RaceOptions{Grace: m})
	}
	for _, x := range append(unreal, -1, math.SmallestNonzeroFloat64, 0.999, math.Nextafter(10, 11), 1e9) {
		add("options.attempt_delay_multiplier", &connracev1.RaceOptions{AttemptDelayMultiplier: x})
		add("options.attempt_delay_multiplier", &connracev1.RaceOptions{AttemptDelayMultiplier: x, Strategy: oneByOne})
	}
	for _, x := range append(unreal, -1, -math.SmallestNonzeroFloat64, math.Nextafter(1, 2), 95) {
		add("options.adaptive_quantile", &connracev1.RaceOptions{AdaptiveQuantile: x, Strategy: adaptive})
		add("options.adaptive_quantile", &connracev1.RaceOptions{AdaptiveQuantile: x})
	}
	for _, n := range []int32{math.MinInt32, -1, 11, math.MaxInt32} {
		add("options.max_backup_attempts", &connracev1.RaceOptions{MaxBackupAttempts: &n})
		add("options.max_backup_attempts", &connracev1.RaceOptions{MaxBackupAttempts: &n, Strategy: oneByOne})
	}
	for _, m := range outside(5 * time.Minute) {
		add("options.attempt_timeout", &connracev1.RaceOptions{AttemptTimeout: m})
	}
	for _, m := range outside(10 * time.Minute) {
		add("options.timeout", &connracev1.RaceOptions{Timeout: m})
	}
	d := serve(t, plain())
	for field, options := range bad {
		for _, o := range options {
			t.Run(fmt.Sprint(field, o), func(t *testing.T) {
				t.Parallel()
				_, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{Target: "127.0.0.1:80", Options: o})
				violates(t, err, wrong(field))
				_, err = d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{Target: "127.0.0.1:80", Options: o})
				violates(t, err, wrong(field))
			})
		}
	}
}

// outside are durations that a bound of 1 ms to limit refuses.
func outside(limit time.Duration) []*durationpb.Duration {
	return append([]*durationpb.Duration{
		durationpb.New(0), durationpb.New(-time.Second), durationpb.New(time.Millisecond - 1), durationpb.New(limit + 1),
	}, invalid...)
}

func TestBadProbeOptions(t *testing.T) {
	t.Parallel()
	bad := map[string][]*connracev1.ProbeRequest{
		"options.max_in_flight": {
			{Options: &connracev1.ProbeOptions{MaxInFlight: -1}}, {Options: &connracev1.ProbeOptions{MaxInFlight: 1001}},
		},
		"interval": {{Interval: durationpb.New(10*time.Millisecond - 1)}},
	}
	add := func(field string, req *connracev1.ProbeRequest) { bad[field] = append(bad[field], req) }
	for _, m := range outside(5 * time.Minute) {
		add("options.attempt_timeout", &connracev1.ProbeRequest{Options: &connracev1.ProbeOptions{AttemptTimeout: m}})
	}
	for _, m := range outside(10 * time.Minute) {
		add("options.timeout", &connracev1.ProbeRequest{Options: &connracev1.ProbeOptions{Timeout: m}})
	}
	for _, m := range outside(time.Hour) {
		add("interval", &connracev1.ProbeRequest{Interval: m})
	}
	d := serve(t, plain())
	for field, requests := range bad {
		for _, req := range requests {
			t.Run(fmt.Sprint(field, req), func(t *testing.T) {
				t.Parallel()
				req.Target = "127.0.0.1:80"
				_, err := d.rpc.Probe(patient(t), req)
				violates(t, err, wrong(field))
				_, err = watch(t, d, &connracev1.WatchProbeRequest{
					Target: req.GetTarget(), Options: req.GetOptions(), Interval: req.GetInterval(),
				}).Recv()
				violates(t, err, wrong(field))
			})
		}
	}
}

func TestBadRounds(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for _, c := range []struct {
		rounds int32
		of     int // candidates
		says   []string
	}{
		{-1, 1, []string{"-1", "1 to 100"}},
		{101, 1, []string{"101", "1 to 100"}},
		{100, 201, []string{"20100", "20000"}},
		{21, 1000, []string{"21000", "20000"}},
	} {
		_, err := d.rpc.Probe(patient(t), &connracev1.ProbeRequest{Candidates: addressed(c.of), Rounds: c.rounds})
		violates(t, err, wrong("rounds", c.says...))
	}
}

// A refused value's description says what is allowed.
func TestBadValuesSayWhatIsAllowed(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	_, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Target:    "127.0.0.1:80",
		Selection: &connracev1.SelectionOptions{FirstAddressFamilyCount: -1, MaxAddressesPerAnswer: 1001, ResolutionDelay: durationpb.New(-1)},
		Options: &connracev1.RaceOptions{
			AttemptDelay: durationpb.New(-1), AttemptTimeout: durationpb.New(time.Hour), Timeout: durationpb.New(1), MaxInFlight: -7,
			AttemptDelayMultiplier: 0.5, AdaptiveQuantile: math.NaN(), Grace: durationpb.New(11 * time.Second),
		},
	})
	violates(t, err,
		wrong("selection.first_address_family_count", "-1", "1 to 1000"),
		wrong("selection.max_addresses_per_answer", "1001", "1 to 1000"),
		wrong("selection.resolution_delay", "-1ns", "0s to 2s"),
		wrong("options.attempt_delay", "-1ns", "0s", "10ms to 2s"),
		wrong("options.attempt_timeout", "1h0m0s", "1ms to 5m0s"),
		wrong("options.timeout", "1ns", "1ms to 10m0s"),
		wrong("options.max_in_flight", "-7", "1 to 1000"),
		wrong("options.attempt_delay_multiplier", "0.5", "1 to 10"),
		wrong("options.adaptive_quantile", "NaN", "0 to 1"),
		wrong("options.grace", "11s", "0s to 10s"),
	)
	_, err = d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Target:    "127.0.0.1:80",
		Selection: &connracev1.SelectionOptions{OnlyFamily: 9, PreferredFamily: 9},
		Options: &connracev1.RaceOptions{
			Strategy: 9, Version: 9, AttemptTimeout: durationpb.New(0), Timeout: invalid[0], Grace: invalid[1], MaxBackupAttempts: proto.Int32(11),
		},
	})
	violates(t, err,
		wrong("selection.only_family", "9", "ADDRESS_FAMILY_IPV4", "ADDRESS_FAMILY_IPV6"),
		wrong("selection.preferred_family", "9", "ADDRESS_FAMILY_IPV4", "ADDRESS_FAMILY_IPV6"),
		wrong("options.strategy", "9", "STRATEGY_STAGGERED", "STRATEGY_SEQUENTIAL", "STRATEGY_ALL_AT_ONCE", "STRATEGY_FIRST_THEN_ALL",
			"STRATEGY_FAMILY_FALLBACK", "STRATEGY_ADAPTIVE"),
		wrong("options.version", "9", "HAPPY_EYEBALLS_VERSION_V2", "HAPPY_EYEBALLS_VERSION_V3"),
		wrong("options.attempt_timeout", "0s", "1ms to 5m0s"),
		wrong("options.timeout", "0.25s"),
		wrong("options.grace", "0.25s"),
		wrong("options.max_backup_attempts", "11", "0 to 10"),
	)
}

// All that is wrong is said at once, whoever finds it: a caller mends a request
// in one go.
func TestBadValuesAreSaidTogether(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	_, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Options: &connracev1.RaceOptions{Strategy: 9, Timeout: durationpb.New(time.Hour)},
	})
	violates(t, err, wrong("target"), wrong("options.strategy"), wrong("options.timeout"))
	_, err = d.rpc.Probe(patient(t), &connracev1.ProbeRequest{Rounds: 101, Interval: durationpb.New(0)})
	violates(t, err, wrong("target"), wrong("rounds"), wrong("interval"))
}

// The bounds themselves are allowed.
func TestGoodBounds(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for _, req := range []*connracev1.ResolveAndRankRequest{
		{Candidates: addressed(1000)},
		{Candidates: []*connracev1.CandidateSpec{{Endpoint: "127.0.0.1:1", Label: strings.Repeat("a", 100)}}},
		{Target: "127.0.0.1:80", Selection: &connracev1.SelectionOptions{
			FirstAddressFamilyCount: 1000, MaxAddressesPerAnswer: 1000, ResolutionDelay: durationpb.New(2 * time.Second),
		}},
	} {
		if _, err := d.rpc.ResolveAndRank(patient(t), req); err != nil {
			t.Errorf("%.200v: %v", req, err)
		}
	}
	for _, req := range []*connracev1.ProbeRequest{ // of nothing to probe, so that it ends soon
		{Target: denied, Rounds: 100, Interval: durationpb.New(10 * time.Millisecond)},
		{Target: denied, Rounds: 1, Interval: durationpb.New(time.Hour)},
		{Candidates: slices.Repeat(candidates(denied), 1000), Rounds: 20},
		{Target: denied, Options: &connracev1.ProbeOptions{
			AttemptTimeout: durationpb.New(5 * time.Minute), Timeout: durationpb.New(10 * time.Minute), MaxInFlight: 1000,
		}},
		{Target: denied, Options: &connracev1.ProbeOptions{
			AttemptTimeout: durationpb.New(time.Millisecond), Timeout: durationpb.New(time.Millisecond), MaxInFlight: 1,
		}},
	} {
		if _, err := d.rpc.Probe(patient(t), req); err != nil {
			t.Errorf("%.200v: %v", req, err)
		}
	}
}

// denied is a target that may not be tried.
const denied = "169.254.169.254:80"

// The contract counts a label's characters, not the bytes they take.
func TestLabelsAreCountedInCharacters(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	_, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{
		Candidates: []*connracev1.CandidateSpec{{Endpoint: "127.0.0.1:80", Label: strings.Repeat("ä", 100)}},
	})
	must(t, err)
}

// What people type at grpcurl.
func TestRequestsInJSON(t *testing.T) {
	t.Parallel()
	d, good := serve(t, plain()), host(t, netlab.Accept).Addr()
	var req connracev1.RaceRequest
	must(t, protojson.Unmarshal(fmt.Appendf(nil, `{"target":%q}`, good), &req))
	reply, err := d.rpc.Race(patient(t), &req)
	must(t, err)
	text, err := protojson.Marshal(reply)
	must(t, err)
	compact := strings.ReplaceAll(string(text), " ", "")
	for _, want := range []string{
		`"endReason":"END_REASON_WON"`, fmt.Sprintf(`"winner":{"position":1,"endpoint":%q`, good), `"attemptDelay":"0.250s"`,
	} {
		if !strings.Contains(compact, want) {
			t.Errorf("the reply %s has no %s", compact, want)
		}
	}
}
