package main

import (
	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// questionTable has a row for each question to DNS: what it brought, or why it
// brought nothing.
func questionTable(run *pb.Run) *table {
	t := &table{columns: []column{{}, {}, {}, {}, {right: true}}}
	queries := run.GetResolution().GetQueries()
	several := severalQuestions(queries)
	for _, q := range queries {
		name := ""
		if several {
			name = printable(q.GetName())
		}
		t.add(text(" "), text(recordWord(q.GetType())), text(name), answerWords(q), text(humanOf(q.GetDuration())))
	}
	return t
}

// severalQuestions says whether rows must tell the name.
func severalQuestions(queries []*pb.Query) bool {
	for _, q := range queries {
		if q.GetName() != queries[0].GetName() {
			return true
		}
	}
	return false
}

func answerWords(q *pb.Query) cell {
	switch q.GetOutcome() {
	case pb.QueryOutcome_QUERY_OUTCOME_ANSWERED:
		return text(plural(len(q.GetAddresses()), "address"))
	case pb.QueryOutcome_QUERY_OUTCOME_NOT_FOUND:
		return text("not found")
	case pb.QueryOutcome_QUERY_OUTCOME_FAILED:
		return cell{"failed", red}
	case pb.QueryOutcome_QUERY_OUTCOME_PENDING:
		return cell{"no answer", yellow}
	}
	return text(enumWord(q.GetOutcome().String(), "QUERY_OUTCOME_"))
}

// questionBars shows a question from asked to answered; one without an answer
// has no end to show.
func questionBars(q *pb.Query) []bar {
	if q.GetDuration() == nil {
		return nil
	}
	from := q.GetStartOffset().AsDuration()
	b := bar{from: from, to: from + q.GetDuration().AsDuration(), body: bodyQuery, end: endBad}
	if q.GetOutcome() == pb.QueryOutcome_QUERY_OUTCOME_ANSWERED {
		b.end = endGood
	}
	return []bar{b}
}

// printQuestions prints what was asked where there is no chart.
func (p *page) printQuestions(run *pb.Run) {
	questions := questionTable(run)
	if len(questions.rows) == 0 {
		return
	}
	p.blank()
	for _, l := range questions.lines(p.style) {
		p.line(l.text)
	}
}
