package server

import (
	"context"

	"google.golang.org/protobuf/types/known/durationpb"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
)

// service implements RacerService.
type service struct {
	connracev1.UnimplementedRacerServiceServer
	cfg      Config
	stopping context.Context // done: the daemon stops, streams end
}

// ResolveAndRank implements connrace.v1.RacerService.
func (s *service) ResolveAndRank(ctx context.Context, m *connracev1.ResolveAndRankRequest) (*connracev1.ResolveAndRankResponse, error) {
	ctx = answerInTime(ctx)
	var d decoder
	req := racer.RankRequest{
		Target: d.target(m), Selection: d.selection(m), Options: d.raceOptions(m.GetOptions()),
		NoTranscript: !m.GetIncludeTranscript(),
	}
	if d.failed() {
		return nil, toStatus(d.err(req))
	}
	result, err := s.cfg.Racer.ResolveAndRank(ctx, req)
	if err != nil {
		return nil, toStatus(err)
	}
	reply := &connracev1.ResolveAndRankResponse{
		Run:        s.run(&result.Run, m.GetIncludeTranscript()),
		Options:    rankOptions(result.Options),
		Candidates: candidates(result.Candidates),
		Schedule:   schedule(result.Schedule),
	}
	if m.GetFailUnlessRanked() && !ranked(result.Candidates) {
		return nil, lostError(reasonNotRanked, "no address may be tried: "+result.End.String(), reply, cutRank(reply))
	}
	return reply, nil
}

// Race implements connrace.v1.RacerService.
func (s *service) Race(ctx context.Context, m *connracev1.RaceRequest) (*connracev1.RaceResponse, error) {
	ctx = answerInTime(ctx)
	var d decoder
	req := racer.RaceRequest{
		Target: d.target(m), Selection: d.selection(m), Options: d.raceOptions(m.GetOptions()),
		Caller: m.GetCallerKey(), Share: m.GetShare(), NoTranscript: !m.GetIncludeTranscript(),
	}
	if d.failed() {
		return nil, toStatus(d.err(req))
	}
	result, err := s.cfg.Racer.Race(ctx, req)
	if err != nil {
		return nil, toStatus(err)
	}
	reply := &connracev1.RaceResponse{
		Run:        s.run(&result.Run, m.GetIncludeTranscript()),
		Options:    raceOptions(result.Options),
		Winner:     winner(result.Winner),
		Candidates: candidates(result.Candidates),
		Cost:       cost(result.Cost),
		Masked:     masked(result),
		Sharing:    sharing(result.Sharing),
	}
	if m.GetFailUnlessWon() && result.Winner == nil {
		return nil, lostError(reasonNotWon, "nothing connected: "+result.End.String(), reply, cutRace(reply))
	}
	return reply, nil
}

// Probe implements connrace.v1.RacerService.
func (s *service) Probe(ctx context.Context, m *connracev1.ProbeRequest) (*connracev1.ProbeResponse, error) {
	ctx = answerInTime(ctx)
	var d decoder
	req := racer.ProbeRequest{
		Target:    d.target(m),
		Selection: d.selection(m),
		Options:   d.probeOptions(m.GetOptions()),
		Rounds:    int(m.GetRounds()),
		Interval:  d.interval(m.GetInterval()),
		Caller:    m.GetCallerKey(),

		NoTranscript: !m.GetIncludeTranscript(),
	}
	if d.failed() {
		return nil, toStatus(d.err(req))
	}
	result, err := s.cfg.Racer.Probe(ctx, req)
	if err != nil {
		return nil, toStatus(err)
	}
	reply := s.probeResponse(result, m.GetIncludeTranscript())
	if m.GetFailUnlessReachable() && !reachable(result) {
		return nil, lostError(reasonNotReachable, result.Report.Explain(), reply, cutProbe(reply.GetRun(), reply.GetReport()))
	}
	return reply, nil
}

func (s *service) probeResponse(result *racer.ProbeResult, transcript bool) *connracev1.ProbeResponse {
	m := &connracev1.ProbeResponse{
		Run:        s.run(&result.Run, transcript),
		Options:    probeOptions(result.Options),
		RoundCount: int32(result.Rounds),
		Report:     report(&result.Report),
	}
	if result.Interval != 0 {
		m.Interval = durationpb.New(result.Interval)
	}
	return m
}

// ranked says whether there is a candidate that may be tried.
func ranked(cs []racer.Candidate) bool {
	return len(cs) > 0 && cs[0].Skip == 0 // those that may not come last
}

func reachable(result *racer.ProbeResult) bool {
	v := result.Report.Verdict
	return v == racer.Reachable || v == racer.Degraded
}
