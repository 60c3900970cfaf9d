package server

import (
	"context"
	"errors"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/racer/sched"
)

// WatchProbe implements connrace.v1.RacerService. It ends with OK at the
// caller's deadline, with UNAVAILABLE when the daemon stops.
func (s *service) WatchProbe(m *connracev1.WatchProbeRequest, stream connracev1.RacerService_WatchProbeServer) error {
	ctx, stop := context.WithCancelCause(answerInTime(stream.Context()))
	defer stop(nil)
	defer context.AfterFunc(s.stopping, func() { stop(errShuttingDown) })()
	err := s.watch(ctx, m, stream)
	switch {
	case err == nil, errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.Is(context.Cause(ctx), errShuttingDown):
		return toStatus(errShuttingDown) // also where it was sending to nobody
	default:
		return toStatus(err)
	}
}

func (s *service) watch(ctx context.Context, m *connracev1.WatchProbeRequest, stream connracev1.RacerService_WatchProbeServer) error {
	var d decoder
	req := racer.ProbeRequest{
		Target:    d.target(m),
		Selection: d.selection(m),
		Options:   d.probeOptions(m.GetOptions()),
		Interval:  d.interval(m.GetInterval()),
		Caller:    m.GetCallerKey(),

		NoTranscript: !m.GetIncludeTranscript(),
	}
	if d.failed() {
		return d.err(req)
	}
	return s.cfg.Racer.Watch(ctx, req, func(round int64, result *racer.ProbeResult) error {
		reply := s.watchResponse(round, result, m.GetIncludeTranscript())
		cutShort := result.End == sched.EndDeadlineNear // says nothing about the target
		if m.GetFailUnlessReachable() && !reachable(result) && !cutShort {
			return lostError(reasonNotReachable, result.Report.Explain(), reply, cutProbe(reply.GetRun(), reply.GetReport()))
		}
		return stream.Send(reply)
	})
}

func (s *service) watchResponse(round int64, result *racer.ProbeResult, transcript bool) *connracev1.WatchProbeResponse {
	p := s.probeResponse(result, transcript)
	return &connracev1.WatchProbeResponse{
		Run: p.GetRun(), Options: p.GetOptions(), Round: round, Interval: p.GetInterval(), Report: p.GetReport(),
	}
}
