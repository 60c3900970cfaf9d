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

// Whatever a message holds: it is a sound request, or each field that is wrong is
// named once, by a name that leads to something in the message.
func FuzzRaceRequest(f *testing.F) {
	for _, m := range []*connracev1.RaceRequest{
		{},
		{Target: "example.com:443"},
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
		}},
		{Selection: &connracev1.SelectionOptions{
			OnlyFamily: 9, PreferredFamily: 9, FirstAddressFamilyCount: -1, ResolutionDelay: durationpb.New(-1), MaxAddressesPerAnswer: -1,
		}},
	} {
		wire, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var m connracev1.RaceRequest
		if proto.Unmarshal(wire, &m) != nil {
			return // gRPC refuses it
		}
		var d decoder
		req := racer.RaceRequest{Target: d.target(&m), Selection: d.selection(&m), Options: d.raceOptions(m.GetOptions())}
		err := d.err(req)
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
	})
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
