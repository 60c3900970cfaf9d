package server_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// Short names for the transcript's kinds.
const (
	querySent = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_QUERY_SENT
	resolved  = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_RESOLVED
	requested = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_REQUESTED
	started   = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_STARTED
	succeeded = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_CONNECTED
	refused   = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_FAILED
	givenUp   = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_GIVEN_UP
	cancelled = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_CANCELLED
	wonEvent  = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_WON
	stopped   = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_STOPPED
	settled   = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_SETTLED
	finished  = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_FINISHED
)

// tellsRace holds a race's reply against its transcript: everything in a reply
// is read off it.
func tellsRace(t *testing.T, reply *connracev1.RaceResponse) {
	t.Helper()
	events := reply.GetRun().GetTranscript()
	for _, c := range reply.GetCandidates() {
		for _, a := range c.GetAttempts() {
			tellsAttempt(t, events, c.GetEndpoint(), func(e *connracev1.TranscriptEvent) bool {
				return e.Round == nil && e.GetAttempt() == a.GetNumber()
			}, a)
		}
	}
	tellsQueries(t, reply.GetRun())
	tellsSettled(t, events, 0, reply.GetCandidates())
	if w := reply.GetWinner(); w != nil {
		of(t, events, func(e *connracev1.TranscriptEvent) bool {
			return e.GetKind() == wonEvent && e.GetEndpoint() == w.GetEndpoint() && e.GetAttempt() == w.GetAttemptNumber()
		})
	}
	tellsDifferences(t, reply)
	endsWith(t, events, reply.GetRun())
}

// tellsProbe is the same for a probe, of which each round is told.
func tellsProbe(t *testing.T, run *connracev1.Run, report *connracev1.ProbeReport) {
	t.Helper()
	tellsRounds(t, run, report, 1)
}

// tellsRounds is the same for rounds that begin with another number.
func tellsRounds(t *testing.T, run *connracev1.Run, report *connracev1.ProbeReport, first int32) {
	t.Helper()
	ranked := make([]*connracev1.Candidate, len(report.GetCandidates()))
	for _, p := range report.GetCandidates() {
		c := p.GetCandidate()
		ranked[c.GetPosition()-1] = c
		for _, a := range c.GetAttempts() {
			tellsAttempt(t, run.GetTranscript(), c.GetEndpoint(), func(e *connracev1.TranscriptEvent) bool {
				return e.GetRound() == a.GetNumber() && e.GetEndpoint() == c.GetEndpoint()
			}, a)
		}
	}
	tellsQueries(t, run)
	rounds := run.GetTranscript()[len(run.GetTranscript())-1].GetRound()
	for round := first; round <= rounds; round++ {
		tellsSettled(t, run.GetTranscript(), round, ranked)
	}
	endsWith(t, run.GetTranscript(), run)
}

// tellsAttempt finds an attempt's request, start and end among the events about
// it.
func tellsAttempt(t *testing.T, events []*connracev1.TranscriptEvent, endpoint string,
	about func(*connracev1.TranscriptEvent) bool, a *connracev1.Attempt,
) {
	t.Helper()
	find := func(kinds ...connracev1.TranscriptEventKind) *connracev1.TranscriptEvent {
		t.Helper()
		e := of(t, events, func(e *connracev1.TranscriptEvent) bool { return about(e) && slices.Contains(kinds, e.GetKind()) })
		if e.GetEndpoint() != endpoint {
			t.Errorf("event %v is not about %s", e, endpoint)
		}
		return e
	}
	if e := find(requested); e.GetTrigger() != a.GetTrigger() || !proto.Equal(e.GetAttemptDelay(), a.GetAttemptDelay()) ||
		e.GetDelayBasis() != a.GetDelayBasis() {
		t.Errorf("%s: the request is %v, the attempt %v", endpoint, e, a)
	}
	if e := find(started); e.GetOffset().AsDuration() != a.GetStartOffset().AsDuration() {
		t.Errorf("%s: started after %v, the attempt's start is %v", endpoint, e.GetOffset().AsDuration(), a.GetStartOffset().AsDuration())
	}
	end := find(succeeded, refused, cancelled)
	if end.GetOffset().AsDuration() != a.GetEndOffset().AsDuration() {
		t.Errorf("%s: ended after %v, the attempt's end is %v", endpoint, end.GetOffset().AsDuration(), a.GetEndOffset().AsDuration())
	}
	if end.GetKind() == cancelled {
		find(givenUp)
	} else if end.GetFailure().String() != a.GetFailure().String() {
		t.Errorf("%s: the event's failure is %v, the attempt's %v", endpoint, end.GetFailure(), a.GetFailure())
	}
}

// of returns the only event that is meant.
func of(t *testing.T, events []*connracev1.TranscriptEvent, meant func(*connracev1.TranscriptEvent) bool) *connracev1.TranscriptEvent {
	t.Helper()
	var found []*connracev1.TranscriptEvent
	for _, e := range events {
		if meant(e) {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d events, want one: %v; of %v", len(found), found, events)
	}
	return found[0]
}

// tellsQueries finds every question and its answer.
func tellsQueries(t *testing.T, run *connracev1.Run) {
	t.Helper()
	for i, q := range run.GetResolution().GetQueries() {
		about := func(kind connracev1.TranscriptEventKind) func(*connracev1.TranscriptEvent) bool {
			return func(e *connracev1.TranscriptEvent) bool {
				return e.GetKind() == kind && e.Query != nil && int(e.GetQuery()) == i
			}
		}
		sent := of(t, run.GetTranscript(), about(querySent))
		if sent.GetOffset().AsDuration() != q.GetStartOffset().AsDuration() {
			t.Errorf("query %d: sent after %v, its start is %v", i, sent.GetOffset(), q.GetStartOffset())
		}
		if q.GetOutcome() == connracev1.QueryOutcome_QUERY_OUTCOME_PENDING {
			continue
		}
		answer := of(t, run.GetTranscript(), about(resolved))
		if answer.GetOffset().AsDuration() != q.GetStartOffset().AsDuration()+q.GetDuration().AsDuration() {
			t.Errorf("query %d: answered after %v, the query is %v", i, answer.GetOffset(), q)
		}
		if len(answer.GetEndpoints()) != len(q.GetAddresses()) || answer.GetFailure().String() != q.GetFailure().String() {
			t.Errorf("query %d: the answer is %v, the query %v", i, answer, q)
		}
	}
}

// tellsSettled finds every candidate's outcome, in ranked order. A probe's
// candidates have the outcomes of its last round.
func tellsSettled(t *testing.T, events []*connracev1.TranscriptEvent, round int32, ranked []*connracev1.Candidate) {
	t.Helper()
	var told, want []string
	for _, e := range events {
		if e.GetKind() == settled && e.GetRound() == round {
			told = append(told, fmt.Sprint(e.GetEndpoint(), e.GetOutcome(), e.GetSkipReason()))
		}
	}
	for _, c := range ranked {
		want = append(want, fmt.Sprint(c.GetEndpoint(), c.GetOutcome(), c.GetSkipReason()))
	}
	if !slices.Equal(told, want) {
		t.Errorf("round %d: settled are %v, the candidates %v", round, told, want)
	}
}

func endsWith(t *testing.T, events []*connracev1.TranscriptEvent, run *connracev1.Run) {
	t.Helper()
	e := events[len(events)-1]
	if e.GetKind() != finished || e.GetEndReason() != run.GetEndReason() || e.GetOffset().AsDuration() != run.GetDuration().AsDuration() {
		t.Errorf("the last event is %v; the run ended with %v after %v", e, run.GetEndReason(), run.GetDuration())
	}
}

// kinds lists what happened, in order.
func kinds(events []*connracev1.TranscriptEvent) []connracev1.TranscriptEventKind {
	ks := make([]connracev1.TranscriptEventKind, len(events))
	for i, e := range events {
		ks[i] = e.GetKind()
	}
	return ks
}

func TestTranscriptOfARace(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	bad, good := host(t, netlab.Refuse).Addr(), host(t, netlab.Accept).Addr()
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Candidates:        candidates(bad.String(), good.String(), good.String(), denied),
		Options:           sequential,
		IncludeTranscript: true,
	})
	must(t, err)
	tellsRace(t, reply)
	want := []connracev1.TranscriptEventKind{
		resolved, requested, started, refused, requested, started, succeeded, wonEvent,
		settled, settled, settled, settled, finished,
	}
	events := reply.GetRun().GetTranscript()
	if got := kinds(events); !slices.Equal(got, want) {
		t.Errorf("events are %v, want %v", got, want)
	}
	given := events[0].GetEndpoints()
	if want := []string{bad.String(), good.String(), good.String(), denied}; !slices.Equal(given, want) || events[0].Query != nil {
		t.Errorf("first comes %v, want the request's endpoints %v and no query", events[0], want)
	}
}

func TestTranscriptOfResolution(t *testing.T) {
	t.Parallel()
	p := port(t)
	hostAt(t, netlab.Accept, netip.AddrPortFrom(one, p))
	dns := names(t, map[string]netlab.Answers{
		"good.example.": {A: netlab.Answer{Addrs: []netip.Addr{one}}, AAAA: netlab.Answer{Drop: true}},
		"none.example.": {},
	})
	d := serve(t, named(dns))
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Candidates:        candidates(fmt.Sprintf("none.example.:%d", p), fmt.Sprintf("good.example.:%d", p)),
		IncludeTranscript: true,
	})
	must(t, err)
	tellsRace(t, reply)
	if got := len(reply.GetRun().GetResolution().GetQueries()); got != 4 {
		t.Errorf("%d queries, want 4", got)
	}
}

// What is given up is told with its cause, the end of the race included.
func TestTranscriptOfGivingUp(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	hole, good := host(t, netlab.Swallow).Addr().String(), host(t, netlab.Accept).Addr().String()
	for want, req := range map[connracev1.GiveUpCause]*connracev1.RaceRequest{
		connracev1.GiveUpCause_GIVE_UP_CAUSE_LOST: {
			Candidates: candidates(hole, good),
			Options:    &connracev1.RaceOptions{AttemptDelay: durationpb.New(10 * time.Millisecond)},
		},
		connracev1.GiveUpCause_GIVE_UP_CAUSE_RACE_ENDED: {
			Candidates: candidates(hole),
			Options:    &connracev1.RaceOptions{Timeout: durationpb.New(30 * time.Millisecond)},
		},
	} {
		req.IncludeTranscript = true
		reply, err := d.rpc.Race(patient(t), req)
		must(t, err)
		tellsRace(t, reply)
		e := of(t, reply.GetRun().GetTranscript(), func(e *connracev1.TranscriptEvent) bool { return e.GetKind() == givenUp })
		if e.GetCause() != want || e.GetEndpoint() != hole {
			t.Errorf("given up is %v, want %s because of %v", e, hole, want)
		}
	}
}

func TestTranscriptOfTheDeadline(t *testing.T) {
	t.Parallel()
	d, hole := serve(t, plain()), host(t, netlab.Swallow).Addr().String()
	inTime(t, func(ctx context.Context) error {
		reply, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Target: hole, IncludeTranscript: true})
		if err != nil {
			return err
		}
		tellsRace(t, reply)
		e := of(t, reply.GetRun().GetTranscript(), func(e *connracev1.TranscriptEvent) bool { return e.GetKind() == stopped })
		if e.GetEndReason() != connracev1.EndReason_END_REASON_DEADLINE_NEAR {
			t.Errorf("stopped is %v, want DEADLINE_NEAR", e)
		}
		return nil
	})
}

func TestTranscriptOfAProbe(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	bad, good := host(t, netlab.Refuse).Addr().String(), host(t, netlab.Accept).Addr().String()
	reply, err := d.rpc.Probe(patient(t), &connracev1.ProbeRequest{
		Candidates: candidates(good, bad), Rounds: 3, Interval: often(), IncludeTranscript: true,
	})
	must(t, err)
	tellsProbe(t, reply.GetRun(), reply.GetReport())
	if got := reply.GetRun().GetTranscript()[0].GetRound(); got != 1 {
		t.Errorf("the first round is %d", got)
	}
}

func TestTranscriptOfARanking(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	reply, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{
		Candidates: candidates("127.0.0.1:80", "127.0.0.1:80"), IncludeTranscript: true,
	})
	must(t, err)
	events := reply.GetRun().GetTranscript()
	if got, want := kinds(events), []connracev1.TranscriptEventKind{resolved, settled, settled, finished}; !slices.Equal(got, want) {
		t.Errorf("events are %v, want %v", got, want)
	}
	tellsSettled(t, events, 0, reply.GetCandidates())
	endsWith(t, events, reply.GetRun())
}
