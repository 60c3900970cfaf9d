package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// printProbe prints what a probe measured, the best address first.
func printProbe(w io.Writer, r *pb.ProbeResponse, target string, s style) {
	p := &page{style: s}
	verdict := verdictWord(r.GetReport().GetVerdict())
	p.heading(printable(target), verdict.text, criterionWords(r.GetOptions().GetCriterion()), probeRounds(r), vantageWords(r.GetRun()))
	p.printQuestions(r.GetRun())
	if len(r.GetReport().GetCandidates()) > 0 {
		p.blank()
		p.printProbed(r)
	}
	p.blank()
	p.printFamilies(r.GetReport().GetFamilies())
	p.note("verdict", verdict.text+": "+printable(r.GetReport().GetVerdictExplanation()), verdict.color)
	p.stageFacts(r.GetRun().GetStartTime().AsTime(), probedCandidates(r.GetReport()))
	candidates := probedCandidates(r.GetReport())
	p.troubles(r.GetRun(), candidates, failuresOf(candidates))
	p.transcript(r.GetRun())
	p.writeTo(w)
}

// probeRounds says how much was measured, and why no more.
func probeRounds(r *pb.ProbeResponse) string {
	words := plural(int(r.GetRoundCount()), "round")
	if r.GetRoundCount() > 1 {
		words += " every " + humanOf(r.GetInterval())
	}
	return words + ", " + endWords(r.GetRun().GetEndReason(), humanOf(r.GetRun().GetDuration()))
}

// printProbed prints the table and a picture in what is left of each line: for
// one round a bar, for several a line of blocks and what went wrong.
func (p *page) printProbed(r *pb.ProbeResponse) {
	if r.GetRoundCount() > 1 {
		p.printRounds(r)
		return
	}
	t := onceTable(r)
	t.squeeze(p.style.width)
	left := t.width() + len(gap)
	pic := picture{slowest: slowest(r), width: p.style.width - left}
	p.line(t.head(p.style))
	for i, l := range t.lines(p.style) {
		p.line(l.text + pad(left-l.width) + pic.bar(r.GetReport().GetCandidates()[i]))
	}
}

// printRounds prints errors behind the pictures, or, when one is too long for
// that, all of them under their rows.
func (p *page) printRounds(r *pb.ProbeResponse) {
	rounds, t := int(r.GetRoundCount()), roundsTable(r)
	t.squeeze(p.style.width - len(gap) - min(rounds, leastPicture))
	left := t.width() + len(gap)
	pic := picture{slowest: slowest(r), width: max(min(p.style.width-left, rounds), 0)}
	right := left + pic.width + len(gap)
	below := right+longestError(r) > p.style.width
	p.line(t.head(p.style))
	for i, l := range t.lines(p.style) {
		m := r.GetReport().GetCandidates()[i]
		drawn, failed := pic.sparkline(m), errorsCell(m)
		line := l.text + pad(left-l.width) + drawn
		if below {
			p.line(line)
			p.under(failed)
			continue
		}
		p.line(line + pad(right-left-columns(drawn)) + p.style.paint(failed.color, failed.text))
	}
	if legend := pic.legend(rounds); legend != "" {
		p.line(pad(left) + p.style.paint(dim, legend))
	}
}

// under prints what belongs to the row above.
func (p *page) under(c cell) {
	for _, line := range wrap(c.text, p.style.width-belowIndent) {
		p.line(pad(belowIndent) + p.style.paint(c.color, line))
	}
}

func longestError(r *pb.ProbeResponse) int {
	longest := 0
	for _, m := range r.GetReport().GetCandidates() {
		longest = max(longest, columns(errorsCell(m).text))
	}
	return longest
}

// onceTable is for a single round: all quantiles would be the same.
func onceTable(r *pb.ProbeResponse) *table {
	phases := criterionPhases(r.GetOptions().GetCriterion())
	t := &table{columns: probedColumns(append([]column{{head: "RESULT"}, {head: "TOOK", right: true}}, phaseColumns(phases)...)...)}
	several := severalNames(probedCandidates(r.GetReport()))
	for _, m := range r.GetReport().GetCandidates() {
		c := m.GetCandidate()
		cells := append(probedCells(m, several), resultCell(c), text(took(decisive(c))))
		t.add(append(cells, phaseCells(decisive(c), phases)...)...)
	}
	return t
}

// roundsTable is for several rounds. Its columns are those of mtr, with
// quantiles in place of the standard deviation.
func roundsTable(r *pb.ProbeResponse) *table {
	t := &table{columns: probedColumns(
		column{head: "SENT", right: true}, column{head: "FAIL", right: true},
		column{head: "MIN", right: true, spare: 2}, column{head: "MEDIAN", right: true}, column{head: "P90", right: true},
		column{head: "MAX", right: true, spare: 1}, column{head: "LAST", right: true, spare: 3},
	)}
	several := severalNames(probedCandidates(r.GetReport()))
	for _, m := range r.GetReport().GetCandidates() {
		s := m.GetStats()
		failed := s.GetFailureCount() + s.GetHostFailureCount()
		t.add(append(probedCells(m, several),
			text(strconv.Itoa(len(m.GetCandidate().GetAttempts()))), cell{strconv.Itoa(int(failed)), failColor(failed)},
			text(humanOf(s.GetMin())), text(humanOf(s.GetMedian())), text(humanOf(s.GetP90())),
			text(humanOf(s.GetMax())), text(humanOf(s.GetLast())),
		)...)
	}
	return t
}

func failColor(failed int32) color {
	if failed > 0 {
		return red
	}
	return plain
}

// probedColumns puts the columns that name an address before the given ones.
func probedColumns(more ...column) []column {
	return append([]column{
		{head: "#", right: true}, {head: "ENDPOINT"}, {head: "LABEL", clips: true}, {head: "NAME", clips: true}, {head: "RFC", right: true},
	}, more...)
}

func probedCells(m *pb.ProbedCandidate, several bool) []cell {
	c := m.GetCandidate()
	return []cell{
		text(strconv.Itoa(int(m.GetMeasuredPosition()))), text(c.GetEndpoint()), text(printable(c.GetLabel())),
		nameCell(c, several), text(strconv.Itoa(int(c.GetPosition()))),
	}
}

func probedCandidates(r *pb.ProbeReport) []*pb.Candidate {
	var candidates []*pb.Candidate
	for _, m := range r.GetCandidates() {
		candidates = append(candidates, m.GetCandidate())
	}
	return candidates
}

// resultCell is the outcome and what it leaves open.
func resultCell(c *pb.Candidate) cell {
	result := outcomeOf(c)
	if note := candidateNote(c); note != "" {
		result.text += " (" + note + ")"
	}
	return result
}

// errorsCell counts failures by kind: "2 refused, 1 timed out". A candidate that
// was never tried says why.
func errorsCell(m *pb.ProbedCandidate) cell {
	if len(m.GetCandidate().GetAttempts()) == 0 {
		return resultCell(m.GetCandidate())
	}
	words := failureCounts(m.GetStats())
	for _, a := range m.GetCandidate().GetAttempts() {
		if o := a.GetOutcome(); o == pb.Outcome_OUTCOME_RUNNING {
			words = append(words, outcomeWord(o, nil).text) // only the last round is cut short
		}
	}
	return cell{strings.Join(words, ", "), red}
}

func failureCounts(s *pb.ConnectStats) []string {
	var words []string
	for _, f := range s.GetFailures() {
		word := fmt.Sprintf("%d %s", f.GetCount(), failureWord(f.GetErrorType(), ""))
		if f.GetFault() == pb.Fault_FAULT_HOST {
			word += " (this host)"
		}
		words = append(words, word)
	}
	return words
}

// printFamilies prints a note for each family.
func (p *page) printFamilies(families []*pb.ProbedFamily) {
	for _, f := range families {
		s, verdict := f.GetStats(), verdictWord(f.GetVerdict())
		words := fmt.Sprintf("%s: %d of %s connected", verdict.text, f.GetReachableCount(), plural(int(f.GetAddressCount()), "address"))
		if s.GetMedian() != nil {
			words += ", median " + humanOf(s.GetMedian()) + ", p90 " + humanOf(s.GetP90())
		}
		if failed := failureCounts(s); len(failed) > 0 {
			words += "; " + strings.Join(failed, ", ")
		}
		p.note(familyWord(f.GetFamily()), words, verdict.color)
	}
}

// slowest is the longest sample of all candidates.
func slowest(r *pb.ProbeResponse) time.Duration {
	longest := time.Duration(0)
	for _, m := range r.GetReport().GetCandidates() {
		longest = max(longest, m.GetStats().GetMax().AsDuration())
	}
	return longest
}
