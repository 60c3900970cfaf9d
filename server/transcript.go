package server

import (
	"google.golang.org/protobuf/types/known/durationpb"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/racer/sched"
)

func encodeTranscript(entries []racer.Entry) []*connracev1.TranscriptEvent {
	ms := make([]*connracev1.TranscriptEvent, len(entries))
	for i := range entries {
		ms[i] = transcriptEvent(&entries[i])
	}
	return ms
}

func transcriptEvent(e *racer.Entry) *connracev1.TranscriptEvent {
	m := &connracev1.TranscriptEvent{
		Offset:   durationpb.New(e.At),
		Endpoint: endpoint(e.Endpoint),
	}
	if e.Round > 0 {
		m.Round = number(e.Round)
	}
	if e.Action.Kind != 0 {
		encodeAction(m, &e.Action)
	} else {
		encodeEvent(m, &e.Event)
	}
	return m
}

func encodeAction(m *connracev1.TranscriptEvent, a *sched.Action) {
	m.Kind = actionKinds[a.Kind]
	switch a.Kind {
	case sched.Query:
		m.Query = number(a.Question)
	case sched.Start:
		m.Attempt, m.Trigger = number(a.Attempt+1), triggers[a.Trigger]
		m.AttemptDelay, m.DelayBasis = attemptDelay(a.Delay, a.Basis), bases[a.Basis]
	case sched.Cancel:
		m.Attempt, m.Cause = number(a.Attempt+1), causes[a.Cause]
	case sched.Proceed, sched.Won:
		m.Attempt = number(a.Attempt + 1)
	case sched.Settle:
		m.Outcome, m.SkipReason = outcomes[a.Outcome], skipReasons[a.Skip]
	case sched.Finish:
		m.EndReason = endReasons[a.End]
	}
}

func encodeEvent(m *connracev1.TranscriptEvent, e *sched.Event) {
	m.Kind = eventKinds[e.Kind]
	switch e.Kind {
	case sched.Resolved:
		if e.Question != sched.NoQuestion {
			m.Query = number(e.Question)
		}
		for _, c := range e.Candidates {
			m.Endpoints = append(m.Endpoints, c.Endpoint.String())
		}
	case sched.Stopped:
		m.EndReason = endReasons[e.End]
	default:
		m.Attempt, m.DeferReason = number(e.Attempt+1), deferReasons[e.Defer]
	}
	if e.Failure != (sched.Failure{}) {
		m.Failure = failure(e.Failure)
	}
}

func number(i int) *int32 {
	v := int32(i)
	return &v
}
