package server

import (
	"net/netip"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// everyStage is an attempt that has all there is to know of one.
func everyStage() racer.Attempt {
	long, short := time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 24, 12, 0, 0, 0, time.UTC)
	return racer.Attempt{
		Number: 2, Trigger: sched.TriggerAttemptDelay, Delay: 250 * time.Millisecond, Basis: sched.BasisConfigured,
		Deferral: &racer.Deferral{Start: 1 * time.Second, Duration: 2 * time.Second, Reason: sched.DeferCallerRate},
		Begun:    true, Start: 3 * time.Second, Up: 4 * time.Second, End: 9 * time.Second, Noticed: 4*time.Second + 7,
		Kernel: sched.Kernel{RTT: time.Millisecond, SYNRepeats: 1},
		Stages: &sched.Stages{
			Phases: []sched.Phase{
				{Kind: sched.PhaseTLS, Start: 5 * time.Second, Duration: time.Second},
				{Kind: sched.PhaseHealth, Start: 7 * time.Second, Duration: 2 * time.Second, Failed: true},
			},
			TLS: &sched.TLS{
				Version: "TLS 1.3", CipherSuite: "TLS_AES_128_GCM_SHA256", ALPN: "h2", ServerName: "lab.example", Verified: true,
				Certificates: []sched.Certificate{{
					Subject: "CN=leaf", Issuer: "CN=between", Names: []string{"lab.example", "192.0.2.1"},
					NotBefore: long.AddDate(-1, 0, 0), NotAfter: long, Serial: "0a", Fingerprint: "ff00",
				}, {
					Subject: "CN=between", Issuer: "CN=root", NotBefore: short.AddDate(-2, 0, 0), NotAfter: short, Serial: "0b", Fingerprint: "ff01",
				}},
			},
			HTTP:   &sched.HTTP{Status: 503, Protocol: "HTTP/2.0", FirstByte: time.Second},
			Health: "NOT_SERVING",
		},
		Local: netip.MustParseAddrPort("192.0.2.9:1024"), Outcome: sched.OutcomeFailed,
		Failure: sched.Failure{
			Type: "grpc_not_serving", Errno: "EXAMPLE", Text: "it is not serving", Fault: sched.FaultTarget,
			ICMP: sched.ICMP{From: netip.MustParseAddr("203.0.113.1"), Type: 3, Code: 13, Word: "admin_prohibited"},
		},
	}
}

// All that is known of an attempt's stages, its wait and its failure is told.
func TestEncodeEveryStage(t *testing.T) {
	t.Parallel()
	a := everyStage()
	got := attempt(&a)
	want := &connracev1.Attempt{
		Phases: []*connracev1.Phase{
			{Kind: connracev1.PhaseKind_PHASE_KIND_TCP_CONNECT, StartOffset: durationpb.New(3 * time.Second), Duration: durationpb.New(time.Second)},
			{Kind: connracev1.PhaseKind_PHASE_KIND_TLS_HANDSHAKE, StartOffset: durationpb.New(5 * time.Second), Duration: durationpb.New(time.Second)},
			{
				Kind: connracev1.PhaseKind_PHASE_KIND_GRPC_HEALTH, StartOffset: durationpb.New(7 * time.Second), Duration: durationpb.New(2 * time.Second),
				ErrorType: "grpc_not_serving",
			},
		},
		NoticeDelay: durationpb.New(7),
		Deferral: &connracev1.Deferral{
			StartOffset: durationpb.New(time.Second), Duration: durationpb.New(2 * time.Second),
			Reason: connracev1.DeferReason_DEFER_REASON_CALLER_RATE,
		},
		Tls: &connracev1.TlsFacts{
			Version: "TLS 1.3", CipherSuite: "TLS_AES_128_GCM_SHA256", AlpnProtocol: "h2", ServerName: "lab.example", Verified: true,
			Certificates: []*connracev1.CertificateFacts{{
				Subject: "CN=leaf", Issuer: "CN=between", Names: []string{"lab.example", "192.0.2.1"},
				ValidFromTime: &timestamppb.Timestamp{Seconds: 1772323200}, ExpireTime: &timestamppb.Timestamp{Seconds: 1803859200},
				SerialNumber: "0a", Sha256Fingerprint: "ff00",
			}, {
				Subject: "CN=between", Issuer: "CN=root",
				ValidFromTime: &timestamppb.Timestamp{Seconds: 1735041600}, ExpireTime: &timestamppb.Timestamp{Seconds: 1798113600},
				SerialNumber: "0b", Sha256Fingerprint: "ff01",
			}},
			EarliestExpireTime: &timestamppb.Timestamp{Seconds: 1798113600},
		},
		Http:         &connracev1.HttpFacts{Status: 503, Protocol: "HTTP/2.0", FirstByteDuration: durationpb.New(time.Second)},
		HealthStatus: "NOT_SERVING",
		Failure: &connracev1.Failure{
			ErrorType: "grpc_not_serving", Errno: "EXAMPLE", Message: "it is not serving", Fault: connracev1.Fault_FAULT_TARGET,
			Icmp: &connracev1.IcmpFacts{Type: 3, Code: 13, Word: "admin_prohibited", SenderAddress: "203.0.113.1"},
		},
		Number: 2, Trigger: connracev1.AttemptTrigger_ATTEMPT_TRIGGER_ATTEMPT_DELAY, AttemptDelay: durationpb.New(250 * time.Millisecond),
		DelayBasis: connracev1.DelayBasis_DELAY_BASIS_CONFIGURED, StartOffset: durationpb.New(3 * time.Second),
		EndOffset: durationpb.New(9 * time.Second), LocalEndpoint: "192.0.2.9:1024", Outcome: connracev1.Outcome_OUTCOME_FAILED,
		Kernel: new(written).kernelOf(&a.Kernel),
	}
	if !proto.Equal(got, want) {
		t.Errorf("the attempt is\n%v, want\n%v", got, want)
	}
	filled(t, *a.Stages)
	filled(t, *a.Deferral)
	filled(t, a.Failure)
	for _, m := range []proto.Message{got.GetTls(), got.GetHttp(), got.GetDeferral(), got.GetFailure(), got.GetPhases()[2]} {
		complete(t, []proto.Message{m})
	}
	got.Kernel = nil // has a test of its own
	complete(t, []proto.Message{got}, "kernel")
}

// What did not take place is not told.
func TestEncodeNoStage(t *testing.T) {
	t.Parallel()
	got := attempt(&racer.Attempt{Begun: true, Start: 1, End: 3, Outcome: sched.OutcomeWon})
	if len(got.GetPhases()) != 1 || got.GetPhases()[0].GetKind() != connracev1.PhaseKind_PHASE_KIND_TCP_CONNECT || got.GetPhases()[0].GetErrorType() != "" {
		t.Errorf("the phases are %v, want TCP_CONNECT without an error", got.GetPhases())
	}
	if got.GetTls() != nil || got.GetHttp() != nil || got.GetDeferral() != nil || got.GetHealthStatus() != "" || got.GetFailure() != nil {
		t.Errorf("the attempt is %v", got)
	}
	got = attempt(&racer.Attempt{Stages: &sched.Stages{TLS: &sched.TLS{}}, Failure: sched.Failure{Type: "timed_out"}})
	if got.GetTls() == nil || got.GetTls().GetEarliestExpireTime() != nil || got.GetHttp() != nil || got.GetFailure().GetIcmp() != nil {
		t.Errorf("the attempt is %v", got)
	}
}

// A date that a Timestamp can't hold is left out, and the reply can be written as JSON.
// The bounds themselves are told.
func TestEncodeDatesOfCertificates(t *testing.T) {
	t.Parallel()
	year := func(n int) time.Time { return time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC) }
	first, last := year(1), year(10000).Add(-time.Nanosecond)
	for _, c := range []struct {
		from, to       time.Time
		tellFrom, tell bool
	}{
		{first, last, true, true},
		{last, first, true, true},
		{first.Add(-time.Nanosecond), last.Add(time.Nanosecond), false, false},
		{year(0), year(2027), false, true},
		{year(2026), year(0), true, false},
		{year(-1), year(20000), false, false},
	} {
		own := sched.Certificate{NotBefore: c.from, NotAfter: c.to}
		a := racer.Attempt{Stages: &sched.Stages{TLS: &sched.TLS{Certificates: []sched.Certificate{own}}}}
		m := attempt(&a)
		if _, err := protojson.Marshal(m); err != nil {
			t.Errorf("from %v to %v there is no JSON: %v", c.from, c.to, err)
		}
		got := m.GetTls().GetCertificates()[0]
		holds(t, "valid_from_time", got.GetValidFromTime(), c.from, c.tellFrom)
		holds(t, "expire_time", got.GetExpireTime(), c.to, c.tell)
		holds(t, "earliest_expire_time", m.GetTls().GetEarliestExpireTime(), c.to, c.tell)
	}
}

// holds wants a field to have this time, or to be unset.
func holds(t *testing.T, field string, got *timestamppb.Timestamp, want time.Time, told bool) {
	t.Helper()
	if told != (got != nil) || told && !got.AsTime().Equal(want) {
		t.Errorf("%s is %v of %v, want it told: %t", field, got, want, told)
	}
}

// The earliest end of a chain counts wherever it stands; if it can't be told, no later
// one stands for it.
func TestEncodeEarliestExpiry(t *testing.T) {
	t.Parallel()
	year := func(n int) sched.Certificate {
		return sched.Certificate{NotAfter: time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC)}
	}
	for _, c := range []struct {
		chain []sched.Certificate
		want  int // 0: not told
	}{
		{[]sched.Certificate{year(2027), year(2026), year(2028)}, 2026},
		{[]sched.Certificate{year(1), year(2026)}, 1},
		{[]sched.Certificate{year(2026), year(1), year(2027)}, 1},
		{[]sched.Certificate{year(2026), year(0), year(2027)}, 0},
		{[]sched.Certificate{year(10000), year(2026)}, 2026},
	} {
		got := tlsFacts(&sched.TLS{Certificates: c.chain}).GetEarliestExpireTime()
		if (got != nil) != (c.want != 0) || got != nil && got.AsTime().Year() != c.want {
			t.Errorf("of %v the earliest is %v, want the year %d", c.chain, got, c.want)
		}
	}
}

// A wait is told where it took place: what had to wait for what, and that it went on.
func TestEncodeDeferral(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddrPort("192.0.2.1:443")
	for _, why := range named(sched.DeferNone)[1:] {
		got := transcriptEvent(&racer.Entry{Entry: sched.Entry{At: time.Second, Event: sched.Event{Kind: sched.Deferred, Attempt: 1, Defer: why}}, Endpoint: at})
		want := &connracev1.TranscriptEvent{
			Offset: durationpb.New(time.Second), Kind: connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_DEFERRED,
			Attempt: proto.Int32(2), Endpoint: at.String(), DeferReason: deferReasons[why],
		}
		if !proto.Equal(got, want) || got.GetDeferReason() == 0 {
			t.Errorf("the event is %v, want %v", got, want)
		}
	}
	got := transcriptEvent(&racer.Entry{Entry: sched.Entry{At: time.Second, Event: sched.Event{Kind: sched.Admitted, Attempt: 1}}, Endpoint: at})
	want := &connracev1.TranscriptEvent{
		Offset: durationpb.New(time.Second), Kind: connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_ADMITTED,
		Attempt: proto.Int32(2), Endpoint: at.String(),
	}
	if !proto.Equal(got, want) {
		t.Errorf("the event is %v, want %v", got, want)
	}
}

// The stage that hid an address is told.
func TestEncodeMaskedInAPhase(t *testing.T) {
	t.Parallel()
	winner := racer.Candidate{Endpoint: netip.MustParseAddrPort("192.0.2.1:443")}
	hidden := racer.MaskedAddress{
		Position: 2, Endpoint: netip.MustParseAddrPort("192.0.2.2:443"), Outcome: sched.OutcomeFailed, Phase: sched.PhaseTLS,
		Duration: time.Second, Failure: sched.Failure{Type: "certificate_expired", Fault: sched.FaultTarget},
	}
	got := masked(&racer.RaceResult{Winner: &winner, Masked: racer.Masked{
		Families: []addrsel.Family{addrsel.FamilyIPv4}, Addresses: []racer.MaskedAddress{hidden},
	}})
	want := &connracev1.MaskedAddress{
		Position: 2, Endpoint: "192.0.2.2:443", Family: connracev1.AddressFamily_ADDRESS_FAMILY_IPV4,
		Outcome: connracev1.Outcome_OUTCOME_FAILED, Phase: connracev1.PhaseKind_PHASE_KIND_TLS_HANDSHAKE,
		Duration: durationpb.New(time.Second), Failure: failure(hidden.Failure),
	}
	if !proto.Equal(got.GetAddresses()[0], want) {
		t.Errorf("masked is %v, want %v", got.GetAddresses()[0], want)
	}
}

func TestEncodeSharing(t *testing.T) {
	t.Parallel()
	shared := racer.Sharing{Joined: 20 * time.Millisecond, Callers: 3}
	filled(t, shared)
	got := sharing(&shared)
	if want := (&connracev1.Sharing{JoinOffset: durationpb.New(20 * time.Millisecond), CallerCount: 3}); !proto.Equal(got, want) {
		t.Errorf("sharing is %v, want %v", got, want)
	}
	complete(t, []proto.Message{got})
	if got := sharing(nil); got != nil {
		t.Errorf("a race of one's own is shared: %v", got)
	}
}
