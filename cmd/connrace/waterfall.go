package main

import (
	"io"
	"time"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// printRace prints a race as a waterfall: who was asked, which attempt started
// when, and how each ended, on one axis of time.
func printRace(w io.Writer, r *pb.RaceResponse, target string, s style) {
	p := &page{style: s}
	p.heading(printable(target), strategyWords(r.GetOptions()), raceResult(r), vantageWords(r.GetRun()))
	p.waterfall(r)
	p.raceNotes(r)
	p.transcript(r.GetRun())
	p.writeTo(w)
}

// strategyWords name the strategy and the delay that belongs to it.
func strategyWords(o *pb.RaceOptions) string {
	words := strategyWord(o.GetStrategy())
	switch {
	case o.GetAttemptDelay() != nil:
		words += ", attempt delay " + humanOf(o.GetAttemptDelay())
	case o.GetStrategy() == pb.Strategy_STRATEGY_SEQUENTIAL:
		words += ", attempt timeout " + humanOf(o.GetAttemptTimeout())
	}
	return words
}

func raceResult(r *pb.RaceResponse) string {
	after := r.GetRun().GetDuration()
	if r.GetWinner() != nil {
		after = r.GetWinner().GetWinOffset()
	}
	return endWords(r.GetRun().GetEndReason(), humanDuration(after.AsDuration()))
}

func vantageWords(run *pb.Run) string {
	if run.GetVantage() == "" {
		return ""
	}
	return "from " + printable(run.GetVantage())
}

// waterfall prints the questions and the candidates beside their chart.
func (p *page) waterfall(r *pb.RaceResponse) {
	questions, candidates := questionTable(r.GetRun()), raceTable(r)
	c := p.newChart(r, questions, candidates)
	if c.below {
		candidates = raceTable(r) // has the whole line again
		candidates.fit(p.style.width)
	}
	if len(questions.rows) > 0 {
		p.blank()
		for i, line := range questions.lines(p.style) {
			c.row(line, questionBars(r.GetRun().GetResolution().GetQueries()[i]), plain, "")
		}
	}
	if len(candidates.rows) > 0 {
		p.blank()
		p.line(candidates.head(p.style))
		lines := candidates.lines(p.style)
		for i, row := range foldRows(r.GetCandidates()) {
			c.row(lines[i], candidateBars(row.first), outcomeOf(row.first).color, row.note)
		}
	}
	c.finish()
}

// lastOffset is the end of the axis: that of the run, or of an attempt that was
// given up a moment later.
func lastOffset(r *pb.RaceResponse) time.Duration {
	last := r.GetRun().GetDuration().AsDuration()
	for _, c := range r.GetCandidates() {
		for _, a := range c.GetAttempts() {
			last = max(last, a.GetEndOffset().AsDuration())
		}
	}
	return max(last, time.Microsecond)
}

// raceTable has a row for each candidate, or for a long run of them that were
// never tried.
func raceTable(r *pb.RaceResponse) *table {
	t := &table{columns: []column{
		{head: " "},
		{head: "#", right: true},
		{head: "ENDPOINT"},
		{head: "LABEL"},
		{head: "NAME"},
		{head: "START", right: true, spare: 1},
		{head: "WHY", spare: 2},
		{head: "RESULT"},
		{head: "TOOK", right: true},
	}}
	names := severalNames(r.GetCandidates())
	for _, row := range foldRows(r.GetCandidates()) {
		c, a := row.first, decisive(row.first)
		t.add(
			winnerMark(c), text(row.positions), text(row.endpoints), text(printable(c.GetLabel())), nameCell(c, names),
			text(humanOf(a.GetStartOffset())), text(triggerWord(a.GetTrigger())), outcomeOf(c), text(took(a)),
		)
	}
	return t
}

func winnerMark(c *pb.Candidate) cell {
	if c.GetOutcome() == pb.Outcome_OUTCOME_WON {
		return cell{"*", green}
	}
	return text(" ")
}

// candidateBars has a bar for each attempt that began.
func candidateBars(c *pb.Candidate) []bar {
	var bars []bar
	for _, a := range c.GetAttempts() {
		if a.GetStartOffset() == nil {
			continue
		}
		bars = append(bars, bar{
			from: a.GetStartOffset().AsDuration(), to: a.GetEndOffset().AsDuration(),
			body: bodyAttempt, end: attemptEnd(a.GetOutcome()),
		})
	}
	return bars
}

func attemptEnd(o pb.Outcome) rune {
	switch o {
	case pb.Outcome_OUTCOME_WON, pb.Outcome_OUTCOME_CONNECTED:
		return endGood
	case pb.Outcome_OUTCOME_CONNECTED_LATE:
		return endLate
	case pb.Outcome_OUTCOME_FAILED:
		return endBad
	default:
		return endGivenUp
	}
}
