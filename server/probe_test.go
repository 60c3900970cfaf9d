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

// probed is a candidate of a probe after rounds of one outcome each.
func probed(rank, measured, rounds int32, at netip.AddrPort, how connracev1.Outcome) *connracev1.ProbedCandidate {
	c := literal(rank, at)
	for round := range rounds {
		tried(c, round+1, connracev1.AttemptTrigger_ATTEMPT_TRIGGER_ALL_AT_ONCE, how)
	}
	p := &connracev1.ProbedCandidate{MeasuredPosition: measured, Candidate: c, Stats: &connracev1.ConnectStats{Count: rounds}}
	if how == connracev1.Outcome_OUTCOME_CONNECTED {
		connected(p.GetStats(), rounds)
	} else {
		failed(p.GetStats(), rounds)
	}
	return p
}

func connected(s *connracev1.ConnectStats, times int32) {
	s.Min, s.Median, s.P90, s.Max, s.Last = someDuration, someDuration, someDuration, someDuration, someDuration
	for range times {
		s.Samples = append(s.Samples, someDuration)
	}
}

func failed(s *connracev1.ConnectStats, times int32) {
	s.FailureCount = times
	s.Failures = []*connracev1.FailureCount{{
		ErrorType: refusal.GetErrorType(), Errno: refusal.GetErrno(), Fault: refusal.GetFault(), Count: times,
	}}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	bad, good := host(t, netlab.Refuse).Addr(), host(t, netlab.Accept).Addr()
	before := time.Now()
	reply, err := d.rpc.Probe(patient(t), &connracev1.ProbeRequest{
		Candidates: []*connracev1.CandidateSpec{
			{Endpoint: bad.String(), Label: "blue"},
			{Endpoint: good.String(), Label: "green"},
		},
		Rounds:   3,
		Interval: durationpb.New(10 * time.Millisecond),
	})
	must(t, err)

	began(t, reply.GetRun(), before)
	first := probed(2, 1, 3, good, connracev1.Outcome_OUTCOME_CONNECTED)
	last(first.GetCandidate()).Label, first.GetCandidate().Index = "green", proto.Int32(1)
	second := probed(1, 2, 3, bad, connracev1.Outcome_OUTCOME_FAILED)
	second.GetCandidate().Label, second.GetCandidate().Index = "blue", proto.Int32(0)
	both := &connracev1.ConnectStats{Count: 6}
	connected(both, 3)
	failed(both, 3)
	same(t, reply, &connracev1.ProbeResponse{
		Run:        run(connracev1.EndReason_END_REASON_COMPLETED),
		Options:    defaultProbeOptions,
		RoundCount: 3,
		Interval:   durationpb.New(10 * time.Millisecond),
		Report: &connracev1.ProbeReport{
			Verdict:            connracev1.Verdict_VERDICT_DEGRADED,
			VerdictExplanation: someText,
			Candidates:         []*connracev1.ProbedCandidate{first, second},
			Families: []*connracev1.ProbedFamily{{
				Family:         connracev1.AddressFamily_ADDRESS_FAMILY_IPV4,
				Verdict:        connracev1.Verdict_VERDICT_DEGRADED,
				AddressCount:   2,
				ReachableCount: 1,
				Stats:          both,
			}},
		},
	})
	for _, c := range reply.GetReport().GetCandidates() {
		fits(t, reply.GetRun(), []*connracev1.Candidate{c.GetCandidate()})
		keepsInterval(t, c.GetCandidate().GetAttempts(), 10*time.Millisecond)
	}
	samplesAreTheAttempts(t, reply.GetReport().GetCandidates()[0])
}

// keepsInterval wants the rounds of a candidate apart: each begins an interval
// after the one before, and its attempt starts after that.
func keepsInterval(t *testing.T, attempts []*connracev1.Attempt, interval time.Duration) {
	t.Helper()
	for round, a := range attempts {
		if start := a.GetStartOffset().AsDuration(); start < time.Duration(round)*interval {
			t.Errorf("round %d starts after %v, want %v at least", round+1, start, time.Duration(round)*interval)
		}
	}
}

func samplesAreTheAttempts(t *testing.T, p *connracev1.ProbedCandidate) {
	t.Helper()
	s := p.GetStats()
	for i, a := range p.GetCandidate().GetAttempts() {
		took := a.GetEndOffset().AsDuration() - a.GetStartOffset().AsDuration()
		sample := s.GetSamples()[i].AsDuration()
		if sample != took {
			t.Errorf("sample %d is %v, its attempt took %v", i, sample, took)
		}
		if sample < s.GetMin().AsDuration() || sample > s.GetMax().AsDuration() {
			t.Errorf("sample %d is %v, outside of %v to %v", i, sample, s.GetMin().AsDuration(), s.GetMax().AsDuration())
		}
	}
	if lo, mid, hi := s.GetMin().AsDuration(), s.GetMedian().AsDuration(), s.GetP90().AsDuration(); lo > mid || mid > hi {
		t.Errorf("min %v, median %v and p90 %v are out of order", lo, mid, hi)
	}
	if n := len(s.GetSamples()); s.GetLast().AsDuration() != s.GetSamples()[n-1].AsDuration() {
		t.Errorf("last is %v, not the last sample", s.GetLast())
	}
}

// A probe of one round of an unnamed target: every option has its default, the
// interval has no use, and the target has no index.
func TestProbeDefaults(t *testing.T) {
	t.Parallel()
	d, good := serve(t, plain()), host(t, netlab.Accept).Addr()
	reply, err := d.rpc.Probe(patient(t), &connracev1.ProbeRequest{Target: good.String()})
	must(t, err)
	p := probed(1, 1, 1, good, connracev1.Outcome_OUTCOME_CONNECTED)
	last(p.GetCandidate())
	same(t, reply, &connracev1.ProbeResponse{
		Run:        run(connracev1.EndReason_END_REASON_COMPLETED),
		Options:    defaultProbeOptions,
		RoundCount: 1,
		Report: &connracev1.ProbeReport{
			Verdict:            connracev1.Verdict_VERDICT_REACHABLE,
			VerdictExplanation: someText,
			Candidates:         []*connracev1.ProbedCandidate{p},
			Families: []*connracev1.ProbedFamily{{
				Family:         connracev1.AddressFamily_ADDRESS_FAMILY_IPV4,
				Verdict:        connracev1.Verdict_VERDICT_REACHABLE,
				AddressCount:   1,
				ReachableCount: 1,
				Stats:          p.GetStats(),
			}},
		},
	})
}

// A probe says when it cannot say anything.
func TestProbeVerdicts(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for name, c := range map[string]struct {
		target  string
		timeout time.Duration
		end     connracev1.EndReason
		want    connracev1.Verdict
	}{
		"refused": {
			host(t, netlab.Refuse).Addr().String(), patience,
			connracev1.EndReason_END_REASON_COMPLETED, connracev1.Verdict_VERDICT_UNREACHABLE,
		},
		"denied": {
			denied, patience,
			connracev1.EndReason_END_REASON_ALL_SKIPPED, connracev1.Verdict_VERDICT_INCONCLUSIVE,
		},
		"cut short": {
			host(t, netlab.Swallow).Addr().String(), 50 * time.Millisecond,
			connracev1.EndReason_END_REASON_TIMED_OUT, connracev1.Verdict_VERDICT_INCONCLUSIVE,
		},
	} {
		reply, err := d.rpc.Probe(patient(t), &connracev1.ProbeRequest{
			Target: c.target, Options: &connracev1.ProbeOptions{Timeout: durationpb.New(c.timeout)},
		})
		must(t, err)
		if got := reply.GetReport().GetVerdict(); got != c.want || reply.GetRun().GetEndReason() != c.end {
			t.Errorf("%s: the verdict is %v, the end %v; want %v and %v", name, got, reply.GetRun().GetEndReason(), c.want, c.end)
		}
	}
}

// An interval that has no use is accepted, left out of the reply and warned of; with a
// second round it has one.
func TestIntervalOfOneRound(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for rounds, says := range map[int32][]string{0: {"no effect", "one round"}, 1: {"no effect", "one round"}, 2: nil} {
		reply, err := d.rpc.Probe(patient(t), &connracev1.ProbeRequest{Target: denied, Rounds: rounds, Interval: often()})
		must(t, err)
		warns(t, reply.GetRun(), "interval", says)
		if got := reply.GetInterval(); (got != nil) != (says == nil) || got != nil && !proto.Equal(got, often()) {
			t.Errorf("%d rounds: the interval is %v", rounds, got)
		}
	}
}
