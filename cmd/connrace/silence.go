package main

import (
	"time"

	pb "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer/sched"
)

// attemptWord says how an attempt of a race ended.
func attemptWord(r *pb.RaceResponse, a *pb.Attempt) cell {
	if a.GetOutcome() == pb.Outcome_OUTCOME_CANCELLED && silent(r, a) {
		return cell{"silent", yellow}
	}
	return outcomeWord(a.GetOutcome(), a.GetFailure())
}

// silent says whether an attempt that was given up had time to answer, so that its
// silence counts against the address: it had a head start on the winner, as what is
// masked has, or its whole attempt delay. Who lost to one that began with it was only
// slower.
func silent(r *pb.RaceResponse, a *pb.Attempt) bool {
	if a.GetStartOffset() == nil {
		return false // nothing has left that could be answered
	}
	start, end := a.GetStartOffset().AsDuration(), a.GetEndOffset().AsDuration()
	return start+sched.MinAttemptDelay <= rivalStart(r, end) || end-start >= patience(r.GetOptions(), a)
}

// rivalStart is when the winner's attempt started; without a winner it is otherwise.
func rivalStart(r *pb.RaceResponse, otherwise time.Duration) time.Duration {
	for _, c := range r.GetCandidates() {
		for _, a := range c.GetAttempts() {
			if a.GetOutcome() == pb.Outcome_OUTCOME_WON {
				return a.GetStartOffset().AsDuration()
			}
		}
	}
	return otherwise
}

// patience is how long an attempt is alone before the next one starts; where the
// strategy knows no delay, the one that the standard recommends.
func patience(o *pb.RaceOptions, a *pb.Attempt) time.Duration {
	switch {
	case a.GetAttemptDelay() != nil:
		return a.GetAttemptDelay().AsDuration()
	case o.GetAttemptDelay() != nil:
		return o.GetAttemptDelay().AsDuration()
	}
	return sched.DefaultAttemptDelay
}
