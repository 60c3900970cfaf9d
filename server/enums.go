package server

import (
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// The wire's words for the library's values. A test holds that every value of
// the library has one and that no two share it.
var (
	families = map[addrsel.Family]connracev1.AddressFamily{
		addrsel.FamilyAny:  connracev1.AddressFamily_ADDRESS_FAMILY_UNSPECIFIED,
		addrsel.FamilyIPv4: connracev1.AddressFamily_ADDRESS_FAMILY_IPV4,
		addrsel.FamilyIPv6: connracev1.AddressFamily_ADDRESS_FAMILY_IPV6,
	}
	strategies = map[sched.Strategy]connracev1.Strategy{
		sched.Staggered:      connracev1.Strategy_STRATEGY_STAGGERED,
		sched.Sequential:     connracev1.Strategy_STRATEGY_SEQUENTIAL,
		sched.AllAtOnce:      connracev1.Strategy_STRATEGY_ALL_AT_ONCE,
		sched.FirstThenAll:   connracev1.Strategy_STRATEGY_FIRST_THEN_ALL,
		sched.FamilyFallback: connracev1.Strategy_STRATEGY_FAMILY_FALLBACK,
		sched.Adaptive:       connracev1.Strategy_STRATEGY_ADAPTIVE,
	}
	versions = map[sched.Version]connracev1.HappyEyeballsVersion{
		sched.V3: connracev1.HappyEyeballsVersion_HAPPY_EYEBALLS_VERSION_V3,
		sched.V2: connracev1.HappyEyeballsVersion_HAPPY_EYEBALLS_VERSION_V2,
	}
	origins = map[racer.Origin]connracev1.Origin{
		racer.OriginLiteral: connracev1.Origin_ORIGIN_LITERAL,
		racer.OriginA:       connracev1.Origin_ORIGIN_A,
		racer.OriginAAAA:    connracev1.Origin_ORIGIN_AAAA,
	}
	recordTypes = map[sched.RecordType]connracev1.RecordType{
		sched.A:     connracev1.RecordType_RECORD_TYPE_A,
		sched.AAAA:  connracev1.RecordType_RECORD_TYPE_AAAA,
		sched.HTTPS: connracev1.RecordType_RECORD_TYPE_HTTPS,
		sched.SVCB:  connracev1.RecordType_RECORD_TYPE_SVCB,
	}
	queryOutcomes = map[sched.Answer]connracev1.QueryOutcome{
		sched.Positive: connracev1.QueryOutcome_QUERY_OUTCOME_ANSWERED,
		sched.NotFound: connracev1.QueryOutcome_QUERY_OUTCOME_NOT_FOUND,
		sched.Broken:   connracev1.QueryOutcome_QUERY_OUTCOME_FAILED,
	}
	outcomes = map[sched.Outcome]connracev1.Outcome{
		sched.OutcomeNotStarted:    connracev1.Outcome_OUTCOME_NOT_STARTED,
		sched.OutcomeWon:           connracev1.Outcome_OUTCOME_WON,
		sched.OutcomeConnected:     connracev1.Outcome_OUTCOME_CONNECTED,
		sched.OutcomeConnectedLate: connracev1.Outcome_OUTCOME_CONNECTED_LATE,
		sched.OutcomeFailed:        connracev1.Outcome_OUTCOME_FAILED,
		sched.OutcomeTimedOut:      connracev1.Outcome_OUTCOME_TIMED_OUT,
		sched.OutcomeCancelled:     connracev1.Outcome_OUTCOME_CANCELLED,
		sched.OutcomeRunning:       connracev1.Outcome_OUTCOME_RUNNING,
		sched.OutcomeWithdrawn:     connracev1.Outcome_OUTCOME_WITHDRAWN,
		sched.OutcomeSkipped:       connracev1.Outcome_OUTCOME_SKIPPED,
	}
	skipReasons = map[sched.SkipReason]connracev1.SkipReason{
		sched.SkipNone:      connracev1.SkipReason_SKIP_REASON_UNSPECIFIED,
		sched.SkipDenied:    connracev1.SkipReason_SKIP_REASON_DENIED_BY_POLICY,
		sched.SkipFamily:    connracev1.SkipReason_SKIP_REASON_FAMILY_EXCLUDED,
		sched.SkipDuplicate: connracev1.SkipReason_SKIP_REASON_DUPLICATE,
		sched.SkipTooMany:   connracev1.SkipReason_SKIP_REASON_TOO_MANY_ADDRESSES,
		sched.SkipProtocol:  connracev1.SkipReason_SKIP_REASON_NO_COMMON_PROTOCOL,
		sched.SkipSource:    connracev1.SkipReason_SKIP_REASON_SOURCE_EXCLUDED,
	}
	rankReasons = map[addrsel.Reason]connracev1.RankReason{
		addrsel.ReasonLast:            connracev1.RankReason_RANK_REASON_UNSPECIFIED,
		addrsel.ReasonUsable:          connracev1.RankReason_RANK_REASON_USABLE,
		addrsel.ReasonMatchingScope:   connracev1.RankReason_RANK_REASON_MATCHING_SCOPE,
		addrsel.ReasonMatchingLabel:   connracev1.RankReason_RANK_REASON_MATCHING_LABEL,
		addrsel.ReasonPrecedence:      connracev1.RankReason_RANK_REASON_PRECEDENCE,
		addrsel.ReasonSmallerScope:    connracev1.RankReason_RANK_REASON_SMALLER_SCOPE,
		addrsel.ReasonFamily:          connracev1.RankReason_RANK_REASON_FAMILY,
		addrsel.ReasonLongestPrefix:   connracev1.RankReason_RANK_REASON_LONGEST_PREFIX,
		addrsel.ReasonInputOrder:      connracev1.RankReason_RANK_REASON_INPUT_ORDER,
		addrsel.ReasonInterleave:      connracev1.RankReason_RANK_REASON_INTERLEAVE,
		addrsel.ReasonPreferredFamily: connracev1.RankReason_RANK_REASON_PREFERRED_FAMILY,
		addrsel.ReasonProtocol:        connracev1.RankReason_RANK_REASON_PROTOCOL,
		addrsel.ReasonService:         connracev1.RankReason_RANK_REASON_SERVICE,
	}
	triggers = map[sched.Trigger]connracev1.AttemptTrigger{
		sched.TriggerFirst:        connracev1.AttemptTrigger_ATTEMPT_TRIGGER_FIRST,
		sched.TriggerAttemptDelay: connracev1.AttemptTrigger_ATTEMPT_TRIGGER_ATTEMPT_DELAY,
		sched.TriggerFailure:      connracev1.AttemptTrigger_ATTEMPT_TRIGGER_FAILURE,
		sched.TriggerAllAtOnce:    connracev1.AttemptTrigger_ATTEMPT_TRIGGER_ALL_AT_ONCE,
		sched.TriggerNewAddress:   connracev1.AttemptTrigger_ATTEMPT_TRIGGER_NEW_ADDRESS,
		sched.TriggerSlotFree:     connracev1.AttemptTrigger_ATTEMPT_TRIGGER_SLOT_FREE,
		sched.TriggerBackup:       connracev1.AttemptTrigger_ATTEMPT_TRIGGER_BACKUP,
	}
	bases = map[sched.Basis]connracev1.DelayBasis{
		sched.BasisNone:         connracev1.DelayBasis_DELAY_BASIS_UNSPECIFIED,
		sched.BasisConfigured:   connracev1.DelayBasis_DELAY_BASIS_CONFIGURED,
		sched.BasisNothingKnown: connracev1.DelayBasis_DELAY_BASIS_NOTHING_KNOWN,
		sched.BasisRTO:          connracev1.DelayBasis_DELAY_BASIS_RETRANSMISSION_TIMEOUT,
		sched.BasisQuantile:     connracev1.DelayBasis_DELAY_BASIS_QUANTILE,
	}
	causes = map[sched.Cause]connracev1.GiveUpCause{
		sched.CauseNone:    connracev1.GiveUpCause_GIVE_UP_CAUSE_UNSPECIFIED,
		sched.CauseTimeout: connracev1.GiveUpCause_GIVE_UP_CAUSE_TIMEOUT,
		sched.CauseLost:    connracev1.GiveUpCause_GIVE_UP_CAUSE_LOST,
		sched.CauseEnded:   connracev1.GiveUpCause_GIVE_UP_CAUSE_RACE_ENDED,
	}
	faults = map[sched.Fault]connracev1.Fault{
		sched.FaultUnknown: connracev1.Fault_FAULT_UNSPECIFIED,
		sched.FaultTarget:  connracev1.Fault_FAULT_TARGET,
		sched.FaultPath:    connracev1.Fault_FAULT_PATH,
		sched.FaultHost:    connracev1.Fault_FAULT_HOST,
	}
	phaseKinds = map[sched.PhaseKind]connracev1.PhaseKind{
		sched.PhaseTCP:       connracev1.PhaseKind_PHASE_KIND_TCP_CONNECT,
		sched.PhaseTLS:       connracev1.PhaseKind_PHASE_KIND_TLS_HANDSHAKE,
		sched.PhaseHTTP:      connracev1.PhaseKind_PHASE_KIND_HTTP_RESPONSE,
		sched.PhaseHealth:    connracev1.PhaseKind_PHASE_KIND_GRPC_HEALTH,
		sched.PhaseFirstByte: connracev1.PhaseKind_PHASE_KIND_FIRST_BYTE,
	}
	deferReasons = map[sched.DeferReason]connracev1.DeferReason{
		sched.DeferNone:                connracev1.DeferReason_DEFER_REASON_UNSPECIFIED,
		sched.DeferDescriptors:         connracev1.DeferReason_DEFER_REASON_DESCRIPTORS,
		sched.DeferInFlight:            connracev1.DeferReason_DEFER_REASON_IN_FLIGHT,
		sched.DeferRate:                connracev1.DeferReason_DEFER_REASON_RATE,
		sched.DeferCallerInFlight:      connracev1.DeferReason_DEFER_REASON_CALLER_IN_FLIGHT,
		sched.DeferCallerRate:          connracev1.DeferReason_DEFER_REASON_CALLER_RATE,
		sched.DeferDestinationInFlight: connracev1.DeferReason_DEFER_REASON_DESTINATION_IN_FLIGHT,
		sched.DeferDestinationRate:     connracev1.DeferReason_DEFER_REASON_DESTINATION_RATE,
		sched.DeferPrefixInFlight:      connracev1.DeferReason_DEFER_REASON_PREFIX_IN_FLIGHT,
		sched.DeferPrefixRate:          connracev1.DeferReason_DEFER_REASON_PREFIX_RATE,
	}
	// EndCallerLeft has no word: nobody is there to read it.
	endReasons = map[sched.EndReason]connracev1.EndReason{
		sched.EndWon:              connracev1.EndReason_END_REASON_WON,
		sched.EndCompleted:        connracev1.EndReason_END_REASON_COMPLETED,
		sched.EndExhausted:        connracev1.EndReason_END_REASON_EXHAUSTED,
		sched.EndTimedOut:         connracev1.EndReason_END_REASON_TIMED_OUT,
		sched.EndDeadlineNear:     connracev1.EndReason_END_REASON_DEADLINE_NEAR,
		sched.EndNoAddresses:      connracev1.EndReason_END_REASON_NO_ADDRESSES,
		sched.EndNameNotFound:     connracev1.EndReason_END_REASON_NAME_NOT_FOUND,
		sched.EndResolutionFailed: connracev1.EndReason_END_REASON_RESOLUTION_FAILED,
		sched.EndAllSkipped:       connracev1.EndReason_END_REASON_ALL_SKIPPED,
		sched.EndServiceFailed:    connracev1.EndReason_END_REASON_SERVICE_FAILED,
	}
	verdicts = map[racer.Verdict]connracev1.Verdict{
		racer.Reachable:    connracev1.Verdict_VERDICT_REACHABLE,
		racer.Degraded:     connracev1.Verdict_VERDICT_DEGRADED,
		racer.Unreachable:  connracev1.Verdict_VERDICT_UNREACHABLE,
		racer.Inconclusive: connracev1.Verdict_VERDICT_INCONCLUSIVE,
	}
	eventKinds = map[sched.EventKind]connracev1.TranscriptEventKind{
		sched.Resolved:   connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_RESOLVED,
		sched.Started:    connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_STARTED,
		sched.Connected:  connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_CONNECTED,
		sched.Progressed: connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_PROGRESSED,
		sched.Failed:     connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_FAILED,
		sched.Cancelled:  connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_CANCELLED,
		sched.Deferred:   connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_DEFERRED,
		sched.Admitted:   connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_ADMITTED,
		sched.Stopped:    connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_STOPPED,
	}
	actionKinds = map[sched.ActionKind]connracev1.TranscriptEventKind{
		sched.Query:   connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_QUERY_SENT,
		sched.Start:   connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_REQUESTED,
		sched.Proceed: connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_PROCEEDED,
		sched.Cancel:  connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_GIVEN_UP,
		sched.Won:     connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_WON,
		sched.Settle:  connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_SETTLED,
		sched.Finish:  connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_FINISHED,
	}
)
