package main

import (
	"fmt"
	"slices"
	"strings"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// raceNotes say what the winner hid, what the race cost, and what to look at.
func (p *page) raceNotes(r *pb.RaceResponse) {
	p.blank()
	p.note("masked", printable(r.GetMasked().GetSummary()), yellow)
	p.note("cost", costWords(r.GetCost(), r.GetOptions().GetCriterion()), plain)
	p.note("shared", sharingWords(r.GetSharing()), plain)
	p.delayNotes(r.GetOptions(), attemptDelays(r.GetCandidates()))
	p.stageFacts(r.GetRun().GetStartTime().AsTime(), r.GetCandidates())
	p.troubles(r.GetRun(), r.GetCandidates(), failuresOf(r.GetCandidates()))
}

// costWords say what a race cost. With a criterion a connection is not enough: what is
// counted is who has done all of it.
func costWords(c *pb.Cost, criterion *pb.SuccessCriterion) string {
	words := plural(int(c.GetAttemptCount()), "attempt")
	if n := int(c.GetBackupCount()); n > 0 {
		words += " (" + plural(n, "backup") + ")"
	}
	if criterion == nil {
		words += ", " + plural(int(c.GetConnectedCount()), "connection") + " established"
	} else {
		words += fmt.Sprintf(", %d succeeded", c.GetConnectedCount())
	}
	if n := c.GetDroppedCount(); n > 0 {
		words += fmt.Sprintf(", %d of them dropped", n)
	}
	return words
}

// troubles are the sentences the tables have no room for: what the kernel knows, this
// host's own failures, questions that could not be answered, and warnings.
func (p *page) troubles(run *pb.Run, candidates []*pb.Candidate, failure func(*pb.Attempt) string) {
	p.deferralNotes(candidates)
	p.spread("failed", candidates, failure, yellow)
	p.kernelNotes(candidates)
	for _, sentence := range hostTroubles(candidates) {
		p.note("this host", sentence, yellow)
	}
	for _, q := range run.GetResolution().GetQueries() {
		if q.GetOutcome() == pb.QueryOutcome_QUERY_OUTCOME_FAILED {
			p.note("dns", recordWord(q.GetType())+" "+printable(q.GetName())+": "+printable(q.GetFailure().GetMessage()), yellow)
		}
	}
	for _, w := range run.GetWarnings() {
		p.note("warning", flagOf(w.GetField())+": "+printable(inFlags(w.GetMessage())), yellow)
	}
}

// failuresOf are the words for failures: where nothing connected, what to do about each.
func failuresOf(candidates []*pb.Candidate) func(*pb.Attempt) string {
	if slices.ContainsFunc(candidates, connected) {
		return stageFailureWords
	}
	return failureWords
}

// connected says that an attempt at the candidate has.
func connected(c *pb.Candidate) bool {
	return slices.ContainsFunc(c.GetAttempts(), func(a *pb.Attempt) bool {
		switch a.GetOutcome() {
		case pb.Outcome_OUTCOME_WON, pb.Outcome_OUTCOME_CONNECTED, pb.Outcome_OUTCOME_CONNECTED_LATE:
			return true
		default:
			return false
		}
	})
}

// hostTroubles are the distinct failures that say nothing about the target, each
// once.
func hostTroubles(candidates []*pb.Candidate) []string {
	var sentences []string
	for _, c := range candidates {
		for _, a := range c.GetAttempts() {
			f := a.GetFailure()
			if f.GetFault() != pb.Fault_FAULT_HOST {
				continue
			}
			sentence := strings.TrimSpace(failureWord(f.GetErrorType(), f.GetErrno()) + ": " + printable(inFlags(f.GetMessage())))
			if !slices.Contains(sentences, sentence) {
				sentences = append(sentences, sentence)
			}
		}
	}
	return sentences
}
