package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
	"github.com/connrace/connrace/racer/sim"
)

// simulatedRace runs a race in a world and makes the reply that a daemon would give,
// as far as there is one: a simulation has no host, no policy and no warnings.
func simulatedRace(w sim.World, cfg sched.Config, port uint16) *pb.RaceResponse {
	cfg.Questions = []sched.Question{{Name: w.Name, Type: sched.AAAA}, {Name: w.Name, Type: sched.A}}
	r := &raceReader{cfg: cfg, port: port, reply: &pb.RaceResponse{
		Run:     &pb.Run{Resolution: &pb.Resolution{}},
		Options: simulatedOptions(cfg),
		Cost:    &pb.Cost{},
	}}
	for _, entry := range sim.Race(w, cfg) {
		said := &pb.TranscriptEvent{Offset: durationpb.New(entry.At)}
		if entry.Event.Kind != 0 {
			r.event(entry.Event, said)
		} else {
			r.action(entry.At, entry.Action, said)
		}
		r.reply.Run.Transcript = append(r.reply.Run.Transcript, said)
	}
	return r.reply
}

func simulatedOptions(cfg sched.Config) *pb.RaceOptions {
	o := &pb.RaceOptions{
		Strategy:       named[pb.Strategy](pb.Strategy_value, "STRATEGY_", cfg.Strategy),
		AttemptTimeout: durationpb.New(cfg.AttemptTimeout),
		Timeout:        durationpb.New(cfg.Timeout),
	}
	if cfg.Strategy != sched.Sequential && cfg.Strategy != sched.AllAtOnce {
		o.AttemptDelay = durationpb.New(cfg.AttemptDelay)
	}
	return o
}

// named is the contract's value for a word of the scheduler: "timed_out" is
// OUTCOME_TIMED_OUT. What has no word is unspecified.
func named[E ~int32](values map[string]int32, prefix string, word fmt.Stringer) E {
	return E(values[prefix+strings.ToUpper(word.String())])
}

// raceReader reads a reply off a transcript, an entry at a time.
type raceReader struct {
	cfg       sched.Config
	port      uint16
	reply     *pb.RaceResponse
	endpoints []netip.AddrPort // by candidate
	origins   []pb.Origin      // by candidate
	attempts  []*pb.Attempt
	of        []int // candidates, by attempt
	causes    []sched.Cause
}

func (r *raceReader) event(e sched.Event, said *pb.TranscriptEvent) {
	said.Kind = named[pb.TranscriptEventKind](pb.TranscriptEventKind_value, "TRANSCRIPT_EVENT_KIND_", e.Kind)
	if e.Kind == sched.Resolved {
		r.resolved(e, said)
		return
	}
	said.Kind = named[pb.TranscriptEventKind](pb.TranscriptEventKind_value, "TRANSCRIPT_EVENT_KIND_ATTEMPT_", e.Kind)
	r.about(e.Attempt, said)
	a := r.attempts[e.Attempt]
	switch e.Kind {
	case sched.Started:
		a.StartOffset = durationpb.New(e.At)
	case sched.Failed:
		said.Failure = failure(e.Failure)
		a.Failure, a.EndOffset = said.GetFailure(), durationpb.New(e.At)
	case sched.Connected, sched.Cancelled:
		a.EndOffset = durationpb.New(e.At)
	}
}

// about names the attempt that something is about.
func (r *raceReader) about(attempt int, said *pb.TranscriptEvent) {
	number := int32(attempt + 1)
	said.Attempt, said.Endpoint = &number, r.endpoints[r.of[attempt]].String()
}

func (r *raceReader) resolved(e sched.Event, said *pb.TranscriptEvent) {
	question := int32(e.Question)
	said.Query = &question
	q := r.reply.GetRun().GetResolution().GetQueries()[e.Question]
	q.Duration = durationpb.New(e.At - q.GetStartOffset().AsDuration())
	switch e.Answer {
	case sched.Positive:
		q.Outcome = pb.QueryOutcome_QUERY_OUTCOME_ANSWERED
	case sched.NotFound:
		q.Outcome = pb.QueryOutcome_QUERY_OUTCOME_NOT_FOUND
	case sched.Broken:
		q.Outcome = pb.QueryOutcome_QUERY_OUTCOME_FAILED
	}
	if e.Answer != sched.Positive {
		q.Failure = failure(e.Failure)
		said.Failure = q.GetFailure()
	}
	origin := named[pb.Origin](pb.Origin_value, "ORIGIN_", r.cfg.Questions[e.Question].Type)
	for _, c := range e.Candidates {
		endpoint := netip.AddrPortFrom(c.Endpoint.Addr(), r.port)
		r.endpoints, r.origins = append(r.endpoints, endpoint), append(r.origins, origin)
		q.Addresses = append(q.Addresses, endpoint.Addr().String())
		said.Endpoints = append(said.Endpoints, endpoint.String())
	}
}

func (r *raceReader) action(at time.Duration, a sched.Action, said *pb.TranscriptEvent) {
	switch a.Kind {
	case sched.Query:
		r.query(at, a, said)
	case sched.Start:
		r.start(a, said)
	case sched.Proceed:
		said.Kind = pb.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_PROCEEDED
		r.about(a.Attempt, said)
	case sched.Cancel:
		said.Kind = pb.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_GIVEN_UP
		said.Cause = named[pb.GiveUpCause](pb.GiveUpCause_value, "GIVE_UP_CAUSE_", a.Cause)
		r.about(a.Attempt, said)
		r.causes[a.Attempt] = a.Cause
	case sched.Won:
		said.Kind = pb.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_WON
		r.about(a.Attempt, said)
		r.won(a)
	case sched.Settle:
		r.settle(a, said)
	case sched.Finish:
		said.Kind = pb.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_FINISHED
		said.EndReason = named[pb.EndReason](pb.EndReason_value, "END_REASON_", a.End)
		r.reply.Run.EndReason, r.reply.Run.Duration = said.GetEndReason(), durationpb.New(at)
	}
}

func (r *raceReader) query(at time.Duration, a sched.Action, said *pb.TranscriptEvent) {
	question := int32(a.Question)
	said.Kind, said.Query = pb.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_QUERY_SENT, &question
	asked := r.cfg.Questions[a.Question]
	resolution := r.reply.GetRun().GetResolution()
	resolution.Queries = append(resolution.Queries, &pb.Query{
		Name:        asked.Name,
		Type:        named[pb.RecordType](pb.RecordType_value, "RECORD_TYPE_", asked.Type),
		StartOffset: durationpb.New(at),
		Outcome:     pb.QueryOutcome_QUERY_OUTCOME_PENDING,
	})
}

func (r *raceReader) start(a sched.Action, said *pb.TranscriptEvent) {
	said.Kind = pb.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_REQUESTED
	said.Trigger = named[pb.AttemptTrigger](pb.AttemptTrigger_value, "ATTEMPT_TRIGGER_", a.Trigger)
	if a.Basis != sched.BasisNone {
		said.AttemptDelay = durationpb.New(a.Delay)
		said.DelayBasis = named[pb.DelayBasis](pb.DelayBasis_value, "DELAY_BASIS_", a.Basis)
	}
	r.of, r.causes = append(r.of, a.Candidate), append(r.causes, sched.CauseNone)
	r.attempts = append(r.attempts, &pb.Attempt{
		Number:       int32(a.Attempt + 1),
		Trigger:      said.GetTrigger(),
		AttemptDelay: said.GetAttemptDelay(),
		DelayBasis:   said.GetDelayBasis(),
	})
	r.about(a.Attempt, said)
}

func (r *raceReader) won(a sched.Action) {
	attempt, endpoint := r.attempts[a.Attempt], r.endpoints[a.Candidate]
	r.reply.Winner = &pb.Winner{
		Endpoint:        endpoint.String(),
		Address:         endpoint.Addr().String(),
		Port:            int32(endpoint.Port()),
		Family:          familyOf(endpoint.Addr()),
		WinOffset:       attempt.GetEndOffset(),
		ConnectDuration: durationpb.New(attempt.GetEndOffset().AsDuration() - attempt.GetStartOffset().AsDuration()),
		AttemptNumber:   attempt.GetNumber(),
	}
}

func (r *raceReader) settle(a sched.Action, said *pb.TranscriptEvent) {
	endpoint := r.endpoints[a.Candidate]
	c := &pb.Candidate{
		Position:   int32(len(r.reply.GetCandidates()) + 1),
		Endpoint:   endpoint.String(),
		Address:    endpoint.Addr().String(),
		Port:       int32(endpoint.Port()),
		Family:     familyOf(endpoint.Addr()),
		Origin:     r.origins[a.Candidate],
		Name:       r.cfg.Questions[0].Name,
		Outcome:    named[pb.Outcome](pb.Outcome_value, "OUTCOME_", a.Outcome),
		SkipReason: named[pb.SkipReason](pb.SkipReason_value, "SKIP_REASON_", a.Skip),
		RankReason: named[pb.RankReason](pb.RankReason_value, "RANK_REASON_", a.Reason),
		Attempts:   r.attemptsAt(a),
	}
	r.reply.Candidates = append(r.reply.Candidates, c)
	if c.GetOutcome() == pb.Outcome_OUTCOME_WON {
		r.reply.Winner.Position = c.GetPosition()
	}
	said.Kind = pb.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_SETTLED
	said.Endpoint, said.Outcome, said.SkipReason = c.GetEndpoint(), c.GetOutcome(), c.GetSkipReason()
}

// attemptsAt are those at a candidate, with their outcomes, and adds up what they
// cost.
func (r *raceReader) attemptsAt(settled sched.Action) []*pb.Attempt {
	var at []*pb.Attempt
	for i, candidate := range r.of {
		if candidate != settled.Candidate {
			continue
		}
		a := r.attempts[i]
		a.Outcome = named[pb.Outcome](pb.Outcome_value, "OUTCOME_", settled.Outcomes[len(at)])
		if r.causes[i] == sched.CauseTimeout && a.GetFailure() == nil {
			a.Failure = &pb.Failure{ErrorType: "timed_out", Message: "no answer in time", Fault: pb.Fault_FAULT_TARGET}
		}
		at = append(at, a)
		r.charge(a)
	}
	return at
}

func (r *raceReader) charge(a *pb.Attempt) {
	cost := r.reply.GetCost()
	cost.AttemptCount++
	if a.GetTrigger() == pb.AttemptTrigger_ATTEMPT_TRIGGER_BACKUP {
		cost.BackupCount++
	}
	switch a.GetOutcome() {
	case pb.Outcome_OUTCOME_WON:
		cost.ConnectedCount++
	case pb.Outcome_OUTCOME_CONNECTED_LATE:
		cost.ConnectedCount++
		cost.DroppedCount++
	}
}

func failure(f sched.Failure) *pb.Failure {
	return &pb.Failure{
		ErrorType: f.Type, Errno: f.Errno, Message: f.Text,
		Fault: named[pb.Fault](pb.Fault_value, "FAULT_", f.Fault),
	}
}

func familyOf(addr netip.Addr) pb.AddressFamily {
	if addrsel.FamilyOf(addr) == addrsel.FamilyIPv4 {
		return pb.AddressFamily_ADDRESS_FAMILY_IPV4
	}
	return pb.AddressFamily_ADDRESS_FAMILY_IPV6
}
