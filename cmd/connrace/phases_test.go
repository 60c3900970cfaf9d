package main

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// The bars are the stages, each as long as it took; the last one is as long as the
// attempt and ends as it did.
func TestPhaseBars(t *testing.T) {
	t.Parallel()
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	phase := func(k pb.PhaseKind, start, took int) *pb.Phase {
		return &pb.Phase{Kind: k, StartOffset: durationpb.New(ms(start)), Duration: durationpb.New(ms(took))}
	}
	const tcp, tls, http = pb.PhaseKind_PHASE_KIND_TCP_CONNECT, pb.PhaseKind_PHASE_KIND_TLS_HANDSHAKE, pb.PhaseKind_PHASE_KIND_HTTP_RESPONSE
	for _, c := range []struct {
		phases []*pb.Phase
		want   []bar
	}{
		{nil, []bar{{ms(10), ms(100), '━', '×'}}},
		{[]*pb.Phase{phase(tcp, 10, 20)}, []bar{{ms(10), ms(100), '━', '×'}}},
		{[]*pb.Phase{phase(tcp, 10, 20), phase(tls, 40, 60)}, []bar{{ms(10), ms(30), '━', '━'}, {ms(40), ms(100), '═', '×'}}},
		{[]*pb.Phase{phase(tcp, 10, 20), phase(tls, 40, 5), phase(http, 50, 40)}, []bar{
			{ms(10), ms(30), '━', '━'}, {ms(40), ms(45), '═', '═'}, {ms(50), ms(100), '─', '×'},
		}},
	} {
		got := phaseBars(&pb.Attempt{
			StartOffset: durationpb.New(ms(10)), EndOffset: durationpb.New(ms(100)), Outcome: pb.Outcome_OUTCOME_FAILED, Phases: c.phases,
		})
		if !slices.Equal(got, c.want) {
			t.Errorf("%v is drawn as %v, want %v", c.phases, got, c.want)
		}
	}
}

func TestExpiryWords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]string{
		-time.Second:                      "expired on 2026-09-01",
		-25 * time.Hour:                   "expired on 2026-08-31",
		0:                                 "expires within the hour",
		59 * time.Minute:                  "expires within the hour",
		time.Hour:                         "expires in 1 hour",
		47*time.Hour + 59*time.Minute:     "expires in 47 hours",
		48 * time.Hour:                    "expires on 2026-09-03 (in 2 days)",
		90*24*time.Hour - time.Nanosecond: "expires on 2026-11-30 (in 89 days)",
	} {
		if got := expiryWords(timestamppb.New(now.Add(left)), now); got != want {
			t.Errorf("with %v left it %s, want %s", left, got, want)
		}
	}
}

// What never expires (RFC 5280 section 4.1.2.5) is further away than a Duration is long.
func TestExpiryForEver(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	for at, want := range map[time.Time]string{
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC): "expires on 9999-12-31 (in 2912199 days)",
		time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC):         "expired on 0001-01-01",
	} {
		if got := expiryWords(timestamppb.New(at), now); got != want {
			t.Errorf("it %s, want %s", got, want)
		}
	}
}

// The date of a certificate is its own; that another of its chain ends before is said of
// that one.
func TestTLSWords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	days := func(n int) *timestamppb.Timestamp { return timestamppb.New(now.AddDate(0, 0, n)) }
	for _, c := range []struct {
		own, earliest *timestamppb.Timestamp
		want          string
	}{
		{days(10), days(10), "expires on 2026-09-11 (in 10 days)"},
		{days(10), days(3), "expires on 2026-09-11 (in 10 days); another one of its chain expires on 2026-09-04 (in 3 days)"},
		{nil, days(3), "expires on 2026-09-04 (in 3 days)"},
		{nil, nil, "expires on a day that can't be told"},
		{days(10), nil, "expires on 2026-09-11 (in 10 days); another one of its chain expires on a day that can't be told"},
	} {
		got := tlsWords(&pb.TlsFacts{
			Version: "TLS 1.3", Verified: true, ServerName: "a.example",
			Certificates: []*pb.CertificateFacts{{ExpireTime: c.own}, {ExpireTime: c.earliest}}, EarliestExpireTime: c.earliest,
		}, now)
		if want := "TLS 1.3, certificate of a.example, " + c.want; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// A sentence that holds of several addresses stands once, with as many of them as can
// be read; those of an address that says it twice are one.
func TestSpread(t *testing.T) {
	t.Parallel()
	p := &page{style: style{width: 100}}
	var candidates []*pb.Candidate
	for _, endpoint := range []string{"192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "192.0.2.4:1", "192.0.2.5:1"} {
		same := &pb.Attempt{HealthStatus: "SERVING"}
		candidates = append(candidates, &pb.Candidate{Endpoint: endpoint, Attempts: []*pb.Attempt{same, same}})
	}
	candidates = append(candidates, &pb.Candidate{Endpoint: "192.0.2.6:1", Attempts: []*pb.Attempt{{HealthStatus: "UNKNOWN"}, {}}})
	p.spread("health", candidates, healthWords, plain)
	const want = "health     192.0.2.1:1, 192.0.2.2:1, 192.0.2.3:1 and 2 more: SERVING\nhealth     192.0.2.6:1: UNKNOWN\n"
	if got := p.text.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// What to do is said of each attempt that failed by no fault of this host, and of the
// silence of an address once; where something connected a table has the word for it.
func TestFailureWords(t *testing.T) {
	const text = "no answer; see whether it is up"
	tcp, tls := &pb.Phase{Kind: pb.PhaseKind_PHASE_KIND_TCP_CONNECT}, &pb.Phase{Kind: pb.PhaseKind_PHASE_KIND_TLS_HANDSHAKE}
	silent := func(phases ...*pb.Phase) *pb.Attempt {
		return &pb.Attempt{Outcome: pb.Outcome_OUTCOME_TIMED_OUT, Phases: phases, Failure: &pb.Failure{Message: text, Fault: pb.Fault_FAULT_TARGET}}
	}
	again := func(a *pb.Attempt) *pb.Attempt {
		a.Trigger = pb.AttemptTrigger_ATTEMPT_TRIGGER_BACKUP
		return a
	}
	host := silent(tcp)
	host.Failure.Fault = pb.Fault_FAULT_HOST
	told := silent(tcp)
	told.Failure.Icmp = new(pb.IcmpFacts)
	refused := again(silent(tcp))
	refused.Outcome = pb.Outcome_OUTCOME_FAILED
	for name, c := range map[string]struct {
		attempt  *pb.Attempt
		all, few string // where nothing connected, and where something did
	}{
		"silent":                   {silent(tcp), text, ""},
		"its backup":               {again(silent(tcp)), "", ""},
		"a backup in a stage":      {again(silent(tcp, tls)), text, text},
		"a backup that is refused": {refused, text, ""},
		"in a stage":               {silent(tcp, tls), text, text},
		"told by the network":      {told, text, text},
		"this host":                {host, "", ""},
		"nothing wrong":            {&pb.Attempt{Outcome: pb.Outcome_OUTCOME_WON}, "", ""},
	} {
		if all, few := failureWords(c.attempt), stageFailureWords(c.attempt); all != c.all || few != c.few {
			t.Errorf("%s: %q and %q, want %q and %q", name, all, few, c.all, c.few)
		}
	}
}
