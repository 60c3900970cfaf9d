package main

import (
	"strings"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// The short words for what the contract's values say. A value that is newer than
// this program shows its own name.

// outcomeWord says how a candidate or an attempt ended. failure may be nil. Of an attempt
// that was given up, attemptWord knows more.
func outcomeWord(o pb.Outcome, failure *pb.Failure) cell {
	switch o {
	case pb.Outcome_OUTCOME_WON, pb.Outcome_OUTCOME_CONNECTED:
		return cell{"connected", green}
	case pb.Outcome_OUTCOME_CONNECTED_LATE:
		return cell{"late", plain}
	case pb.Outcome_OUTCOME_FAILED:
		return cell{failureWord(failure.GetErrorType(), failure.GetErrno()), red}
	case pb.Outcome_OUTCOME_TIMED_OUT:
		return cell{"timed out", red}
	case pb.Outcome_OUTCOME_CANCELLED:
		return cell{"given up", dim}
	case pb.Outcome_OUTCOME_RUNNING:
		return cell{"unfinished", yellow}
	case pb.Outcome_OUTCOME_WITHDRAWN:
		return cell{"withdrawn", dim}
	case pb.Outcome_OUTCOME_NOT_STARTED:
		return cell{"not started", dim}
	case pb.Outcome_OUTCOME_SKIPPED:
		return cell{"skipped", dim}
	}
	return text(enumWord(o.String(), "OUTCOME_"))
}

// failureWord is short for OpenTelemetry's error.type.
func failureWord(errorType, errno string) string {
	switch errorType {
	case "connection_refused":
		return "refused"
	case "connection_reset":
		return "reset"
	case "timed_out":
		return "timed out"
	case "network_unreachable":
		return "no route"
	case "host_unreachable":
		return "unreachable"
	case "network_down":
		return "network down"
	case "access_denied":
		return "forbidden"
	case "address_not_available":
		return "no local end"
	case "address_family_not_supported":
		return "no such family"
	case "no_buffer_space_available":
		return "no buffers"
	case "_OTHER", "":
		if errno == "" {
			return "failed"
		}
		return printable(errno)
	}
	return printable(strings.ReplaceAll(errorType, "_", " "))
}

func skipWords(r pb.SkipReason) string {
	switch r {
	case pb.SkipReason_SKIP_REASON_UNSPECIFIED:
		return ""
	case pb.SkipReason_SKIP_REASON_DENIED_BY_POLICY:
		return "denied by policy"
	case pb.SkipReason_SKIP_REASON_FAMILY_EXCLUDED:
		return "family excluded"
	case pb.SkipReason_SKIP_REASON_DUPLICATE:
		return "duplicate"
	case pb.SkipReason_SKIP_REASON_TOO_MANY_ADDRESSES:
		return "too many addresses"
	case pb.SkipReason_SKIP_REASON_SOURCE_EXCLUDED:
		return "no source of its family"
	}
	return enumWord(r.String(), "SKIP_REASON_")
}

// triggerWord says why an attempt started when it did.
func triggerWord(t pb.AttemptTrigger) string {
	switch t {
	case pb.AttemptTrigger_ATTEMPT_TRIGGER_UNSPECIFIED:
		return ""
	case pb.AttemptTrigger_ATTEMPT_TRIGGER_FIRST:
		return "first"
	case pb.AttemptTrigger_ATTEMPT_TRIGGER_ATTEMPT_DELAY:
		return "delay"
	case pb.AttemptTrigger_ATTEMPT_TRIGGER_FAILURE:
		return "failure"
	case pb.AttemptTrigger_ATTEMPT_TRIGGER_ALL_AT_ONCE:
		return "at once"
	case pb.AttemptTrigger_ATTEMPT_TRIGGER_NEW_ADDRESS:
		return "answer"
	case pb.AttemptTrigger_ATTEMPT_TRIGGER_SLOT_FREE:
		return "slot free"
	}
	return enumWord(t.String(), "ATTEMPT_TRIGGER_")
}

// basisWord says where an attempt's delay comes from; empty: from the heading.
func basisWord(b pb.DelayBasis) string {
	switch b {
	case pb.DelayBasis_DELAY_BASIS_UNSPECIFIED, pb.DelayBasis_DELAY_BASIS_CONFIGURED:
		return ""
	case pb.DelayBasis_DELAY_BASIS_RETRANSMISSION_TIMEOUT:
		return "RTO"
	}
	return enumWord(b.String(), "DELAY_BASIS_")
}

// reasonWord says by what a candidate stands before the next one.
func reasonWord(r pb.RankReason) string {
	switch r {
	case pb.RankReason_RANK_REASON_UNSPECIFIED:
		return ""
	case pb.RankReason_RANK_REASON_USABLE:
		return "usable"
	case pb.RankReason_RANK_REASON_LONGEST_PREFIX:
		return "longest prefix"
	}
	return enumWord(r.String(), "RANK_REASON_")
}

// endWords say why a run ended; after is how long it took.
func endWords(r pb.EndReason, after string) string {
	switch r {
	case pb.EndReason_END_REASON_WON:
		return "won after " + after
	case pb.EndReason_END_REASON_COMPLETED:
		return "done after " + after
	case pb.EndReason_END_REASON_EXHAUSTED:
		return "nothing connected: every candidate was tried in " + after
	case pb.EndReason_END_REASON_TIMED_OUT:
		return "ended by the timeout after " + after
	case pb.EndReason_END_REASON_DEADLINE_NEAR:
		return "cut short by the caller's deadline after " + after
	case pb.EndReason_END_REASON_NO_ADDRESSES:
		return "no addresses, after " + after
	case pb.EndReason_END_REASON_NAME_NOT_FOUND:
		return "name not found, after " + after
	case pb.EndReason_END_REASON_RESOLUTION_FAILED:
		return "name resolution failed after " + after
	case pb.EndReason_END_REASON_ALL_SKIPPED:
		return "every candidate was skipped"
	case pb.EndReason_END_REASON_SERVICE_FAILED:
		return "no service information, after " + after
	}
	return enumWord(r.String(), "END_REASON_") + " after " + after
}

// verdictWord sums a probe up.
func verdictWord(v pb.Verdict) cell {
	word := enumWord(v.String(), "VERDICT_")
	switch v {
	case pb.Verdict_VERDICT_REACHABLE:
		return cell{word, green}
	case pb.Verdict_VERDICT_UNREACHABLE:
		return cell{word, red}
	}
	return cell{word, yellow}
}

func familyWord(f pb.AddressFamily) string {
	switch f {
	case pb.AddressFamily_ADDRESS_FAMILY_IPV4:
		return "IPv4"
	case pb.AddressFamily_ADDRESS_FAMILY_IPV6:
		return "IPv6"
	}
	return enumWord(f.String(), "ADDRESS_FAMILY_")
}

func strategyWord(s pb.Strategy) string { return enumWord(s.String(), "STRATEGY_") }

func recordWord(t pb.RecordType) string { return strings.TrimPrefix(t.String(), "RECORD_TYPE_") }

// enumWord makes words of an enum's name: "OUTCOME_NOT_STARTED" is "not started".
func enumWord(name, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "_", " "))
}
