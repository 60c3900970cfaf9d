package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// printWatchRound prints a line for each address; the first round also the
// heading. Addresses stand in ranked order, which is the same in every round.
func printWatchRound(w io.Writer, r *pb.WatchProbeResponse, target string, s style) {
	p := &page{style: s}
	t := watchTable(r)
	t.squeeze(s.width)
	if r.GetRound() == 1 {
		p.heading(printable(target), criterionWords(r.GetOptions().GetCriterion()), "every "+humanOf(r.GetInterval()), vantageWords(r.GetRun()))
		p.blank()
		p.line(t.head(s))
	}
	for _, l := range t.lines(s) {
		p.line(l.text)
	}
	if r.GetRound() == 1 {
		p.stageFacts(r.GetRun().GetStartTime().AsTime(), probedCandidates(r.GetReport()))
	}
	p.troubles(r.GetRun(), probedCandidates(r.GetReport()), stageFailureWords)
	p.transcript(r.GetRun())
	p.writeTo(w)
}

// watchTable keeps a least width for what varies from round to round.
func watchTable(r *pb.WatchProbeResponse) *table {
	t := &table{columns: []column{
		{head: "TIME"},
		{head: "ROUND", right: true},
		{head: "#", right: true},
		{head: "ENDPOINT"},
		{head: "LABEL", clips: true},
		{head: "NAME", clips: true},
		{head: "TOOK", right: true, least: 7},
		{head: "RESULT"},
	}}
	candidates := probedCandidates(r.GetReport())
	slices.SortStableFunc(candidates, func(a, b *pb.Candidate) int { return int(a.GetPosition() - b.GetPosition()) })
	several := severalNames(candidates)
	begun, round := text(clock(r)), text(strconv.FormatInt(r.GetRound(), 10))
	for _, c := range candidates {
		took := text(took(decisive(c)))
		if took.text == "" {
			took.text = " " // the column stays where it is
		}
		t.add(begun, round, text(strconv.Itoa(int(c.GetPosition()))), text(c.GetEndpoint()),
			text(printable(c.GetLabel())), nameCell(c, several), took, resultCell(c))
	}
	if len(candidates) == 0 {
		t.add(begun, round, text("-"), text("-"), cell{}, cell{}, text(" "),
			cell{endWords(r.GetRun().GetEndReason(), humanOf(r.GetRun().GetDuration())), yellow})
	}
	return t
}

// clock is when the round began, by the clock of this machine.
func clock(r *pb.WatchProbeResponse) string {
	at := r.GetRun().GetStartTime().AsTime()
	return at.Local().Format(time.TimeOnly) //nolint:gosmopolitan // read by whoever sits here
}

// watchSummary counts rounds by how they went.
type watchSummary struct {
	rounds   int
	verdicts map[pb.Verdict]int
	last     pb.Verdict
}

func (s *watchSummary) add(r *pb.WatchProbeResponse) {
	if s.verdicts == nil {
		s.verdicts = make(map[pb.Verdict]int)
	}
	s.rounds++
	s.last = r.GetReport().GetVerdict()
	s.verdicts[s.last]++
}

// printWatchSummary prints how the rounds went; nothing when there was none.
func printWatchSummary(w io.Writer, sum *watchSummary, target string, s style) {
	if sum.rounds == 0 {
		return
	}
	p := &page{style: s}
	p.line("")
	parts := []string{printable(target), plural(sum.rounds, "round")}
	for _, v := range []pb.Verdict{
		pb.Verdict_VERDICT_REACHABLE, pb.Verdict_VERDICT_DEGRADED, pb.Verdict_VERDICT_UNREACHABLE, pb.Verdict_VERDICT_INCONCLUSIVE,
	} {
		if n := sum.verdicts[v]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, verdictWord(v).text))
		}
	}
	p.heading(append(parts, "the last one "+verdictWord(sum.last).text)...)
	p.writeTo(w)
}
