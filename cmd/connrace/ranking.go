package main

import (
	"fmt"
	"io"
	"strconv"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// printRank prints the order of the addresses, why it is that one, and when a
// race would start them.
func printRank(w io.Writer, r *pb.ResolveAndRankResponse, target string, s style) {
	p := &page{style: s}
	p.heading(printable(target), strategyWords(r.GetOptions()), rankResult(r), vantageWords(r.GetRun()))
	p.printQuestions(r.GetRun())
	if len(r.GetCandidates()) > 0 {
		p.blank()
		p.printTable(rankTable(r))
	}
	p.blank()
	p.rankNotes(r)
	p.troubles(r.GetRun(), r.GetCandidates(), stageFailureWords)
	p.transcript(r.GetRun())
	p.writeTo(w)
}

func rankResult(r *pb.ResolveAndRankResponse) string {
	if r.GetRun().GetEndReason() != pb.EndReason_END_REASON_COMPLETED {
		return endWords(r.GetRun().GetEndReason(), humanOf(r.GetRun().GetDuration()))
	}
	words := plural(ranked(r.GetCandidates()), "address") + " in order"
	if n := len(r.GetCandidates()) - ranked(r.GetCandidates()); n > 0 {
		words += fmt.Sprintf(", %d skipped", n)
	}
	return words
}

// rankTable has a row for each candidate, and below it one for its backup.
func rankTable(r *pb.ResolveAndRankResponse) *table {
	t := &table{columns: []column{
		{head: "#", right: true},
		{head: "ENDPOINT"},
		{head: "LABEL", clips: true},
		{head: "NAME", clips: true},
		{head: "START", right: true},
		{head: "WHY THEN", spare: 3},
		{head: "NEXT AFTER", spare: 1},
		{head: "SOURCE", spare: 2},
		{head: "WHY BEFORE THE NEXT"},
	}}
	starts := make(map[int32][]*pb.ScheduledStart)
	for _, st := range r.GetSchedule() {
		starts[st.GetPosition()] = append(starts[st.GetPosition()], st)
	}
	several, delays := severalNames(r.GetCandidates()), variedDelays(r.GetOptions(), scheduledDelays(r.GetSchedule()))
	for _, c := range r.GetCandidates() {
		turns := starts[c.GetPosition()]
		if len(turns) == 0 {
			turns = []*pb.ScheduledStart{nil} // it has none
		}
		row, position := c, strconv.Itoa(int(c.GetPosition()))
		for _, st := range turns {
			t.add(
				text(position), text(row.GetEndpoint()), text(printable(row.GetLabel())), nameCell(row, several),
				startCell(c, st), text(triggerWord(st.GetTrigger())), delayCell(st, delays), text(row.GetSourceAddress()), reasonCell(row),
			)
			row, position = &pb.Candidate{Endpoint: again}, ""
		}
	}
	return t
}

// startCell is the offset of the start, if there would be one.
func startCell(c *pb.Candidate, st *pb.ScheduledStart) cell {
	switch {
	case st != nil:
		return text("+" + humanOf(st.GetStartOffset()))
	case c.GetOutcome() == pb.Outcome_OUTCOME_SKIPPED:
		return cell{"skipped", dim}
	}
	return cell{"never", dim}
}

// reasonCell is why the candidate stands where it does: a skipped one is last.
func reasonCell(c *pb.Candidate) cell {
	if c.GetOutcome() == pb.Outcome_OUTCOME_SKIPPED {
		return cell{skipWords(c.GetSkipReason()), dim}
	}
	return text(reasonWord(c.GetRankReason()))
}

// rankNotes explain the words of the table, each once.
func (p *page) rankNotes(r *pb.ResolveAndRankResponse) {
	explained := make(map[pb.RankReason]bool)
	for _, c := range r.GetCandidates() {
		if reason := c.GetRankReason(); c.GetRankExplanation() != "" && !explained[reason] {
			explained[reason] = true
			p.note("order", reasonWord(reason)+": "+printable(c.GetRankExplanation()), dim)
		}
	}
	p.delayNotes(r.GetOptions(), scheduledDelays(r.GetSchedule()))
	if late := ranked(r.GetCandidates()) - scheduled(r.GetSchedule()); late > 0 {
		p.note("never", plural(late, "address")+" whose turn would not come within the timeout of "+humanOf(r.GetOptions().GetTimeout()), dim)
	}
}

// scheduled counts the candidates whose turn would come.
func scheduled(schedule []*pb.ScheduledStart) int {
	positions := make(map[int32]bool)
	for _, st := range schedule {
		positions[st.GetPosition()] = true
	}
	return len(positions)
}
