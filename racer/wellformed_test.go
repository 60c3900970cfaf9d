package racer

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/connrace/connrace/racer/sched"
)

// checkRace holds what is true of every result of a race.
func checkRace(t testing.TB, r *RaceResult) {
	t.Helper()
	checkRun(t, &r.Run)
	checkCandidates(t, r.Candidates)
	checkWinner(t, r)
	checkSettled(t, &r.Run, r.Candidates)
	checkGaps(t, r)
	checkCost(t, r)
	for i := range r.Candidates {
		c := &r.Candidates[i]
		checkBackup(t, &r.Run, c)
		checkIfFirst(t, r, c)
		for j := range c.Attempts {
			checkAttempt(t, &r.Run, &c.Attempts[j])
		}
	}
}

// checkCost holds the cost against the attempts, and the backups against what was
// allowed.
func checkCost(t testing.TB, r *RaceResult) {
	t.Helper()
	var begun, backups int
	for i := range r.Candidates {
		for _, a := range r.Candidates[i].Attempts {
			if a.Begun {
				begun++
			}
			if a.Begun && a.Trigger == sched.TriggerBackup {
				backups++
			}
		}
	}
	if c := r.Cost; c.Attempts != begun || c.Backups != backups || c.Dropped > c.Connected || c.Connected > c.Attempts {
		t.Errorf("cost is %+v with %d attempts begun, %d of them backups", c, begun, backups)
	}
	if most := *r.Options.MaxBackups; backups > most {
		t.Errorf("%d backups, allowed are %d", backups, most)
	}
}

// checkBackup holds that a candidate has two attempts at the most, the second one a
// backup that was asked for while the first had no outcome, and before its kernel
// would send another SYN.
func checkBackup(t testing.TB, r *Run, c *Candidate) {
	t.Helper()
	switch {
	case len(c.Attempts) > 2:
		t.Errorf("%s has %d attempts, want two at most", c.Endpoint, len(c.Attempts))
	case len(c.Attempts) > 0 && c.Attempts[0].Trigger == sched.TriggerBackup:
		t.Errorf("the first attempt at %s is a backup", c.Endpoint)
	}
	if len(c.Attempts) < 2 {
		return
	}
	first, second := &c.Attempts[0], &c.Attempts[1]
	if second.Trigger != sched.TriggerBackup || second.Number <= first.Number {
		t.Errorf("attempt %d at %s is the second one after %d, because of %s", second.Number, c.Endpoint, first.Number, second.Trigger)
	}
	asked := slices.IndexFunc(r.Transcript, func(e Entry) bool {
		return e.Action.Kind == sched.Start && e.Action.Attempt == second.Number-1
	})
	over := slices.IndexFunc(r.Transcript, func(e Entry) bool { return isOutcome(e.Event) && e.Event.Attempt == first.Number-1 })
	if at := r.Transcript[asked].At; asked > over || at >= first.Start+sched.SecondSYN {
		t.Errorf("the backup at %s was asked for at %v, the first attempt ran from %v to %v", c.Endpoint, at, first.Start, first.End)
	}
}

// isOutcome says that the event ends an attempt.
func isOutcome(e sched.Event) bool {
	return e.Kind == sched.Connected || e.Kind == sched.Failed || e.Kind == sched.Cancelled
}

// checkIfFirst holds that a difference is known of those that connected, if one has
// won.
func checkIfFirst(t testing.TB, r *RaceResult, c *Candidate) {
	t.Helper()
	connected := slices.ContainsFunc(c.Attempts, func(a Attempt) bool {
		return a.Outcome == sched.OutcomeWon || a.Outcome == sched.OutcomeConnectedLate
	})
	if known := c.IfFirst != nil; known != (connected && r.Winner != nil) {
		t.Errorf("%s is %s, and the difference is %v", c.Endpoint, c.Outcome, c.IfFirst)
	}
}

// checkRun holds that the transcript is in order and ends with Finish, and that
// the run says the same.
func checkRun(t testing.TB, r *Run) {
	t.Helper()
	if len(r.Transcript) == 0 {
		t.Fatal("the transcript is empty")
	}
	for i, e := range r.Transcript {
		if (e.Event.Kind == 0) == (e.Action.Kind == 0) {
			t.Errorf("entry %d is not one of event and action: %+v", i, e)
		}
		if e.Event.Kind != 0 && e.Event.At != e.At {
			t.Errorf("entry %d: the event %s is at %v and its entry at %v", i, e.Event, e.Event.At, e.At)
		}
		if e.At < 0 || e.At > r.Duration {
			t.Errorf("entry %d is at %v of %v", i, e.At, r.Duration)
		}
	}
	last := r.Transcript[len(r.Transcript)-1]
	if last.Action.Kind != sched.Finish || last.At != r.Duration {
		t.Errorf("the last entry is %q, want finish at %v", last.Entry, r.Duration)
	}
	for _, q := range r.Queries {
		if q.Answered && (q.Duration < 0 || (q.Status == sched.Positive) != (q.Failure == sched.Failure{})) {
			t.Errorf("query %+v contradicts itself", q)
		}
	}
}

// checkCandidates holds that positions count up, and that what was not to be
// tried comes last and was not tried.
func checkCandidates(t testing.TB, cs []Candidate) {
	t.Helper()
	tried := make(map[netip.AddrPort]bool)
	skipping := false
	for i := range cs {
		c := &cs[i]
		skipped := c.Outcome == sched.OutcomeSkipped
		if c.Position != i+1 {
			t.Errorf("candidate %d has position %d", i, c.Position)
		}
		if skipping && !skipped {
			t.Errorf("%s comes behind a skipped one", c.Endpoint)
		}
		skipping = skipped
		if skipped != (c.Skip != sched.SkipNone) {
			t.Errorf("%s is %s with skip reason %q", c.Endpoint, c.Outcome, c.Skip)
		}
		checkTried(t, c)
		if c.Endpoint.Addr().Is4In6() || (c.Name == "") != (c.Origin == OriginLiteral) {
			t.Errorf("%s comes from %d %q", c.Endpoint, c.Origin, c.Name)
		}
		if !skipped && tried[c.Endpoint] {
			t.Errorf("%s is there twice", c.Endpoint)
		}
		tried[c.Endpoint] = tried[c.Endpoint] || !skipped
	}
}

// checkTried holds that a candidate has attempts if it was its turn. One that was
// not started may have had to wait until the end for that.
func checkTried(t testing.TB, c *Candidate) {
	t.Helper()
	begun := slices.ContainsFunc(c.Attempts, func(a Attempt) bool { return a.Begun })
	switch c.Outcome {
	case sched.OutcomeSkipped:
		if len(c.Attempts) > 0 {
			t.Errorf("%s is %s with %d attempts", c.Endpoint, c.Outcome, len(c.Attempts))
		}
	case sched.OutcomeNotStarted:
		if begun {
			t.Errorf("%s is %s, and an attempt has begun", c.Endpoint, c.Outcome)
		}
	default:
		if !begun && c.Outcome != sched.OutcomeFailed {
			t.Errorf("%s is %s, and no attempt has begun", c.Endpoint, c.Outcome)
		}
	}
}

func checkWinner(t testing.TB, r *RaceResult) {
	t.Helper()
	var winners []*Candidate
	attempts := 0
	for i := range r.Candidates {
		c := &r.Candidates[i]
		if c.Outcome == sched.OutcomeWon {
			winners = append(winners, c)
		}
		for j := range c.Attempts {
			if c.Attempts[j].Outcome == sched.OutcomeWon {
				attempts++
			}
		}
	}
	switch {
	case len(winners) != attempts || r.Winner != nil && r.Winner.Won() == nil:
		t.Errorf("%d candidates won by %d attempts", len(winners), attempts)
	case r.End != sched.EndWon && (r.Winner != nil || len(winners) > 0):
		t.Errorf("the race ended %s and %d won", r.End, len(winners))
	case r.End == sched.EndWon && (len(winners) != 1 || r.Winner != winners[0]):
		t.Errorf("Winner is %+v, %d candidates won", r.Winner, len(winners))
	}
}

// checkSettled holds that every candidate has its one final outcome in the
// transcript, in the order of positions.
func checkSettled(t testing.TB, r *Run, cs []Candidate) {
	t.Helper()
	var settled []Entry
	for _, e := range r.Transcript {
		if e.Action.Kind == sched.Settle {
			settled = append(settled, e)
		}
	}
	if !slices.EqualFunc(settled, cs, func(e Entry, c Candidate) bool {
		return e.Endpoint == c.Endpoint && e.Action.Outcome == c.Outcome && e.Action.Reason == c.Reason
	}) {
		t.Errorf("%d candidates, and the transcript settles %v", len(cs), settled)
	}
}

func checkAttempt(t testing.TB, r *Run, a *Attempt) {
	t.Helper()
	if a.Number < 1 || a.End > r.Duration || a.Begun && (a.Start < 0 || a.Start > a.End) {
		t.Errorf("attempt %+v does not fit a run of %v", a, r.Duration)
	}
	failed := a.Outcome == sched.OutcomeFailed || a.Outcome == sched.OutcomeTimedOut
	late := a.Outcome == sched.OutcomeConnectedLate // and has a failure if its own time was up
	if !late && failed != (a.Failure.Type != "") {
		t.Errorf("attempt %d is %s with failure %+v", a.Number, a.Outcome, a.Failure)
	}
	if !a.Begun && (a.Start != 0 || a.Duration() != 0) {
		t.Errorf("attempt %d has not begun and took %v from %v", a.Number, a.Duration(), a.Start)
	}
	checkDeferral(t, a)
	checkPhases(t, a)
}

// checkDeferral holds that an attempt waited for something, until it started or was
// over.
func checkDeferral(t testing.TB, a *Attempt) {
	t.Helper()
	d := a.Deferral
	if d == nil {
		return
	}
	until := a.End
	if a.Begun {
		until = a.Start
	}
	if d.Reason == sched.DeferNone || d.Start < 0 || d.Duration < 0 || d.Start+d.Duration != until {
		t.Errorf("attempt %d waited %+v, and its wait was over at %v", a.Number, *d, until)
	}
}

// checkPhases holds that the phases follow each other from the start to the end, and
// that only the last has failed, if the attempt has.
func checkPhases(t testing.TB, a *Attempt) {
	t.Helper()
	phases := a.Phases()
	if a.Begun != (len(phases) > 0) {
		t.Errorf("attempt %d has begun: %t, and has %d phases", a.Number, a.Begun, len(phases))
	}
	before := a.Start
	for i, p := range phases {
		last := i == len(phases)-1
		switch {
		case (i == 0) != (p.Kind == sched.PhaseTCP):
			t.Errorf("attempt %d: phase %d is %s", a.Number, i, p.Kind)
		case p.Start < before || p.Duration < 0 || p.Start+p.Duration > a.End:
			t.Errorf("attempt %d from %v to %v: phase %d is %+v after %v", a.Number, a.Start, a.End, i, p, before)
		case p.Failed && (!last || a.Failure == (sched.Failure{})):
			t.Errorf("attempt %d is %s, and phase %d of %d has failed", a.Number, a.Outcome, i, len(phases))
		}
		before = p.Start + p.Duration
	}
}

// checkGaps holds RFC 8305 section 5: no start within 10 ms of the one before
// (H2-31). The strategies that start many at once are free of that, but their
// backups are not.
func checkGaps(t testing.TB, r *RaceResult) {
	t.Helper()
	crowded := r.Options.Strategy == sched.AllAtOnce || r.Options.Strategy == sched.FirstThenAll
	backups := make(map[int]bool)
	before := -sched.MinAttemptDelay
	for _, e := range r.Transcript {
		if e.Action.Kind == sched.Start {
			backups[e.Action.Attempt] = e.Action.Trigger == sched.TriggerBackup
		}
		if e.Event.Kind != sched.Started {
			continue
		}
		if gap := e.At - before; gap < sched.MinAttemptDelay && (!crowded || backups[e.Event.Attempt]) {
			t.Errorf("%s started %v after the one before", e.Endpoint, gap)
		}
		before = e.At
	}
}
