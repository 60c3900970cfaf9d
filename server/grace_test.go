package server_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// tellsDifferences holds every candidate that connected against the winner: had it
// been the first to be tried, its own handshake would have counted from the race's
// first start, or from the answer that brought its address. The others have nothing
// to tell.
func tellsDifferences(t *testing.T, reply *connracev1.RaceResponse) {
	t.Helper()
	first := firstStart(reply.GetCandidates())
	for _, c := range reply.GetCandidates() {
		took, connected := handshake(c)
		want := max(first, known(reply.GetRun(), c)) + took - reply.GetWinner().GetWinOffset().AsDuration()
		switch got := c.GetIfFirstDifference(); {
		case reply.GetWinner() == nil || !connected:
			if got != nil {
				t.Errorf("%s would have made a difference of %v, want none to be known", c.GetEndpoint(), got)
			}
		case got == nil || got.AsDuration() != want:
			t.Errorf("%s would have made a difference of %v, want %v", c.GetEndpoint(), got, want)
		}
	}
}

// firstStart is when the first packet of a race left.
func firstStart(cs []*connracev1.Candidate) time.Duration {
	first := time.Duration(1<<63 - 1)
	for _, c := range cs {
		for _, a := range c.GetAttempts() {
			if a.GetStartOffset() != nil {
				first = min(first, a.GetStartOffset().AsDuration())
			}
		}
	}
	return first
}

// known is when the answer came that brought a candidate.
func known(run *connracev1.Run, c *connracev1.Candidate) time.Duration {
	from := map[connracev1.Origin]connracev1.RecordType{
		connracev1.Origin_ORIGIN_A:    connracev1.RecordType_RECORD_TYPE_A,
		connracev1.Origin_ORIGIN_AAAA: connracev1.RecordType_RECORD_TYPE_AAAA,
	}
	for _, q := range run.GetResolution().GetQueries() {
		if q.GetType() == from[c.GetOrigin()] && q.GetName() == c.GetName() {
			return q.GetStartOffset().AsDuration() + q.GetDuration().AsDuration()
		}
	}
	return 0 // the caller brought it
}

// handshake is how long the quickest one with a candidate took.
func handshake(c *connracev1.Candidate) (took time.Duration, connected bool) {
	for _, a := range c.GetAttempts() {
		switch a.GetOutcome() {
		case connracev1.Outcome_OUTCOME_WON, connracev1.Outcome_OUTCOME_CONNECTED_LATE:
			d := a.GetEndOffset().AsDuration() - a.GetStartOffset().AsDuration()
			if !connected || d < took {
				took, connected = d, true
			}
		}
	}
	return took, connected
}

// Both connect, and the reply tells of each what it would have come to; it does not
// wait for a grace that nobody needs.
func TestGraceLetsLosersConnect(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Candidates:        candidates(host(t, netlab.Accept).Addr().String(), host(t, netlab.Accept).Addr().String()),
		Options:           &connracev1.RaceOptions{Strategy: allAtOnce, Grace: durationpb.New(10 * time.Second)},
		IncludeTranscript: true,
	})
	must(t, err)
	fits(t, reply.GetRun(), reply.GetCandidates())
	winsAsItsAttemptSays(t, reply)
	tellsRace(t, reply)
	count := map[connracev1.Outcome]int{}
	for _, c := range reply.GetCandidates() {
		count[c.GetOutcome()]++
	}
	if count[connracev1.Outcome_OUTCOME_WON] != 1 || count[connracev1.Outcome_OUTCOME_CONNECTED_LATE] != 1 {
		t.Errorf("outcomes are %v, want a winner and one that connected late", count)
	}
	same(t, reply.GetCost(), &connracev1.Cost{AttemptCount: 2, ConnectedCount: 2, DroppedCount: 1})
	if took := reply.GetRun().GetDuration().AsDuration(); took > 5*time.Second {
		t.Errorf("the run took %v, though nothing was left to wait for", took)
	}
}

// The losers have until the end of the grace, or of what bounds them otherwise, and
// whoever was not tried before the win is not tried after it.
func TestGraceEnds(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	hole, good := host(t, netlab.Swallow).Addr().String(), host(t, netlab.Accept).Addr().String()
	behind := host(t, netlab.Accept).Addr().String()
	const long, brief = 10 * time.Second, 2 * time.Second // a busy machine needs time to win in
	for name, c := range map[string]struct {
		options *connracev1.RaceOptions
		want    connracev1.Outcome // of the one that is silent
		ends    func(win, start time.Duration) time.Duration
	}{
		"none": {
			&connracev1.RaceOptions{}, connracev1.Outcome_OUTCOME_CANCELLED,
			func(win, _ time.Duration) time.Duration { return win },
		},
		"the grace": {
			&connracev1.RaceOptions{Grace: durationpb.New(brief)}, connracev1.Outcome_OUTCOME_CANCELLED,
			func(win, _ time.Duration) time.Duration { return win + brief },
		},
		"the attempt timeout": {
			&connracev1.RaceOptions{Grace: durationpb.New(long), AttemptTimeout: durationpb.New(brief)}, connracev1.Outcome_OUTCOME_TIMED_OUT,
			func(_, start time.Duration) time.Duration { return start + brief },
		},
		"the timeout": {
			&connracev1.RaceOptions{Grace: durationpb.New(long), Timeout: durationpb.New(brief)}, connracev1.Outcome_OUTCOME_CANCELLED,
			func(_, _ time.Duration) time.Duration { return brief },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.options.Strategy, c.options.AttemptDelay = adaptive, milliseconds(2000)
			specs := []*connracev1.CandidateSpec{distant(hole, time.Millisecond)} // the next one starts 10 ms later
			reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
				Candidates: append(specs, candidates(good, behind)...), Options: c.options, IncludeTranscript: true,
			})
			must(t, err)
			tellsRace(t, reply)
			if got := reply.GetRun().GetEndReason(); got != connracev1.EndReason_END_REASON_WON || reply.GetWinner().GetEndpoint() != good {
				t.Fatalf("the end is %v, the winner %v; want %s to win", got, reply.GetWinner(), good)
			}
			silent, untried := reply.GetCandidates()[0], reply.GetCandidates()[2]
			if silent.GetOutcome() != c.want || untried.GetOutcome() != connracev1.Outcome_OUTCOME_NOT_STARTED {
				t.Errorf("the silent one is %v, want %v; the one behind the winner %v", silent.GetOutcome(), c.want, untried.GetOutcome())
			}
			a := silent.GetAttempts()[0]
			ends := c.ends(reply.GetWinner().GetWinOffset().AsDuration(), a.GetStartOffset().AsDuration())
			if got := a.GetEndOffset().AsDuration(); got < ends || got > ends+long/2 {
				t.Errorf("the silent one ends at %v, want %v or a little later", got, ends)
			}
		})
	}
}
