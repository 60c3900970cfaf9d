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

// What has no delay is told from what has one of zero.
func TestEncodeAttemptDelay(t *testing.T) {
	t.Parallel()
	for _, b := range named(sched.BasisNone) {
		want := durationpb.New(0)
		if b == sched.BasisNone {
			want = nil
		}
		if got := attempt(&racer.Attempt{Basis: b}); !proto.Equal(got.GetAttemptDelay(), want) || got.GetDelayBasis() != bases[b] {
			t.Errorf("attempt with basis %q is %v", b, got)
		}
		start := racer.ScheduledStart{Endpoint: netip.MustParseAddrPort("192.0.2.1:443"), Basis: b}
		if got := schedule([]racer.ScheduledStart{start})[0]; !proto.Equal(got.GetAttemptDelay(), want) || got.GetDelayBasis() != bases[b] {
			t.Errorf("start with basis %q is %v", b, got)
		}
	}
}

// The winner is told by the attempt that won, which need not be the first at its
// address.
func TestEncodeWinnerOfABackup(t *testing.T) {
	t.Parallel()
	got := winner(&racer.Candidate{
		Position: 3, Endpoint: netip.MustParseAddrPort("192.0.2.1:443"), Index: -1, Outcome: sched.OutcomeWon,
		Attempts: []racer.Attempt{
			{Number: 4, Begun: true, Start: time.Second, End: 9 * time.Second, Outcome: sched.OutcomeCancelled},
			{
				Number: 7, Begun: true, Start: 5 * time.Second, End: 8 * time.Second, Outcome: sched.OutcomeWon,
				Local: netip.MustParseAddrPort("192.0.2.9:1024"),
			},
		},
	})
	want := &connracev1.Winner{
		Position: 3, Endpoint: "192.0.2.1:443", Address: "192.0.2.1", Port: 443,
		Family: connracev1.AddressFamily_ADDRESS_FAMILY_IPV4, AttemptNumber: 7, LocalEndpoint: "192.0.2.9:1024",
		WinOffset: durationpb.New(8 * time.Second), ConnectDuration: durationpb.New(3 * time.Second),
	}
	if !proto.Equal(got, want) {
		t.Errorf("the winner is %v, want %v", got, want)
	}
}

// A candidate that would have been sooner than the winner has a negative
// difference, one that took as long has zero, and one that nobody knows has none.
func TestEncodeIfFirstDifference(t *testing.T) {
	t.Parallel()
	sooner, same := -1500*time.Millisecond, time.Duration(0)
	for _, c := range []struct {
		known *time.Duration
		want  *durationpb.Duration
	}{{&sooner, &durationpb.Duration{Seconds: -1, Nanos: -500_000_000}}, {&same, &durationpb.Duration{}}, {nil, nil}} {
		if got := candidate(&racer.Candidate{IfFirst: c.known}).GetIfFirstDifference(); !proto.Equal(got, c.want) {
			t.Errorf("the difference is %v, want %v", got, c.want)
		}
	}
}

// What no race does yet has its words: an attempt of several stages.
func TestEncodeStages(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddrPort("192.0.2.1:443")
	for want, entry := range map[connracev1.TranscriptEventKind]sched.Entry{
		connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_PROGRESSED: {
			At: time.Second, Event: sched.Event{Kind: sched.Progressed, Attempt: 1},
		},
		connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_PROCEEDED: {
			At: time.Second, Action: sched.Action{Kind: sched.Proceed, Attempt: 1},
		},
	} {
		got := transcriptEvent(&racer.Entry{Entry: entry, Endpoint: at})
		want := &connracev1.TranscriptEvent{
			Offset: durationpb.New(time.Second), Kind: want, Attempt: proto.Int32(2), Endpoint: at.String(),
		}
		if !proto.Equal(got, want) {
			t.Errorf("the event is %v, want %v", got, want)
		}
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
