package main

import (
	"slices"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// What the rows of all tables say about a candidate.

// nameCell tells the name a candidate comes from when there are several.
func nameCell(c *pb.Candidate, several bool) cell {
	if !several {
		return cell{}
	}
	return text(printable(c.GetName()))
}

func severalNames(candidates []*pb.Candidate) bool {
	names := make(map[string]bool)
	for _, c := range candidates {
		names[c.GetName()] = true
	}
	return len(names) > 1
}

// decisive is the attempt that gave the candidate its outcome: the last one that
// ended so. nil when there was none.
func decisive(c *pb.Candidate) *pb.Attempt {
	attempts := c.GetAttempts()
	for _, a := range slices.Backward(attempts) {
		if a.GetOutcome() == c.GetOutcome() {
			return a
		}
	}
	if len(attempts) == 0 {
		return nil
	}
	return attempts[len(attempts)-1]
}

func outcomeOf(c *pb.Candidate) cell {
	return outcomeWord(c.GetOutcome(), decisive(c).GetFailure())
}

// took is how long an attempt took; empty when its first packet never left.
func took(a *pb.Attempt) string {
	if a.GetStartOffset() == nil {
		return ""
	}
	return humanDuration(a.GetEndOffset().AsDuration() - a.GetStartOffset().AsDuration())
}

// candidateNote says what the result leaves open.
func candidateNote(c *pb.Candidate) string {
	if note := attemptNote(decisive(c)); note != "" {
		return note
	}
	return skipWords(c.GetSkipReason())
}

func attemptNote(a *pb.Attempt) string {
	if a.GetFailure().GetFault() == pb.Fault_FAULT_HOST {
		return "this host"
	}
	return ""
}
