package server

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
)

// raceSeeds have every field of a race's request, sound and not.
func raceSeeds(tb testing.TB) []*connracev1.RaceRequest {
	tb.Helper()
	seeds := []*connracev1.RaceRequest{
		{},
		{Target: "example.com:443", IncludeTranscript: true, FailUnlessWon: true},
		{Target: "example.com:443", Share: true, CallerKey: strings.Repeat("k", 101)},
		{Target: "example.com:443", Candidates: []*connracev1.CandidateSpec{{}}},
		{Candidates: []*connracev1.CandidateSpec{
			{Endpoint: "127.0.0.1:80", ExpectedRtt: durationpb.New(1e6), PastConnectDurations: []*durationpb.Duration{durationpb.New(1e6), {}}},
			{Label: strings.Repeat("a", 101), ExpectedRtt: &durationpb.Duration{Nanos: -1, Seconds: 1}},
			{PastConnectDurations: []*durationpb.Duration{{Nanos: -1}, {Nanos: -1, Seconds: 1}, {Seconds: 301}, {Seconds: 1}}},
			{PastConnectDurations: make([]*durationpb.Duration, 101)},
		}},
		{Target: "example.com:443", Options: &connracev1.RaceOptions{
			Strategy: 9, Version: 9, AttemptDelay: durationpb.New(-1), AttemptDelayMultiplier: math.NaN(), AdaptiveQuantile: math.Inf(1),
			MaxBackupAttempts: proto.Int32(-1), Grace: durationpb.New(11e9), AttemptTimeout: durationpb.New(0), Timeout: durationpb.New(-1), MaxInFlight: -1,
			CloseWithFin: true,
		}},
		{Selection: &connracev1.SelectionOptions{
			OnlyFamily: 9, PreferredFamily: 9, FirstAddressFamilyCount: -1, ResolutionDelay: durationpb.New(-1), MaxAddressesPerAnswer: -1,
		}},
	}
	for i, c := range append(criteria(tb), badCriteria...) {
		seeds = append(seeds, &connracev1.RaceRequest{Target: "example.com:443", Options: &connracev1.RaceOptions{
			Criterion: c, Source: sources[i%len(sources)],
		}})
	}
	return seeds
}

// badCriteria are wrong in each of their fields.
var badCriteria = []*connracev1.SuccessCriterion{
	{
		Tls: &connracev1.TlsCheck{ServerName: "127.1", AlpnProtocols: []string{"h2", ""}, RootCertificatesPem: "garbage"},
		Application: &connracev1.SuccessCriterion_Http{Http: &connracev1.HttpCheck{
			Method: "POST", Path: "/ HTTP/1.1\r\nHost: elsewhere", Host: "a:0", SuccessStatuses: []int32{200, 99},
		}},
	},
	{Tls: &connracev1.TlsCheck{AlpnProtocols: make([]string, 9), RootCertificatesPem: "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"}},
	{Application: &connracev1.SuccessCriterion_GrpcHealth{GrpcHealth: &connracev1.GrpcHealthCheck{Service: "a\n", Authority: "[::1"}}},
	{Application: &connracev1.SuccessCriterion_Http{Http: &connracev1.HttpCheck{SuccessStatuses: make([]int32, 21)}}},
}

var sources = []*connracev1.SourceOptions{
	{BindAddresses: []string{"127.0.0.1", "::1"}, Interface: "lo", Mark: 7, Dscp: 46},
	{BindAddresses: []string{"127.0.0.1", "", "::ffff:127.0.0.2"}, Interface: "sixteen-bytes-et", Dscp: 64},
	{BindAddresses: []string{"::ffff:127.0.0.2%lo", "fe80::1%lo"}, Dscp: -1},
}

// A field that no seed has is hardly ever tried.
func TestSeedsHaveEveryField(t *testing.T) {
	t.Parallel()
	var race, probe []proto.Message
	for _, m := range raceSeeds(t) {
		race = append(race, m)
		probe = append(probe, probeOf(m))
	}
	complete(t, race)
	complete(t, probe, "include_transcript", "fail_unless_reachable")
}

// probeOf asks for a probe as m asks for a race.
func probeOf(m *connracev1.RaceRequest) *connracev1.ProbeRequest {
	p := &connracev1.ProbeRequest{
		Target: m.GetTarget(), Candidates: m.GetCandidates(), Selection: m.GetSelection(), CallerKey: m.GetCallerKey(),
		Rounds: 101, Interval: durationpb.New(0),
	}
	if o := m.GetOptions(); o != nil {
		p.Options = &connracev1.ProbeOptions{
			AttemptTimeout: o.GetAttemptTimeout(), Timeout: o.GetTimeout(), MaxInFlight: o.GetMaxInFlight(),
			Criterion: o.GetCriterion(), Source: o.GetSource(), CloseWithFin: o.GetCloseWithFin(),
		}
	}
	return p
}

func addSeed(f *testing.F, m proto.Message) {
	f.Helper()
	wire, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
}

// Whatever a message holds: it is a sound request, or each field that is wrong is
// named once, by a name that leads to something in the message.
func FuzzRaceRequest(f *testing.F) {
	for _, m := range raceSeeds(f) {
		addSeed(f, m)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var m connracev1.RaceRequest
		if proto.Unmarshal(wire, &m) != nil {
			return // gRPC refuses it
		}
		var d decoder
		req := racer.RaceRequest{
			Target: d.target(&m), Selection: d.selection(&m), Options: d.raceOptions(m.GetOptions()), Caller: m.GetCallerKey(),
		}
		namesFields(t, &m, d.err(req), req)
	})
}

func FuzzProbeRequest(f *testing.F) {
	for _, m := range raceSeeds(f) {
		addSeed(f, probeOf(m))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var m connracev1.ProbeRequest
		if proto.Unmarshal(wire, &m) != nil {
			return // gRPC refuses it
		}
		var d decoder
		req := racer.ProbeRequest{
			Target: d.target(&m), Selection: d.selection(&m), Options: d.probeOptions(m.GetOptions()),
			Rounds: int(m.GetRounds()), Interval: d.interval(m.GetInterval()), Caller: m.GetCallerKey(),
		}
		namesFields(t, &m, d.err(req), req)
	})
}

// namesFields checks what is said of a request that was made of a message.
func namesFields(t *testing.T, m proto.Message, err error, req interface{ Validate() error }) {
	t.Helper()
	if err == nil {
		err = req.Validate()
	}
	if err == nil {
		return
	}
	invalid, ok := errors.AsType[*racer.RequestError](err)
	if !ok || len(invalid.Fields) == 0 {
		t.Fatalf("the error is %v, want fields", err)
	}
	seen := map[string]bool{}
	for _, field := range invalid.Fields {
		if seen[field.Field] {
			t.Errorf("%s is wrong twice: %v", field.Field, err)
		}
		seen[field.Field] = true
		if !leads(m.ProtoReflect(), strings.Split(field.Field, ".")) {
			t.Errorf("%s leads nowhere: %v", field.Field, err)
		}
		if field.Message == "" {
			t.Errorf("nothing is said about %s", field.Field)
		}
	}
}

var step = regexp.MustCompile(`^([a-z_]+)(?:\[(\d+)\])?$`)

// leads follows a path such as candidates[3].past_connect_durations[7] into a
// message. Its end may be unset, the way to it may not.
func leads(m protoreflect.Message, path []string) bool {
	parts := step.FindStringSubmatch(path[0])
	if parts == nil {
		return false
	}
	f := m.Descriptor().Fields().ByName(protoreflect.Name(parts[1]))
	switch index, err := strconv.Atoi(parts[2]); {
	case f == nil, err == nil && (!f.IsList() || index >= m.Get(f).List().Len()):
		return false
	case len(path) == 1:
		return true
	case err == nil:
		return leads(m.Get(f).List().Get(index).Message(), path[1:])
	default:
		return f.Message() != nil && !f.IsList() && m.Has(f) && leads(m.Get(f).Message(), path[1:])
	}
}
