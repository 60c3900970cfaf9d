package server

import (
	"slices"
	"testing"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// left counts what a cut can take, in the order in which it must go.
type left struct{ transcript, schedule, candidates, resolution int }

// cutAll takes one step after the other and returns what was left after each.
func cutAll(t *testing.T, step func() bool, look func() left) []left {
	t.Helper()
	states := []left{look()}
	for step() {
		states = append(states, look())
		if len(states) > 20 {
			t.Fatalf("it goes on without end: %v", states)
		}
	}
	if got := look(); got != states[len(states)-1] {
		t.Errorf("the step that had nothing to cut left %v of %v", got, states[len(states)-1])
	}
	return states
}

func fullRun() *connracev1.Run {
	return &connracev1.Run{
		Transcript: []*connracev1.TranscriptEvent{{}, {}},
		Resolution: &connracev1.Resolution{Queries: []*connracev1.Query{{}}},
	}
}

func isCutAs(t *testing.T, got []left, want ...left) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("transcript, schedule, candidates and resolution go as %v, want %v", got, want)
	}
}

func TestCutRank(t *testing.T) {
	t.Parallel()
	m := &connracev1.ResolveAndRankResponse{
		Run: fullRun(), Schedule: make([]*connracev1.ScheduledStart, 2), Candidates: make([]*connracev1.Candidate, 3),
	}
	isCutAs(t,
		cutAll(t, cutRank(m), func() left {
			return left{
				len(m.GetRun().GetTranscript()), len(m.GetSchedule()), len(m.GetCandidates()), len(m.GetRun().GetResolution().GetQueries()),
			}
		}),
		left{2, 2, 3, 1}, left{0, 2, 3, 1}, left{0, 2, 3, 0}, left{0, 1, 3, 0}, left{0, 0, 3, 0}, left{0, 0, 2, 0}, left{0, 0, 1, 0}, left{0, 0, 0, 0})
}

func TestCutRace(t *testing.T) {
	t.Parallel()
	m := &connracev1.RaceResponse{Run: fullRun(), Candidates: make([]*connracev1.Candidate, 2)}
	isCutAs(t,
		cutAll(t, cutRace(m), func() left {
			return left{len(m.GetRun().GetTranscript()), 0, len(m.GetCandidates()), len(m.GetRun().GetResolution().GetQueries())}
		}),
		left{2, 0, 2, 1}, left{0, 0, 2, 1}, left{0, 0, 2, 0}, left{0, 0, 1, 0}, left{0, 0, 0, 0})
}

func TestCutProbe(t *testing.T) {
	t.Parallel()
	run, report := fullRun(), &connracev1.ProbeReport{Candidates: make([]*connracev1.ProbedCandidate, 2)}
	isCutAs(t,
		cutAll(t, cutProbe(run, report), func() left {
			return left{len(run.GetTranscript()), 0, len(report.GetCandidates()), len(run.GetResolution().GetQueries())}
		}),
		left{2, 0, 2, 1}, left{0, 0, 2, 1}, left{0, 0, 2, 0}, left{0, 0, 1, 0}, left{0, 0, 0, 0})
}
