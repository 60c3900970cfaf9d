package main

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// Every value of the contract has its word: a new one is looked at before it is
// shown.
func TestWords(t *testing.T) {
	t.Parallel()
	checkWords(t, func(v pb.Outcome) string { return outcomeWord(v, nil).text },
		"unspecified", "connected", "connected", "late", "failed", "timed out", "given up", "unfinished",
		"withdrawn", "not started", "skipped")
	checkWords(t, skipWords,
		"", "denied by policy", "family excluded", "duplicate", "too many addresses", "no common protocol",
		"no source of its family")
	checkWords(t, triggerWord,
		"", "first", "delay", "failure", "at once", "answer", "slot free", "backup")
	checkWords(t, basisWord,
		"", "", "nothing known", "RTO", "quantile")
	checkWords(t, reasonWord,
		"", "usable", "matching scope", "matching label", "precedence", "smaller scope", "family", "longest prefix",
		"input order", "interleave", "preferred family", "protocol", "service")
	checkWords(t, strategyWord,
		"unspecified", "staggered", "sequential", "all at once", "first then all", "family fallback", "adaptive")
	checkWords(t, func(v pb.EndReason) string { return endWords(v, "1 s") },
		"unspecified after 1 s", "won after 1 s", "done after 1 s", "nothing connected: every candidate was tried in 1 s",
		"ended by the timeout after 1 s", "cut short by the caller's deadline after 1 s", "no addresses, after 1 s",
		"name not found, after 1 s", "name resolution failed after 1 s", "every candidate was skipped",
		"no service information, after 1 s")
	checkWords(t, func(v pb.Verdict) string { return verdictWord(v).text },
		"unspecified", "reachable", "degraded", "unreachable", "inconclusive")
	checkWords(t, familyWord, "unspecified", "IPv4", "IPv6")
	checkWords(t, recordWord, "UNSPECIFIED", "A", "AAAA", "HTTPS", "SVCB")
	checkWords(t, func(v pb.QueryOutcome) string { return answerWords(&pb.Query{Outcome: v}).text },
		"unspecified", "0 addresses", "not found", "failed", "no answer")
	checkWords(t, phaseWord, "UNSPECIFIED", "TCP", "TLS", "HTTP", "HEALTH", "BYTE")
	checkWords(t, limitWord,
		`"unspecified"`, `"descriptors"`, `"in flight"`, `"per second"`, `"caller in flight"`, `"caller per second"`,
		`"destination in flight"`, `"destination per second"`, `"prefix in flight"`, `"prefix per second"`)
	checkWords(t, func(v pb.TranscriptEventKind) string { return eventWords(nil, &pb.TranscriptEvent{Kind: v}) },
		"attempt 0 unspecified", "asked question 0", "given: ", "attempt 0 requested", "attempt 0 started",
		"attempt 0 connected", "attempt 0 failed", "attempt 0 given up", "attempt 0 cancelled", "attempt 0 won",
		"stopped: unspecified", "settled : unspecified", "finished: unspecified", "attempt 0 progressed", "attempt 0 proceeded",
		"attempt 0 deferred", "attempt 0 admitted")
}

// checkWords compares the words of all values of an enum, in the order of their
// numbers.
func checkWords[E protoreflect.Enum](t *testing.T, word func(E) string, want ...string) {
	t.Helper()
	var zero E
	values := zero.Descriptor().Values()
	if values.Len() != len(want) {
		t.Errorf("%s has %d values, want words for %d", zero.Descriptor().Name(), values.Len(), len(want))
		return
	}
	for i := range values.Len() {
		v := zero.Type().New(values.Get(i).Number()).(E)
		if got := word(v); got != want[i] {
			t.Errorf("%v is called %q, want %q", v, got, want[i])
		}
	}
}

// A limit is called as its flag is, but for descriptors, which have none.
func TestLimitsAreFlags(t *testing.T) {
	t.Parallel()
	flags := parsedFlags(t, "serve")
	values := pb.DeferReason(0).Descriptor().Values()
	for i := range values.Len() {
		reason := pb.DeferReason(values.Get(i).Number())
		flag := "--" + strings.ReplaceAll(strings.Trim(limitWord(reason), `"`), " ", "-")
		switch reason {
		case pb.DeferReason_DEFER_REASON_UNSPECIFIED, pb.DeferReason_DEFER_REASON_DESCRIPTORS:
		default:
			if !slices.Contains(flags, flag) {
				t.Errorf("%s is called %s, which is no flag", reason, flag)
			}
		}
	}
}
