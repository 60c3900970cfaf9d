package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// What the tables, the chart and the notes say about the stages of attempts.

// phaseWord names a stage at the head of a column.
func phaseWord(k pb.PhaseKind) string {
	switch k {
	case pb.PhaseKind_PHASE_KIND_TCP_CONNECT:
		return "TCP"
	case pb.PhaseKind_PHASE_KIND_TLS_HANDSHAKE:
		return "TLS"
	case pb.PhaseKind_PHASE_KIND_HTTP_RESPONSE:
		return "HTTP"
	case pb.PhaseKind_PHASE_KIND_GRPC_HEALTH:
		return "HEALTH"
	case pb.PhaseKind_PHASE_KIND_FIRST_BYTE:
		return "BYTE"
	}
	return strings.ToUpper(enumWord(k.String(), "PHASE_KIND_"))
}

// phaseBody draws a stage.
func phaseBody(k pb.PhaseKind) rune {
	switch k {
	case pb.PhaseKind_PHASE_KIND_TCP_CONNECT:
		return bodyAttempt
	case pb.PhaseKind_PHASE_KIND_TLS_HANDSHAKE:
		return '═'
	}
	return '─'
}

// criterionPhases are the stages that a criterion asks for; none for TCP alone.
func criterionPhases(c *pb.SuccessCriterion) []pb.PhaseKind {
	if c == nil {
		return nil
	}
	kinds := []pb.PhaseKind{pb.PhaseKind_PHASE_KIND_TCP_CONNECT}
	if c.GetTls() != nil {
		kinds = append(kinds, pb.PhaseKind_PHASE_KIND_TLS_HANDSHAKE)
	}
	switch c.GetApplication().(type) {
	case *pb.SuccessCriterion_Http:
		kinds = append(kinds, pb.PhaseKind_PHASE_KIND_HTTP_RESPONSE)
	case *pb.SuccessCriterion_GrpcHealth:
		kinds = append(kinds, pb.PhaseKind_PHASE_KIND_GRPC_HEALTH)
	case *pb.SuccessCriterion_FirstByte:
		kinds = append(kinds, pb.PhaseKind_PHASE_KIND_FIRST_BYTE)
	}
	return kinds
}

// phaseColumns have a column for each stage.
func phaseColumns(kinds []pb.PhaseKind) []column {
	var columns []column
	for _, k := range kinds {
		columns = append(columns, column{head: phaseWord(k), right: true, spare: 2})
	}
	return columns
}

// phaseCells say how long each stage of an attempt took.
func phaseCells(a *pb.Attempt, kinds []pb.PhaseKind) []cell {
	var cells []cell
	for _, k := range kinds {
		cells = append(cells, phaseCell(a, k))
	}
	return cells
}

func phaseCell(a *pb.Attempt, k pb.PhaseKind) cell {
	for _, p := range a.GetPhases() {
		if p.GetKind() == k {
			return text(humanOf(p.GetDuration()))
		}
	}
	return cell{}
}

// phaseBars draw an attempt: each stage for as long as it took. What is between two is
// the daemon's own time. The last one shows how the attempt ended.
func phaseBars(a *pb.Attempt) []bar {
	end := a.GetEndOffset().AsDuration()
	phases := a.GetPhases()
	if len(phases) < 2 {
		return []bar{{from: a.GetStartOffset().AsDuration(), to: end, body: bodyAttempt, end: attemptEnd(a.GetOutcome())}}
	}
	bars := make([]bar, len(phases))
	for i, p := range phases {
		from, body := p.GetStartOffset().AsDuration(), phaseBody(p.GetKind())
		bars[i] = bar{from: from, to: from + p.GetDuration().AsDuration(), body: body, end: body}
	}
	last := &bars[len(bars)-1]
	last.to, last.end = end, attemptEnd(a.GetOutcome())
	return bars
}

// criterionWords say what had to be done, for the heading; empty: TCP was enough.
func criterionWords(c *pb.SuccessCriterion) string {
	var parts []string
	if c.GetTls() != nil {
		parts = append(parts, "TLS")
	}
	switch app := c.GetApplication().(type) {
	case *pb.SuccessCriterion_Http:
		parts = append(parts, "HTTP "+printable(orWord(app.Http.GetPath(), "/")))
	case *pb.SuccessCriterion_GrpcHealth:
		parts = append(parts, "health of "+printable(orWord(app.GrpcHealth.GetService(), "the server")))
	case *pb.SuccessCriterion_FirstByte:
		parts = append(parts, "first byte")
	}
	return strings.Join(parts, " + ")
}

func orWord(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// stageFacts say what the stages brought: distinct sentences, each with where it holds.
func (p *page) stageFacts(now time.Time, candidates []*pb.Candidate) {
	p.spread("tls", candidates, func(a *pb.Attempt) string { return tlsWords(a.GetTls(), now) }, plain)
	p.spread("http", candidates, httpWords, plain)
	p.spread("health", candidates, healthWords, plain)
}

// spread prints each distinct sentence about attempts once.
func (p *page) spread(label string, candidates []*pb.Candidate, words func(*pb.Attempt) string, paint color) {
	var sentences []string
	where := make(map[string][]string)
	for _, c := range candidates {
		for _, a := range c.GetAttempts() {
			s := words(a)
			if s == "" || slices.Contains(where[s], c.GetEndpoint()) {
				continue
			}
			if len(where[s]) == 0 {
				sentences = append(sentences, s)
			}
			where[s] = append(where[s], c.GetEndpoint())
		}
	}
	for _, s := range sentences {
		p.note(label, endpointsWords(where[s])+": "+s, paint)
	}
}

// shownEndpoints is how many addresses a sentence bears.
const shownEndpoints = 3

func endpointsWords(endpoints []string) string {
	if more := len(endpoints) - shownEndpoints; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(endpoints[:shownEndpoints], ", "), more)
	}
	return strings.Join(endpoints, ", ")
}

// tlsWords are the connection, and until when the certificates are good.
func tlsWords(t *pb.TlsFacts, now time.Time) string {
	if t.GetVersion() == "" || !t.GetVerified() {
		return "" // the failure says what there is
	}
	words := printable(t.GetVersion())
	if t.GetAlpnProtocol() != "" {
		words += ", " + printable(t.GetAlpnProtocol())
	}
	if len(t.GetCertificates()) == 0 {
		return words
	}
	own, earliest := t.GetCertificates()[0].GetExpireTime(), t.GetEarliestExpireTime()
	if own == nil { // a daemon need not say it of each
		own = earliest
	}
	words += ", certificate of " + printable(t.GetServerName()) + ", " + expiryWords(own, now)
	if own != nil && (earliest == nil || earliest.AsTime().Before(own.AsTime())) {
		words += "; another one of its chain " + expiryWords(earliest, now)
	}
	return words
}

// expiryWords leave open what the reply does: a date that no Timestamp can hold.
func expiryWords(expires *timestamppb.Timestamp, now time.Time) string {
	if expires == nil {
		return "expires on a day that can't be told"
	}
	const day = 24 * time.Hour
	at := expires.AsTime()
	left := at.Sub(now)
	switch {
	case left < 0:
		return "expired on " + at.Format(time.DateOnly)
	case left < time.Hour:
		return "expires within the hour"
	case left < 2*day:
		return "expires in " + plural(int(left/time.Hour), "hour")
	default: // a Duration has room for 292 years only, and some certificates are for ever
		days := (at.Unix() - now.Unix()) / int64(day/time.Second)
		return fmt.Sprintf("expires on %s (in %s)", at.Format(time.DateOnly), plural(int(days), "day"))
	}
}

// httpWords are a response that counts as success; the failure says what another was.
func httpWords(a *pb.Attempt) string {
	if a.GetHttp() == nil || a.GetFailure() != nil {
		return ""
	}
	return fmt.Sprintf("status %d (%s)", a.GetHttp().GetStatus(), printable(a.GetHttp().GetProtocol()))
}

// healthWords are the health service's word; the failure says it where that is another
// than SERVING.
func healthWords(a *pb.Attempt) string {
	if a.GetFailure() != nil {
		return ""
	}
	return printable(a.GetHealthStatus())
}

// failureWords are why an attempt failed, unless that is this host's trouble. Of the
// silence of an address its first attempt tells.
func failureWords(a *pb.Attempt) string {
	silent := len(a.GetPhases()) < 2 && a.GetOutcome() == pb.Outcome_OUTCOME_TIMED_OUT
	if a.GetFailure().GetFault() == pb.Fault_FAULT_HOST || silent && a.GetTrigger() == pb.AttemptTrigger_ATTEMPT_TRIGGER_BACKUP {
		return ""
	}
	return printable(inFlags(a.GetFailure().GetMessage()))
}

// stageFailureWords are those of an attempt that failed after TCP was up, or of which the
// network said something. Of all else a table has the word, and where something connected
// that is enough.
func stageFailureWords(a *pb.Attempt) string {
	if len(a.GetPhases()) < 2 && a.GetFailure().GetIcmp() == nil {
		return ""
	}
	return failureWords(a)
}
