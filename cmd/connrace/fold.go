package main

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// foldedRow is a row of the table: a candidate with one of its attempts, or several
// candidates that were never tried for the same reason.
type foldedRow struct {
	candidate *pb.Candidate // its words; empty where the row above has them, or where there are several
	attempt   *pb.Attempt   // nil: there was none
	positions string        // "3", "4-1000"
	endpoints string
	outcome   cell
	note      string // beside the result
	ifFirst   *durationpb.Duration
}

// foldAbove is the longest run of untried candidates that has a row for each.
const foldAbove = 20

// foldRows keeps long runs of untried candidates from burying the others.
func foldRows(r *pb.RaceResponse) []foldedRow {
	var rows []foldedRow
	candidates := r.GetCandidates()
	for len(candidates) > 0 {
		n := untriedRun(candidates)
		if n > foldAbove {
			rows = append(rows, foldRow(candidates[:n]))
		} else {
			n = 1
			rows = append(rows, attemptRows(r, candidates[0])...)
		}
		candidates = candidates[n:]
	}
	return rows
}

// untriedRun counts the candidates from the first that were not tried, all for
// the reason of the first.
func untriedRun(candidates []*pb.Candidate) int {
	first := candidates[0]
	for n, c := range candidates {
		if len(c.GetAttempts()) > 0 || c.GetOutcome() != first.GetOutcome() || c.GetSkipReason() != first.GetSkipReason() {
			return n
		}
	}
	return len(candidates)
}

// foldRow makes a row of several candidates.
func foldRow(run []*pb.Candidate) foldedRow {
	first, last := run[0], run[len(run)-1]
	return foldedRow{
		positions: fmt.Sprintf("%d-%d", first.GetPosition(), last.GetPosition()),
		endpoints: plural(len(run), "candidate"),
		outcome:   outcomeOf(first),
		note:      candidateNote(first),
	}
}

// attemptRows makes a row of each attempt at a candidate, or one that says why
// there was none.
func attemptRows(r *pb.RaceResponse, c *pb.Candidate) []foldedRow {
	row := foldedRow{candidate: c, positions: strconv.Itoa(int(c.GetPosition())), endpoints: c.GetEndpoint()}
	if len(c.GetAttempts()) == 0 {
		row.outcome, row.note = outcomeOf(c), candidateNote(c)
		return []foldedRow{row}
	}
	var rows []foldedRow
	for _, a := range c.GetAttempts() {
		row.attempt, row.outcome, row.note = a, attemptWord(r, a), attemptNote(a)
		if row.ifFirst = nil; a == decisive(c) {
			row.ifFirst = c.GetIfFirstDifference()
		}
		rows = append(rows, row)
		row = foldedRow{endpoints: again}
	}
	return rows
}

// again stands in place of an endpoint where it is that of the row above.
const again = "└ again"
