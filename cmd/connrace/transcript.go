package main

import (
	"fmt"
	"strings"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// transcript prints what happened, a line each, if the reply has it.
func (p *page) transcript(run *pb.Run) {
	if len(run.GetTranscript()) == 0 {
		return
	}
	p.blank()
	const offsetWidth = 9
	for _, e := range run.GetTranscript() {
		offset := humanOf(e.GetOffset())
		start := pad(offsetWidth-columns(offset)) + offset + gap
		if e.Round != nil {
			start += fmt.Sprintf("round %d%s", e.GetRound(), gap)
		}
		for _, line := range wrap(eventWords(run, e), p.style.width-columns(start)) {
			p.line(start + line)
			start = pad(columns(start))
		}
	}
}

// eventWords put an event into a line of words.
func eventWords(run *pb.Run, e *pb.TranscriptEvent) string {
	switch e.GetKind() {
	case pb.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_QUERY_SENT:
		return "asked " + questionWords(run, e)
	case pb.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_RESOLVED:
		return resolvedWords(run, e)
	case pb.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_STOPPED:
		return "stopped: " + enumWord(e.GetEndReason().String(), "END_REASON_")
	case pb.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_FINISHED:
		return "finished: " + enumWord(e.GetEndReason().String(), "END_REASON_")
	case pb.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_SETTLED:
		return settledWords(e)
	}
	return attemptWords(e)
}

// questionWords name the question an event is about.
func questionWords(run *pb.Run, e *pb.TranscriptEvent) string {
	queries := run.GetResolution().GetQueries()
	if i := int(e.GetQuery()); e.Query != nil && i < len(queries) {
		return recordWord(queries[i].GetType()) + " " + printable(queries[i].GetName())
	}
	return fmt.Sprintf("question %d", e.GetQuery())
}

func resolvedWords(run *pb.Run, e *pb.TranscriptEvent) string {
	words := "given"
	if e.Query != nil {
		words = "answered " + questionWords(run, e)
	}
	if f := e.GetFailure(); f != nil {
		return words + ": " + printable(f.GetMessage())
	}
	return words + ": " + strings.Join(e.GetEndpoints(), " ")
}

func settledWords(e *pb.TranscriptEvent) string {
	words := "settled " + e.GetEndpoint() + ": " + enumWord(e.GetOutcome().String(), "OUTCOME_")
	if reason := skipWords(e.GetSkipReason()); reason != "" {
		words += ", " + reason
	}
	return words
}

// attemptWords are for the kinds that are about an attempt.
func attemptWords(e *pb.TranscriptEvent) string {
	what := strings.TrimPrefix(enumWord(e.GetKind().String(), "TRANSCRIPT_EVENT_KIND_"), "attempt ")
	words := fmt.Sprintf("attempt %d %s", e.GetAttempt(), what)
	if e.GetEndpoint() != "" {
		words += " " + e.GetEndpoint()
	}
	switch {
	case e.GetTrigger() != pb.AttemptTrigger_ATTEMPT_TRIGGER_UNSPECIFIED:
		words += " (" + requestWords(e) + ")"
	case e.GetCause() != pb.GiveUpCause_GIVE_UP_CAUSE_UNSPECIFIED:
		words += " (" + enumWord(e.GetCause().String(), "GIVE_UP_CAUSE_") + ")"
	case e.GetDeferReason() != pb.DeferReason_DEFER_REASON_UNSPECIFIED:
		words += " (" + limitWord(e.GetDeferReason()) + ")"
	case e.GetFailure() != nil:
		words += " (" + failureWord(e.GetFailure().GetErrorType(), e.GetFailure().GetErrno()) + ")"
	}
	return words
}

// requestWords say why an attempt starts, and how long the next one waits for it.
func requestWords(e *pb.TranscriptEvent) string {
	words := triggerWord(e.GetTrigger())
	if e.GetAttemptDelay() == nil {
		return words
	}
	words += "; next after " + humanOf(e.GetAttemptDelay())
	if basis := basisWord(e.GetDelayBasis()); basis != "" {
		words += ", " + basis
	}
	return words
}
