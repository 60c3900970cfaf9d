package server_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// A silent address gets a second attempt, which stands beside the first one with a
// number and a trigger of its own; both share the time of the candidate.
func TestBackup(t *testing.T) {
	t.Parallel()
	d, hole := serve(t, plain()), host(t, netlab.Swallow).Addr()
	options := &connracev1.RaceOptions{Strategy: adaptive, AttemptTimeout: durationpb.New(time.Second)}
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Candidates: []*connracev1.CandidateSpec{distant(hole.String(), 20*time.Millisecond)}, Options: options, IncludeTranscript: true,
	})
	must(t, err)
	fits(t, reply.GetRun(), reply.GetCandidates())
	tellsRace(t, reply)
	want := last(literal(1, hole))
	want.Index = proto.Int32(0)
	for i, why := range []connracev1.AttemptTrigger{
		connracev1.AttemptTrigger_ATTEMPT_TRIGGER_FIRST, connracev1.AttemptTrigger_ATTEMPT_TRIGGER_BACKUP,
	} {
		tried(want, int32(i+1), why, connracev1.Outcome_OUTCOME_TIMED_OUT)
		a := want.GetAttempts()[i]
		a.AttemptDelay, a.DelayBasis = milliseconds(60), connracev1.DelayBasis_DELAY_BASIS_RETRANSMISSION_TIMEOUT
		a.Failure = reply.GetCandidates()[0].GetAttempts()[i].GetFailure()
		a.Phases[0].ErrorType = "timed_out"
	}
	same(t, &connracev1.RaceResponse{Candidates: reply.GetCandidates(), Cost: reply.GetCost()}, &connracev1.RaceResponse{
		Candidates: []*connracev1.Candidate{want},
		Cost:       &connracev1.Cost{AttemptCount: 2, BackupCount: 1},
	})
	first, second := reply.GetCandidates()[0].GetAttempts()[0], reply.GetCandidates()[0].GetAttempts()[1]
	if apart := second.GetStartOffset().AsDuration() - first.GetStartOffset().AsDuration(); apart < 60*time.Millisecond {
		t.Errorf("the backup starts %v after the first attempt, want 60ms at least", apart)
	}
	var given []time.Duration // to each, until it was given up
	for _, e := range reply.GetRun().GetTranscript() {
		if e.GetKind() == givenUp {
			given = append(given, e.GetOffset().AsDuration()-first.GetStartOffset().AsDuration())
		}
	}
	if len(given) != 2 || given[0] != given[1] || given[0] < time.Second {
		t.Errorf("the attempts are given up after %v, want both at once, when the first has had its second", given)
	}
}

// The request says how many backups there may be; unset and zero are not the same.
func TestMaxBackupAttempts(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for name, c := range map[string]struct {
		strategy connracev1.Strategy
		most     *int32
		want     []string // gets a backup
	}{
		"unset":      {staggered, nil, []string{"127.0.0.1:80", "127.0.0.2:80"}},
		"none":       {staggered, proto.Int32(0), nil},
		"one":        {staggered, proto.Int32(1), []string{"127.0.0.1:80"}},
		"ten":        {staggered, proto.Int32(10), []string{"127.0.0.1:80", "127.0.0.2:80", "127.0.0.3:80"}},
		"sequential": {oneByOne, nil, nil},
	} {
		options := &connracev1.RaceOptions{Strategy: c.strategy, MaxBackupAttempts: c.most}
		reply, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{
			Candidates: candidates("127.0.0.1:80", "127.0.0.2:80", "127.0.0.3:80"), Options: options,
		})
		must(t, err)
		var got []string
		for i, s := range reply.GetSchedule() {
			backup := s.GetTrigger() == connracev1.AttemptTrigger_ATTEMPT_TRIGGER_BACKUP
			if backup {
				got = append(got, s.GetEndpoint())
			}
			if backup != (i >= 3) {
				t.Errorf("%s: start %d is %v, want backups after the candidates", name, i+1, s)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: a backup goes to %v, want %v", name, got, c.want)
		}
	}
}
