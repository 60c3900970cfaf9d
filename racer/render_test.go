package racer

import (
	"fmt"
	"strings"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// renderRace is a result as testdata/scenarios has it.
func renderRace(r *RaceResult) string {
	var b strings.Builder
	renderRun(&b, &r.Run)
	for i := range r.Candidates {
		renderCandidate(&b, &r.Candidates[i])
	}
	fmt.Fprintf(&b, "cost: %d attempts, %d connected, %d dropped", r.Cost.Attempts, r.Cost.Connected, r.Cost.Dropped)
	if r.Cost.Backups > 0 {
		fmt.Fprintf(&b, ", %d backups", r.Cost.Backups)
	}
	b.WriteString("\n")
	if text := r.Masked.Summary(r.Winner); text != "" {
		fmt.Fprintf(&b, "masked %v: %s\n", r.Masked.Families, text)
	}
	return b.String()
}

func renderRank(r *RankResult) string {
	var b strings.Builder
	renderRun(&b, &r.Run)
	for i := range r.Candidates {
		renderCandidate(&b, &r.Candidates[i])
	}
	for _, s := range r.Schedule {
		fmt.Fprintf(&b, "would start %d. %s at %v (%s%s)\n", s.Position, s.Endpoint, s.Start, s.Trigger, renderDelay(s.Delay, s.Basis))
	}
	return b.String()
}

func renderProbe(r *ProbeResult) string {
	var b strings.Builder
	renderRun(&b, &r.Run)
	fmt.Fprintf(&b, "%s in %d rounds: %s\n", verdictNames[r.Report.Verdict], r.Rounds, r.Report.Explain())
	for i := range r.Report.Candidates {
		c := &r.Report.Candidates[i]
		renderCandidate(&b, &c.Candidate)
		renderStats(&b, &c.Stats)
	}
	for _, f := range r.Report.Families {
		fmt.Fprintf(&b, "%s: %s, %d of %d addresses\n", f.Family, verdictNames[f.Verdict], f.Reachable, f.Addresses)
		renderStats(&b, &f.Stats)
	}
	return b.String()
}

var verdictNames = map[Verdict]string{
	Inconclusive: "inconclusive", Reachable: "reachable", Degraded: "degraded", Unreachable: "unreachable",
}

func renderRun(b *strings.Builder, r *Run) {
	fmt.Fprintf(b, "%s after %v\n", r.End, r.Duration)
	for _, w := range r.Warnings {
		fmt.Fprintf(b, "warning: %s %s\n", w.Field, w.Message)
	}
	for i := range r.Queries {
		b.WriteString(renderQuery(&r.Queries[i]))
	}
}

func renderQuery(q *Query) string {
	text := fmt.Sprintf("%s of %s at %v: ", q.Type, q.Name, q.Start)
	if !q.Answered {
		return text + "pending\n"
	}
	text += fmt.Sprintf("%s after %v", q.Status, q.Duration)
	for _, a := range q.Addrs {
		text += " " + a.String()
	}
	return text + renderFailure(q.Failure) + "\n"
}

// renderCandidate writes a candidate and its attempts, such as
//
//  1. 192.0.2.1:443 won; A of two.example; from 192.0.2.99; last
//     attempt 1 (first) 50ms to 70ms, local 192.0.2.99:40000: won
//     tried first: the same
func renderCandidate(b *strings.Builder, c *Candidate) {
	fmt.Fprintf(b, "%d. %s %s", c.Position, c.Endpoint, c.Outcome)
	if c.Skip != sched.SkipNone {
		fmt.Fprintf(b, " (%s)", c.Skip)
	}
	switch c.Origin {
	case OriginA:
		fmt.Fprintf(b, "; A of %s", c.Name)
	case OriginAAAA:
		fmt.Fprintf(b, "; AAAA of %s", c.Name)
	}
	if c.Index >= 0 {
		fmt.Fprintf(b, "; candidate %d %q", c.Index, c.Label)
	}
	if c.Source.IsValid() {
		fmt.Fprintf(b, "; from %s", c.Source)
	}
	fmt.Fprintf(b, "; %s\n", c.Reason)
	for i := range c.Attempts {
		renderAttempt(b, &c.Attempts[i])
	}
	if c.IfFirst != nil {
		fmt.Fprintf(b, "   tried first: %s\n", renderIfFirst(*c.IfFirst))
	}
}

func renderIfFirst(d time.Duration) string {
	switch {
	case d < 0:
		return fmt.Sprintf("%v sooner", -d)
	case d > 0:
		return fmt.Sprintf("%v later", d)
	default:
		return "the same"
	}
}

// renderDelay writes a delay that is not simply the one of the request.
func renderDelay(d time.Duration, basis sched.Basis) string {
	if basis == sched.BasisNone || basis == sched.BasisConfigured {
		return ""
	}
	return fmt.Sprintf(", delay %v: %s", d, basis)
}

func renderAttempt(b *strings.Builder, a *Attempt) {
	fmt.Fprintf(b, "   attempt %d (%s%s) ", a.Number, a.Trigger, renderDelay(a.Delay, a.Basis))
	if a.Begun {
		fmt.Fprintf(b, "%v to %v", a.Start, a.End)
	} else {
		fmt.Fprintf(b, "not begun, over at %v", a.End)
	}
	if a.Local.IsValid() {
		fmt.Fprintf(b, ", local %s", a.Local)
	}
	fmt.Fprintf(b, ": %s%s\n", a.Outcome, renderFailure(a.Failure))
}

func renderFailure(f sched.Failure) string {
	switch {
	case f.Type == "":
		return ""
	case f.Errno == "":
		return fmt.Sprintf(" with %s, fault of %s", f.Type, f.Fault)
	default:
		return fmt.Sprintf(" with %s %s, fault of %s", f.Type, f.Errno, f.Fault)
	}
}

func renderStats(b *strings.Builder, s *Stats) {
	fmt.Fprintf(b, "   %d count, %d failed, %d host failures", s.Count, s.Failures, s.HostFailures)
	if len(s.Samples) > 0 {
		fmt.Fprintf(b, "; median %v of %v", s.Quantile(0.5), durations(s.Samples))
	}
	for _, k := range s.Kinds {
		fmt.Fprintf(b, "; %d %s", k.Count, k.Type)
	}
	b.WriteString("\n")
}

func durations(ds []time.Duration) string {
	words := make([]string, len(ds))
	for i, d := range ds {
		words[i] = d.String()
	}
	return strings.Join(words, " ")
}
