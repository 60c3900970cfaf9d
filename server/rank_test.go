package server_test

import (
	"net/netip"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

func TestRankByName(t *testing.T) {
	t.Parallel()
	dns := names(t, map[string]netlab.Answers{"both.example": addresses(two, one)})
	d := serve(t, named(dns))
	before := time.Now()
	reply, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{
		Target:    "both.example:443",
		Selection: &connracev1.SelectionOptions{OnlyFamily: connracev1.AddressFamily_ADDRESS_FAMILY_IPV4},
	})
	must(t, err)

	began(t, reply.GetRun(), before)
	first, second := literal(1, netip.AddrPortFrom(two, 443)), last(literal(2, netip.AddrPortFrom(one, 443)))
	for _, c := range []*connracev1.Candidate{first, second} {
		c.Origin, c.Name = connracev1.Origin_ORIGIN_A, "both.example"
	}
	want := &connracev1.ResolveAndRankResponse{
		Run:        run(connracev1.EndReason_END_REASON_COMPLETED),
		Options:    proto.CloneOf(defaultOptions),
		Candidates: []*connracev1.Candidate{first, second},
		Schedule: []*connracev1.ScheduledStart{
			scheduled(first, connracev1.AttemptTrigger_ATTEMPT_TRIGGER_FIRST),
			scheduled(second, connracev1.AttemptTrigger_ATTEMPT_TRIGGER_ATTEMPT_DELAY),
			scheduled(first, connracev1.AttemptTrigger_ATTEMPT_TRIGGER_BACKUP),
			scheduled(second, connracev1.AttemptTrigger_ATTEMPT_TRIGGER_BACKUP),
		},
	}
	want.Options.Grace = nil // of no use to it
	want.Run.Selection = proto.CloneOf(defaultSelection)
	want.Run.Selection.OnlyFamily = connracev1.AddressFamily_ADDRESS_FAMILY_IPV4
	want.Run.Resolution = &connracev1.Resolution{Queries: []*connracev1.Query{{
		Name:        "both.example",
		Type:        connracev1.RecordType_RECORD_TYPE_A,
		StartOffset: someDuration,
		Duration:    someDuration,
		Outcome:     connracev1.QueryOutcome_QUERY_OUTCOME_ANSWERED,
		Addresses:   []string{"127.0.0.2", "127.0.0.1"},
	}}}
	same(t, reply, want)

	// The schedule begins with the answer and goes on by the attempt delay.
	query := reply.GetRun().GetResolution().GetQueries()[0]
	answered := query.GetStartOffset().AsDuration() + query.GetDuration().AsDuration()
	for i, start := range reply.GetSchedule() {
		if got, want := start.GetStartOffset().AsDuration(), answered+time.Duration(i)*250*time.Millisecond; got != want {
			t.Errorf("start %d is at %v, want %v: the answer came at %v, and 250ms lie between two", i+1, got, want, answered)
		}
	}
}

// scheduled is a start by the default delay.
func scheduled(c *connracev1.Candidate, why connracev1.AttemptTrigger) *connracev1.ScheduledStart {
	return &connracev1.ScheduledStart{
		Position:     c.GetPosition(),
		Endpoint:     c.GetEndpoint(),
		StartOffset:  someDuration,
		Trigger:      why,
		AttemptDelay: durationpb.New(250 * time.Millisecond),
		DelayBasis:   connracev1.DelayBasis_DELAY_BASIS_CONFIGURED,
	}
}

// An IPv6 address is in brackets wherever it has a port, and a zone or the
// caller's spelling does not change its form.
func TestRankWritesAddressesCanonically(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for written, want := range map[string]*connracev1.Candidate{
		"[2001:DB8:0:0::0001]:443": {
			Endpoint: "[2001:db8::1]:443", Address: "2001:db8::1", Family: connracev1.AddressFamily_ADDRESS_FAMILY_IPV6,
		},
		"[::ffff:192.0.2.1]:443": {
			Endpoint: "192.0.2.1:443", Address: "192.0.2.1", Family: connracev1.AddressFamily_ADDRESS_FAMILY_IPV4,
		},
	} {
		reply, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{Target: written})
		must(t, err)
		want.Position, want.Port = 1, 443
		want.Origin, want.Outcome = connracev1.Origin_ORIGIN_LITERAL, connracev1.Outcome_OUTCOME_NOT_STARTED
		got := reply.GetCandidates()[0]
		want.SourceAddress = got.GetSourceAddress() // this machine's affair
		if !proto.Equal(got, want) {
			t.Errorf("%s: candidate is %v, want %v", written, got, want)
		}
	}
}

// Every candidate that is not to be tried says why, and stands behind the
// others.
func TestRankSkips(t *testing.T) {
	t.Parallel()
	dns := names(t, map[string]netlab.Answers{"both.example.": addresses(two, one)})
	d := serve(t, named(dns))
	for name, c := range map[string]struct {
		candidates []*connracev1.CandidateSpec
		selection  *connracev1.SelectionOptions
		want       connracev1.SkipReason
		ready      string // the one that may be tried
	}{
		"link-local": {
			candidates: candidates(denied, "127.0.0.1:80"),
			want:       connracev1.SkipReason_SKIP_REASON_DENIED_BY_POLICY,
			ready:      "127.0.0.1:80",
		},
		"other family": {
			candidates: candidates("127.0.0.1:80", "[::1]:80"),
			selection:  &connracev1.SelectionOptions{OnlyFamily: connracev1.AddressFamily_ADDRESS_FAMILY_IPV6},
			want:       connracev1.SkipReason_SKIP_REASON_FAMILY_EXCLUDED,
			ready:      "[::1]:80",
		},
		"twice": {
			candidates: candidates("127.0.0.1:80", "127.0.0.1:80"),
			want:       connracev1.SkipReason_SKIP_REASON_DUPLICATE,
			ready:      "127.0.0.1:80",
		},
		"too many": {
			candidates: candidates("both.example.:80"),
			selection:  &connracev1.SelectionOptions{MaxAddressesPerAnswer: 1},
			want:       connracev1.SkipReason_SKIP_REASON_TOO_MANY_ADDRESSES,
			ready:      "127.0.0.2:80",
		},
	} {
		reply, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{
			Candidates: c.candidates, Selection: c.selection,
		})
		must(t, err)
		got := reply.GetCandidates()
		if len(got) != 2 || got[0].GetEndpoint() != c.ready || got[0].GetOutcome() != connracev1.Outcome_OUTCOME_NOT_STARTED {
			t.Errorf("%s: candidates are %v, want %s and a skipped one", name, got, c.ready)
			continue
		}
		if got[1].GetPosition() != 2 || got[1].GetOutcome() != connracev1.Outcome_OUTCOME_SKIPPED || got[1].GetSkipReason() != c.want {
			t.Errorf("%s: second is %v, want it skipped for %v", name, got[1], c.want)
		}
	}
}

// What DNS says when it has nothing to say.
func TestRankOfNothing(t *testing.T) {
	t.Parallel()
	dns := names(t, map[string]netlab.Answers{
		"empty.example.": {},
		"sick.example.":  {A: netlab.Answer{RCode: 2}, AAAA: netlab.Answer{RCode: 2}},
	})
	d := serve(t, named(dns))
	for target, want := range map[string]struct {
		end     connracev1.EndReason
		outcome connracev1.QueryOutcome
		failure string
		fault   connracev1.Fault
	}{
		"empty.example.:80": {
			connracev1.EndReason_END_REASON_NAME_NOT_FOUND, connracev1.QueryOutcome_QUERY_OUTCOME_NOT_FOUND,
			"host_not_found", connracev1.Fault_FAULT_TARGET,
		},
		"none.example.:80": {
			connracev1.EndReason_END_REASON_NAME_NOT_FOUND, connracev1.QueryOutcome_QUERY_OUTCOME_NOT_FOUND,
			"host_not_found", connracev1.Fault_FAULT_TARGET,
		},
		"sick.example.:80": {
			connracev1.EndReason_END_REASON_RESOLUTION_FAILED, connracev1.QueryOutcome_QUERY_OUTCOME_FAILED,
			"try_again", connracev1.Fault_FAULT_PATH,
		},
	} {
		reply, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{Target: target})
		must(t, err)
		queries := reply.GetRun().GetResolution().GetQueries()
		if got := reply.GetRun().GetEndReason(); got != want.end || len(queries) != 2 || len(reply.GetCandidates()) > 0 {
			t.Errorf("%s: ends with %v, queries %v, candidates %v", target, got, queries, reply.GetCandidates())
			continue
		}
		for _, q := range queries {
			f := q.GetFailure()
			if q.GetOutcome() != want.outcome || q.GetDuration() == nil || f.GetErrorType() != want.failure ||
				f.GetFault() != want.fault || f.GetMessage() == "" {
				t.Errorf("%s: query is %v, want %v, %s, %v", target, q, want.outcome, want.failure, want.fault)
			}
		}
	}
}
