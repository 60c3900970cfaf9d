package server

import (
	"net/netip"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// What needs an IPv6 network, or luck, over the wire.

func TestEncodeMaskedFamily(t *testing.T) {
	t.Parallel()
	winner := racer.Candidate{Endpoint: netip.MustParseAddrPort("192.0.2.1:443")}
	silence := racer.MaskedAddress{
		Position: 1,
		Endpoint: netip.MustParseAddrPort("[2001:db8::1]:443"),
		Outcome:  sched.OutcomeCancelled,
		Duration: 251 * time.Millisecond,
	}
	result := &racer.RaceResult{
		Winner: &winner,
		Masked: racer.Masked{Families: []addrsel.Family{addrsel.FamilyIPv6}, Addresses: []racer.MaskedAddress{silence}},
	}
	got := masked(result)
	want := &connracev1.Masked{
		Families: []connracev1.AddressFamily{connracev1.AddressFamily_ADDRESS_FAMILY_IPV6},
		Addresses: []*connracev1.MaskedAddress{{
			Position: 1,
			Endpoint: "[2001:db8::1]:443",
			Family:   connracev1.AddressFamily_ADDRESS_FAMILY_IPV6,
			Outcome:  connracev1.Outcome_OUTCOME_CANCELLED,
			Duration: durationpb.New(251 * time.Millisecond),
		}},
		Summary: result.Masked.Summary(&winner),
	}
	if !proto.Equal(got, want) || got.GetSummary() == "" {
		t.Errorf("masked is %v, want %v", got, want)
	}
}

// An attempt whose first packet never left this host has no start, no phase and
// no local end, and is not taken for one that started at once.
func TestEncodeAttemptThatNeverBegan(t *testing.T) {
	t.Parallel()
	failure := sched.Failure{Type: "_OTHER", Errno: "EMFILE", Text: "no descriptors", Fault: sched.FaultHost}
	got := attempt(&racer.Attempt{Number: 3, Trigger: sched.TriggerFailure, End: time.Second, Outcome: sched.OutcomeFailed, Failure: failure})
	want := &connracev1.Attempt{
		Number:    3,
		Trigger:   connracev1.AttemptTrigger_ATTEMPT_TRIGGER_FAILURE,
		EndOffset: durationpb.New(time.Second),
		Outcome:   connracev1.Outcome_OUTCOME_FAILED,
		Failure: &connracev1.Failure{
			ErrorType: "_OTHER", Errno: "EMFILE", Message: "no descriptors", Fault: connracev1.Fault_FAULT_HOST,
		},
	}
	if !proto.Equal(got, want) {
		t.Errorf("attempt is %v, want %v", got, want)
	}
}

// Every reason has its sentence with the rule, and only the last place has none.
func TestEncodeRankExplanation(t *testing.T) {
	t.Parallel()
	for _, r := range named(addrsel.ReasonLast) {
		got := candidate(&racer.Candidate{Endpoint: netip.MustParseAddrPort("192.0.2.1:443"), Reason: r, Index: -1})
		want := r.Text() + " (" + r.Rule() + ")"
		if r == addrsel.ReasonLast {
			want = ""
		}
		if got.GetRankExplanation() != want || got.GetRankReason() != rankReasons[r] {
			t.Errorf("%v is %v, %q; want %q", r, got.GetRankReason(), got.GetRankExplanation(), want)
		}
	}
}

// The host's own failures are told from the target's.
func TestEncodeStats(t *testing.T) {
	t.Parallel()
	got := stats(&racer.Stats{
		Count: 3, Failures: 1, HostFailures: 2,
		Kinds: []racer.FailureCount{
			{Type: "_OTHER", Fault: sched.FaultHost, Count: 2},
			{Type: "connection_refused", Fault: sched.FaultTarget, Count: 1},
		},
		Samples: []time.Duration{3 * time.Second, time.Second},
	})
	want := &connracev1.ConnectStats{
		Count: 3, FailureCount: 1, HostFailureCount: 2,
		Failures: []*connracev1.FailureCount{
			{ErrorType: "_OTHER", Fault: connracev1.Fault_FAULT_HOST, Count: 2},
			{ErrorType: "connection_refused", Fault: connracev1.Fault_FAULT_TARGET, Count: 1},
		},
		Min: durationpb.New(time.Second), Median: durationpb.New(time.Second), P90: durationpb.New(3 * time.Second),
		Max: durationpb.New(3 * time.Second), Last: durationpb.New(time.Second),
		Samples: []*durationpb.Duration{durationpb.New(3 * time.Second), durationpb.New(time.Second)},
	}
	if !proto.Equal(got, want) {
		t.Errorf("stats are %v, want %v", got, want)
	}
}
