package main

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// Who was given up a moment after the start is not accused of silence; who had its
// chance is, as in what the race says it masked.
func TestAttemptWord(t *testing.T) {
	t.Parallel()
	const ms, none = time.Millisecond, -1
	for _, c := range []struct {
		name               string
		start, end, winner time.Duration // none: there is no start, no winner
		delay              time.Duration // of the attempt; none: the strategy knows no delay
		want               string
	}{
		{"given up after 40 µs", 0, 40 * time.Microsecond, 20 * time.Microsecond, 250 * ms, "given up"},
		{"began with the winner", 0, 200 * ms, 0, none, "given up"},
		{"began with a slow winner", 0, 260 * ms, 0, none, "silent"},
		{"began after the winner", 250 * ms, 300 * ms, 0, 250 * ms, "given up"},
		{"a head start of less than what counts", 0, 200 * ms, 10*ms - 1, 250 * ms, "given up"},
		{"a head start", 0, 200 * ms, 10 * ms, 250 * ms, "silent"},
		{"its attempt delay in the winner's grace", 50 * ms, 550 * ms, 0, 500 * ms, "silent"},
		{"less than that", 51 * ms, 550 * ms, 0, 500 * ms, "given up"},
		{"no winner", 0, 50 * ms, none, 250 * ms, "silent"},
		{"no winner, just begun", 95 * ms, 100 * ms, none, 250 * ms, "given up"},
		{"nothing has left", none, 900 * ms, 800 * ms, 250 * ms, "given up"},
	} {
		a := &pb.Attempt{Outcome: pb.Outcome_OUTCOME_CANCELLED, StartOffset: durationOf(c.start), EndOffset: durationOf(c.end), AttemptDelay: durationOf(c.delay)}
		r := &pb.RaceResponse{Candidates: []*pb.Candidate{{Attempts: []*pb.Attempt{a}}}}
		if c.winner != none {
			won := &pb.Attempt{Outcome: pb.Outcome_OUTCOME_WON, StartOffset: durationOf(c.winner)}
			r.Candidates = append(r.Candidates, &pb.Candidate{Attempts: []*pb.Attempt{won}})
		}
		if got := attemptWord(r, a).text; got != c.want {
			t.Errorf("%s: it is %q, want %q", c.name, got, c.want)
		}
	}
}

// durationOf is unset when d is negative.
func durationOf(d time.Duration) *durationpb.Duration {
	if d < 0 {
		return nil
	}
	return durationpb.New(d)
}
