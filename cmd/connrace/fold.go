package main

import (
	"fmt"
	"strconv"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// foldedRow is a row of the table: one candidate, or several that were never
// tried for the same reason.
type foldedRow struct {
	first     *pb.Candidate
	positions string // "3", "4-1000"
	endpoints string
	note      string // beside the result
}

// foldAbove is the longest run of untried candidates that has a row for each.
const foldAbove = 20

// foldRows keeps long runs of untried candidates from burying the others.
func foldRows(candidates []*pb.Candidate) []foldedRow {
	var rows []foldedRow
	for len(candidates) > 0 {
		n := untriedRun(candidates)
		if n <= foldAbove {
			n = 1
		}
		rows = append(rows, foldRow(candidates[:n]))
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

func foldRow(run []*pb.Candidate) foldedRow {
	first, last := run[0], run[len(run)-1]
	row := foldedRow{
		first:     first,
		positions: strconv.Itoa(int(first.GetPosition())),
		endpoints: first.GetEndpoint(),
		note:      candidateNote(first),
	}
	if len(run) > 1 {
		row.first = &pb.Candidate{Outcome: first.GetOutcome(), SkipReason: first.GetSkipReason()}
		row.positions = fmt.Sprintf("%d-%d", first.GetPosition(), last.GetPosition())
		row.endpoints = plural(len(run), "candidate")
	}
	return row
}
