package server_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// errHurried is what a call of inTime returns for a reply that has less than it must
// have, which a busy machine does to one whose time is over when it has hardly begun.
var errHurried = errors.New("the reply has too little")

// inTime makes a call whose reply must beat the deadline. On a machine so busy
// that the reply's way takes longer than the time kept back for it, or that too
// little was left for the rest, the call is made again with more of it.
func inTime(t *testing.T, call func(ctx context.Context) error) {
	t.Helper()
	for limit := 400 * time.Millisecond; ; limit *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		err := call(ctx)
		cancel()
		if (status.Code(err) == codes.DeadlineExceeded || errors.Is(err, errHurried)) && limit < patience {
			continue
		}
		if err != nil {
			t.Errorf("with a deadline of %v: %v", limit, err)
		}
		return
	}
}

// longer than the test: only the caller's deadline can end these.
const endless = 5 * time.Minute

func TestRaceAnswersBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	silent := []string{
		host(t, netlab.Swallow).Addr().String(),
		host(t, netlab.Swallow).Addr().String(),
		host(t, netlab.Swallow).Addr().String(),
	}
	inTime(t, func(ctx context.Context) error {
		reply, err := d.rpc.Race(ctx, &connracev1.RaceRequest{
			Candidates: candidates(silent...),
			Options: &connracev1.RaceOptions{
				Strategy:       connracev1.Strategy_STRATEGY_SEQUENTIAL,
				AttemptTimeout: durationpb.New(endless),
				Timeout:        durationpb.New(endless),
			},
		})
		if err != nil {
			return err
		}
		endsNearTheDeadline(t, reply.GetRun())
		want := []connracev1.Outcome{
			connracev1.Outcome_OUTCOME_RUNNING, connracev1.Outcome_OUTCOME_NOT_STARTED, connracev1.Outcome_OUTCOME_NOT_STARTED,
		}
		for i, c := range reply.GetCandidates() {
			if c.GetOutcome() != want[i] {
				return fmt.Errorf("%w: candidate %d is %v, want %v", errHurried, i, c.GetOutcome(), want[i])
			}
		}
		return nil
	})
}

// Nor does a grace that is longer than the caller waits: who has won is known.
func TestGraceEndsBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	hole, good := host(t, netlab.Swallow).Addr().String(), host(t, netlab.Accept).Addr().String()
	inTime(t, func(ctx context.Context) error {
		reply, err := d.rpc.Race(ctx, &connracev1.RaceRequest{
			Candidates:        candidates(hole, good),
			Options:           &connracev1.RaceOptions{Strategy: allAtOnce, Grace: durationpb.New(10 * time.Second)},
			IncludeTranscript: true,
		})
		if err != nil {
			return err
		}
		if got := reply.GetRun().GetEndReason(); got != connracev1.EndReason_END_REASON_WON || reply.GetWinner().GetEndpoint() != good {
			return fmt.Errorf("%w: the end is %v, the winner %v; want %s to win", errHurried, got, reply.GetWinner(), good)
		}
		tellsRace(t, reply)
		if got := reply.GetCandidates()[0].GetOutcome(); got != connracev1.Outcome_OUTCOME_CANCELLED {
			t.Errorf("the silent one is %v, want it CANCELLED", got)
		}
		e := of(t, reply.GetRun().GetTranscript(), func(e *connracev1.TranscriptEvent) bool { return e.GetKind() == stopped })
		if e.GetEndReason() != connracev1.EndReason_END_REASON_DEADLINE_NEAR {
			t.Errorf("stopped is %v, want DEADLINE_NEAR", e)
		}
		return nil
	})
}

func TestProbeAnswersBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	d, hole := serve(t, plain()), host(t, netlab.Swallow).Addr().String()
	inTime(t, func(ctx context.Context) error {
		reply, err := d.rpc.Probe(ctx, &connracev1.ProbeRequest{
			Target: hole,
			Options: &connracev1.ProbeOptions{
				AttemptTimeout: durationpb.New(endless), Timeout: durationpb.New(endless),
			},
		})
		if err != nil {
			return err
		}
		endsNearTheDeadline(t, reply.GetRun())
		if got := reply.GetReport().GetCandidates()[0].GetCandidate().GetOutcome(); got != connracev1.Outcome_OUTCOME_RUNNING {
			return fmt.Errorf("%w: the candidate is %v, want it RUNNING", errHurried, got)
		}
		return nil
	})
}

// A deadline between two rounds ends a probe with the rounds it has.
func TestProbeAnswersBetweenRounds(t *testing.T) {
	t.Parallel()
	d, good := serve(t, plain()), host(t, netlab.Accept).Addr().String()
	inTime(t, func(ctx context.Context) error {
		reply, err := d.rpc.Probe(ctx, &connracev1.ProbeRequest{
			Target: good, Rounds: 2, Interval: durationpb.New(time.Hour),
		})
		if err != nil {
			return err
		}
		endsNearTheDeadline(t, reply.GetRun())
		if got := reply.GetRoundCount(); got != 1 {
			t.Errorf("%d rounds, want 1", got)
		}
		return nil
	})
}

func TestRankAnswersBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	dns := names(t, map[string]netlab.Answers{
		"mute.example": {A: netlab.Answer{Drop: true}, AAAA: netlab.Answer{Drop: true}},
	})
	d := serve(t, named(dns))
	inTime(t, func(ctx context.Context) error {
		reply, err := d.rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{
			Target: "mute.example:80", Options: &connracev1.RaceOptions{Timeout: durationpb.New(endless)},
		})
		if err != nil {
			return err
		}
		endsNearTheDeadline(t, reply.GetRun())
		for _, q := range reply.GetRun().GetResolution().GetQueries() {
			if q.GetOutcome() != connracev1.QueryOutcome_QUERY_OUTCOME_PENDING || q.GetDuration() != nil || q.GetFailure() != nil {
				t.Errorf("query is %v, want it PENDING and nothing more", q)
			}
		}
		return nil
	})
}

func endsNearTheDeadline(t *testing.T, run *connracev1.Run) {
	t.Helper()
	if got := run.GetEndReason(); got != connracev1.EndReason_END_REASON_DEADLINE_NEAR {
		t.Errorf("the end is %v, want DEADLINE_NEAR", got)
	}
}

// Whatever a caller in a hurry gets, it gets it soon.
func TestShortDeadline(t *testing.T) {
	t.Parallel()
	d, hole := serve(t, plain()), host(t, netlab.Swallow).Addr().String()
	unhurried := &connracev1.RaceOptions{AttemptTimeout: durationpb.New(endless), Timeout: durationpb.New(endless)}
	for limit := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(limit)*time.Millisecond)
		before := time.Now()
		_, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Target: hole, Options: unhurried})
		cancel()
		if code := status.Code(err); code != codes.OK && code != codes.DeadlineExceeded {
			t.Errorf("a deadline of %d ms: %v", limit, err)
		}
		if took := time.Since(before); took > patience {
			t.Errorf("a deadline of %d ms took %v", limit, took)
		}
	}
	d.shutdown(t) // no race goes on in vain
}
