package server

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/racer/sched"
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

// Candidates of two attempts with all there is to say are cut like any others: what
// is left fits, is not less than it must be, and is the beginning of what there was.
func TestCutOfBackups(t *testing.T) {
	t.Parallel()
	m := &connracev1.RaceResponse{Run: fullRun()}
	for i := range 40 {
		m.Candidates = append(m.Candidates, backedUp(i+1))
	}
	whole := proto.CloneOf(m)
	err := lostError(reasonNotWon, "nothing connected", m, cutRace(m))
	details := status.Convert(err).Details()
	reply, ok := details[len(details)-1].(*connracev1.RaceResponse)
	if !ok {
		t.Fatalf("the details are %v, want the reply among them", details)
	}
	left := len(reply.GetCandidates())
	if size := proto.Size(reply); size > maxDetailBytes || size < maxDetailBytes/2 {
		t.Errorf("%d candidates in %d bytes are left, want somewhat less than %d bytes", left, size, maxDetailBytes)
	}
	whole.Run, whole.Candidates = &connracev1.Run{}, whole.GetCandidates()[:left]
	if !proto.Equal(reply, whole) {
		t.Errorf("what is left is %v, want %v", reply, whole)
	}
}

// backedUp is a candidate with a label whose attempt and backup timed out.
func backedUp(position int) *connracev1.Candidate {
	silence := sched.Failure{Type: "timed_out", Text: "no answer within 5s; see whether the host is up and whether a firewall drops packets, or allow an attempt more time", Fault: sched.FaultTarget}
	c := racer.Candidate{
		Position: position,
		Endpoint: netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:6666]:65535"),
		Label:    strings.Repeat("l", racer.MaxLabelLength),
		Outcome:  sched.OutcomeTimedOut,
	}
	for number := 1; number <= 2; number++ {
		c.Attempts = append(c.Attempts, racer.Attempt{
			Number: number, Trigger: sched.TriggerBackup, Delay: 249_999_999, Basis: sched.BasisQuantile,
			Begun: true, Start: 1_999_999_999, End: 6_999_999_999, Outcome: sched.OutcomeTimedOut, Failure: silence,
		})
	}
	return candidate(&c)
}
