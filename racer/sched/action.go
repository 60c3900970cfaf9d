package sched

import (
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// ActionKind says what to do. It is in the imperative.
type ActionKind uint8

const (
	// Query asks Question.
	Query ActionKind = iota + 1
	// Start begins Attempt at Candidate because of Trigger. It is a request:
	// the attempt has started when Started says so, and may be Deferred before.
	Start
	// Proceed lets Attempt go on: one that has Progressed begins its next stage, and
	// one that was Deferred and then Admitted starts.
	Proceed
	// Cancel gives Attempt up because of Cause.
	Cancel
	// Won hands the connection of Attempt at Candidate to the caller, who need
	// not wait for Finish.
	Won
	// Settle tells the one final Outcome of Candidate. Settles come in ranked
	// order, the skipped ones last; Reason says why this one stands before the
	// next.
	Settle
	// Finish ends the race because of End. Nothing comes after it.
	Finish
)

var actionNames = []string{"?", "query", "start", "proceed", "cancel", "won", "settle", "finish"}

// String returns a stable word such as "start".
func (k ActionKind) String() string { return word(actionNames, int(k)) }

// Action is one thing to do. Which fields count depends on Kind.
type Action struct {
	Kind ActionKind // what to do

	Question  int           // Query
	Candidate int           // Start, Won, Settle
	Attempt   int           // Start, Proceed, Cancel, Won: numbered from 0 in the order of Start
	Trigger   Trigger       // Start
	Delay     time.Duration // Start: how long the next attempt waits for it, or the next backup for a backup; 0: not by its delay
	Basis     Basis         // Start: where Delay comes from
	Cause     Cause         // Cancel

	Outcome Outcome // Settle
	// Outcomes are those of its first attempt and of its backup: Settle, as far as
	// they were made.
	Outcomes [2]Outcome
	Skip     SkipReason     // Settle with OutcomeSkipped
	Reason   addrsel.Reason // Settle

	End EndReason // Finish
}

// Trigger says why an attempt starts when it does.
type Trigger uint8

const (
	// TriggerFirst is the first attempt of the race.
	TriggerFirst Trigger = iota
	// TriggerAttemptDelay starts because the attempt delay has passed.
	TriggerAttemptDelay
	// TriggerFailure starts because an earlier attempt failed or timed out; with
	// Goal Every also because it connected.
	TriggerFailure
	// TriggerAllAtOnce starts because the strategy waits for nothing.
	TriggerAllAtOnce
	// TriggerNewAddress starts because an answer brought an address when none
	// was left to try.
	TriggerNewAddress
	// TriggerSlotFree starts because an attempt ended and so made room under
	// Config.MaxInFlight.
	TriggerSlotFree
	// TriggerBackup is the second attempt at a candidate whose first has had no
	// answer: its SYN may have been lost.
	TriggerBackup
)

var triggerNames = []string{"first", "attempt_delay", "failure", "all_at_once", "new_address", "slot_free", "backup"}

// String returns a stable word such as "attempt_delay".
func (t Trigger) String() string { return word(triggerNames, int(t)) }

// Basis says where the delay of an attempt comes from.
type Basis uint8

const (
	// BasisNone is an attempt without a delay.
	BasisNone Basis = iota
	// BasisConfigured is Config.AttemptDelay.
	BasisConfigured
	// BasisNothingKnown is Config.AttemptDelay as well: the delay should have come
	// from what is known of the candidate, and that is nothing.
	BasisNothingKnown
	// BasisRTO is the retransmission timeout of RFC 6298.
	BasisRTO
	// BasisQuantile is Config.Quantile of the candidate's past connect times.
	BasisQuantile
)

var basisNames = []string{"", "configured", "nothing_known", "retransmission_timeout", "quantile"}

// String returns a stable word such as "quantile"; BasisNone is empty.
func (b Basis) String() string { return word(basisNames, int(b)) }

// Cause says why an attempt is given up.
type Cause uint8

const (
	// CauseNone means that it has not been given up.
	CauseNone Cause = iota
	// CauseTimeout means that it took Config.AttemptTimeout.
	CauseTimeout
	// CauseLost means that another attempt has won.
	CauseLost
	// CauseEnded means that the race is over and nobody has won.
	CauseEnded
)

var causeNames = []string{"", "timeout", "lost", "race_ended"}

// String returns a stable word such as "timeout".
func (c Cause) String() string { return word(causeNames, int(c)) }

// Outcome is the one final state of an attempt or a candidate.
type Outcome uint8

const (
	// OutcomeNotStarted means that the race was over before its turn came; or that its
	// turn had come, but its SYN had not left when it was given up: it was deferred until
	// then, or the Cancel came right behind the Start. Nothing was asked of the target.
	OutcomeNotStarted Outcome = iota
	// OutcomeWon means that it connected first.
	OutcomeWon
	// OutcomeConnected means that it connected, in a race that success does not end.
	OutcomeConnected
	// OutcomeConnectedLate means that it connected after another had won, or after it had
	// been given up.
	OutcomeConnectedLate
	// OutcomeFailed means that it failed.
	OutcomeFailed
	// OutcomeTimedOut means that it did not connect within Config.AttemptTimeout.
	OutcomeTimedOut
	// OutcomeCancelled means that it was given up because another had won.
	OutcomeCancelled
	// OutcomeRunning means that it was still running when the race ended without it.
	OutcomeRunning
	// OutcomeWithdrawn means that a later answer no longer had it, before its turn came.
	OutcomeWithdrawn
	// OutcomeSkipped means that it was not to be tried.
	OutcomeSkipped
)

var outcomeNames = []string{
	"not_started", "won", "connected", "connected_late", "failed",
	"timed_out", "cancelled", "running", "withdrawn", "skipped",
}

// String returns a stable word such as "connected_late".
func (o Outcome) String() string { return word(outcomeNames, int(o)) }

// EndReason says why a race is over.
type EndReason uint8

const (
	// EndNone means that it is not over.
	EndNone EndReason = iota
	// EndWon means that an attempt has connected.
	EndWon
	// EndCompleted means that everything that was to be done is done (goals Every and Order).
	EndCompleted
	// EndExhausted means that every candidate was tried and none connected.
	EndExhausted
	// EndTimedOut means that Config.Timeout has passed.
	EndTimedOut
	// EndDeadlineNear means that the caller's deadline is so near that the reply must
	// leave now.
	EndDeadlineNear
	// EndCallerLeft means that the caller no longer waits.
	EndCallerLeft
	// EndNoAddresses means that the questions were answered and brought no address.
	EndNoAddresses
	// EndNameNotFound means that neither family has a record for the name.
	EndNameNotFound
	// EndResolutionFailed means that no address is known, and at least one question could
	// not be answered.
	EndResolutionFailed
	// EndAllSkipped means that there are candidates, and none may be tried.
	EndAllSkipped
	// EndServiceFailed means that service information could not be had over protected
	// DNS, so that to go on could be what an attacker wants.
	EndServiceFailed
)

var endNames = []string{
	"", "won", "completed", "exhausted", "timed_out", "deadline_near", "caller_left",
	"no_addresses", "name_not_found", "resolution_failed", "all_skipped", "service_failed",
}

// String returns a stable word such as "exhausted"; EndNone is empty.
func (e EndReason) String() string { return word(endNames, int(e)) }
