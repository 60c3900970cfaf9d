package sched

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestEntryString(t *testing.T) {
	v4, v6 := candidateAt("192.0.2.1"), candidateAt("2001:db8::1")
	v6.ID = 1
	event := func(e Event) Entry { e.At = 1500 * time.Microsecond; return Entry{At: e.At, Event: e} }
	action := func(a Action) Entry { return Entry{At: 250 * ms, Action: a} }
	tests := []struct {
		entry Entry
		want  string
	}{
		{event(Event{Kind: Resolved, Question: 1, Candidates: []Candidate{v4, v6}}), "1.5ms resolved question 1 0=192.0.2.1:443 1=[2001:db8::1]:443"},
		{event(Event{Kind: Resolved, Answer: NotFound}), "1.5ms resolved question 0 (not_found)"},
		{event(Event{Kind: Resolved, Answer: Broken}), "1.5ms resolved question 0 (failed)"},
		{event(Event{Kind: Resolved, Question: NoQuestion, Candidates: []Candidate{v4}}), "1.5ms given 0=192.0.2.1:443"},
		{event(Event{Kind: Resolved, Follow: []Question{{"alt.example", AAAA}, {"alt.example", A}}}), "1.5ms resolved question 0 follow AAAA alt.example follow A alt.example"},
		{event(Event{Kind: Started, Attempt: 2}), "1.5ms started attempt 2"},
		{event(Event{Kind: Progressed, Attempt: 2}), "1.5ms progressed attempt 2"},
		{event(Event{Kind: Connected, Attempt: 2}), "1.5ms connected attempt 2"},
		{event(Event{Kind: Failed, Attempt: 2, Failure: Failure{Type: "connection_refused"}}), "1.5ms failed attempt 2 (connection_refused)"},
		{event(Event{Kind: Cancelled, Attempt: 2}), "1.5ms cancelled attempt 2"},
		{event(Event{Kind: Deferred, Attempt: 2, Defer: DeferCallerRate}), "1.5ms deferred attempt 2 (caller_rate)"},
		{event(Event{Kind: Admitted, Attempt: 2}), "1.5ms admitted attempt 2"},
		{event(Event{Kind: Stopped, End: EndDeadlineNear}), "1.5ms stopped (deadline_near)"},
		{action(Action{Kind: Query, Question: 1}), "250ms query question 1"},
		{action(Action{Kind: Start, Attempt: 1, Candidate: 2, Trigger: TriggerAttemptDelay}), "250ms start attempt 1 candidate 2 (attempt_delay)"},
		{action(Action{Kind: Start, Attempt: 1, Candidate: 2, Trigger: TriggerFailure, Delay: 40 * ms, Basis: BasisConfigured}), "250ms start attempt 1 candidate 2 (failure, delay 40ms)"},
		{action(Action{Kind: Start, Attempt: 1, Candidate: 2, Trigger: TriggerBackup, Delay: 60 * ms, Basis: BasisRTO}), "250ms start attempt 1 candidate 2 (backup, delay 60ms: retransmission_timeout)"},
		{action(Action{Kind: Start, Attempt: 1, Candidate: 2, Trigger: TriggerFirst, Basis: BasisNothingKnown}), "250ms start attempt 1 candidate 2 (first, delay 0s: nothing_known)"},
		{action(Action{Kind: Proceed, Attempt: 1}), "250ms proceed attempt 1"},
		{action(Action{Kind: Cancel, Attempt: 1, Cause: CauseLost}), "250ms cancel attempt 1 (lost)"},
		{action(Action{Kind: Won, Attempt: 1, Candidate: 2}), "250ms won attempt 1 candidate 2"},
		{action(Action{Kind: Settle, Candidate: 2, Outcome: OutcomeTimedOut}), "250ms settle candidate 2 timed_out"},
		{action(Action{Kind: Settle, Candidate: 2, Outcome: OutcomeSkipped, Skip: SkipDenied}), "250ms settle candidate 2 skipped (denied_by_policy)"},
		{action(Action{Kind: Finish, End: EndExhausted}), "250ms finish (exhausted)"},
	}
	for _, tt := range tests {
		if got := tt.entry.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestRecord: what went in stands before what came out; an event keeps its own
// time.
func TestRecord(t *testing.T) {
	before := []Entry{{At: ms, Action: Action{Kind: Query}}}
	events := []Event{{Kind: Failed, At: 9 * ms}, {Kind: Started, At: 8 * ms, Attempt: 1}}
	actions := []Action{{Kind: Start, Attempt: 2}, {Kind: Cancel, Cause: CauseTimeout}}
	want := []string{
		"1ms query question 0", "9ms failed attempt 0 ()", "8ms started attempt 1",
		"10ms start attempt 2 candidate 0 (first)", "10ms cancel attempt 0 (timeout)",
	}
	var got []string
	for _, entry := range Record(before, 10*ms, events, actions) {
		got = append(got, entry.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestWords: every value has a word of its own, and a value out of range does no
// harm.
func TestWords(t *testing.T) {
	checkWords(t, V3, V2)
	checkWords(t, Staggered, Adaptive)
	checkWords(t, A, SVCB)
	checkWords(t, Resolved, Admitted)
	checkWords(t, DeferNone, DeferPrefixRate)
	checkWords(t, Positive, Broken)
	checkWords(t, SkipNone, SkipSource)
	checkWords(t, PhaseTCP, PhaseFirstByte)
	checkWords(t, FaultUnknown, FaultHost)
	checkWords(t, Query, Finish)
	checkWords(t, TriggerFirst, TriggerBackup)
	checkWords(t, BasisNone, BasisQuantile)
	checkWords(t, CauseNone, CauseEnded)
	checkWords(t, OutcomeNotStarted, OutcomeSkipped)
	checkWords(t, EndNone, EndServiceFailed)
}

func checkWords[T interface {
	~uint8
	fmt.Stringer
}](t *testing.T, first, last T) {
	t.Helper()
	seen := map[string]bool{}
	for v := first; v <= last; v++ {
		if w := v.String(); w == "?" || seen[w] {
			t.Errorf("%T %d is %q", v, v, w)
		}
		seen[v.String()] = true
	}
	if w := (last + 1).String(); w != "?" {
		t.Errorf("%T %d is %q, but there is no such value", last, last+1, w)
	}
}
