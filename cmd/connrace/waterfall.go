package main

import (
	"io"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// printRace prints a race as a waterfall: who was asked, which attempt started
// when, and how each ended, on one axis of time.
func printRace(w io.Writer, r *pb.RaceResponse, target string, s style) {
	p := &page{style: s}
	p.race(r, target)
	p.writeTo(w)
}

func (p *page) race(r *pb.RaceResponse, target string) {
	p.heading(printable(target), strategyWords(r.GetOptions()), criterionWords(r.GetOptions().GetCriterion()), raceResult(r), vantageWords(r.GetRun()))
	p.waterfall(r)
	p.raceNotes(r)
	p.transcript(r.GetRun())
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
		candidates.squeeze(p.style.width)
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
		for i, row := range foldRows(r) {
			c.row(lines[i], attemptBars(row.attempt), row.outcome.color, row.note)
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

// raceTable has a row for each attempt, and one for each candidate that was never
// tried, or for a long run of them.
func raceTable(r *pb.RaceResponse) *table {
	t := &table{columns: []column{
		{head: " "},
		{head: "#", right: true},
		{head: "ENDPOINT"},
		{head: "LABEL", clips: true},
		{head: "NAME", clips: true},
		{head: "START", right: true, spare: 2},
		{head: "WHY", spare: 3},
		{head: "NEXT AFTER", spare: 1},
		{head: "RESULT"},
		{head: "TOOK", right: true},
	}}
	phases := criterionPhases(r.GetOptions().GetCriterion())
	t.columns = append(append(t.columns, phaseColumns(phases)...), column{head: "IF FIRST", right: true})
	names, delays := severalNames(r.GetCandidates()), variedDelays(r.GetOptions(), attemptDelays(r.GetCandidates()))
	for _, row := range foldRows(r) {
		c, a := row.candidate, row.attempt
		cells := []cell{
			winnerMark(a), text(row.positions), text(row.endpoints), text(printable(c.GetLabel())), nameCell(c, names),
			text(humanOf(a.GetStartOffset())), text(triggerWord(a.GetTrigger())), delayCell(a, delays),
			row.outcome, text(took(a)),
		}
		t.add(append(append(cells, phaseCells(a, phases)...), ifFirstCell(r.GetOptions(), row.ifFirst))...)
	}
	return t
}

func winnerMark(a *pb.Attempt) cell {
	if a.GetOutcome() == pb.Outcome_OUTCOME_WON {
		return cell{"*", green}
	}
	return text(" ")
}

// ifFirstCell says what the caller would have had of a candidate, had that been the
// first to be tried: what a grace is asked for.
func ifFirstCell(o *pb.RaceOptions, difference *durationpb.Duration) cell {
	switch d := difference.AsDuration(); {
	case o.GetGrace().AsDuration() == 0 || d == 0:
		return cell{}
	case d < 0:
		return cell{humanDuration(-d) + " sooner", green}
	default:
		return text(humanDuration(d) + " later")
	}
}

// attemptBars has the bar of an attempt that began.
func attemptBars(a *pb.Attempt) []bar {
	if a.GetStartOffset() == nil {
		return nil
	}
	return phaseBars(a)
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
