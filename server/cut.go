package server

import connracev1 "github.com/connrace/connrace/proto/connrace/v1"

// The functions here return a step that makes a reply smaller, for lostError: what
// can be told from the rest goes first (the transcript, what DNS answered, the
// schedule), then the candidates, from the last one on. A step returns false when
// nothing is left to cut.

func cutRank(m *connracev1.ResolveAndRankResponse) func() bool {
	return func() bool {
		return cutTranscript(m.GetRun()) || cutResolution(m.GetRun()) || shorten(&m.Schedule) || shorten(&m.Candidates)
	}
}

func cutRace(m *connracev1.RaceResponse) func() bool {
	return func() bool {
		return cutTranscript(m.GetRun()) || cutResolution(m.GetRun()) || shorten(&m.Candidates)
	}
}

func cutProbe(run *connracev1.Run, report *connracev1.ProbeReport) func() bool {
	return func() bool {
		return cutTranscript(run) || cutResolution(run) || shorten(&report.Candidates)
	}
}

func cutTranscript(run *connracev1.Run) bool {
	had := run.GetTranscript() != nil
	run.Transcript = nil
	return had
}

func cutResolution(run *connracev1.Run) bool {
	had := run.GetResolution() != nil
	run.Resolution = nil
	return had
}

// shorten drops an eighth of a list, at least one, from its end.
func shorten[T any](list *[]T) bool {
	had := len(*list) > 0
	*list = (*list)[:len(*list)*7/8]
	return had
}
