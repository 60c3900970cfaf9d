package sched

import "time"

// nextBackup returns the next backup attempt: a second one at the same endpoint,
// whose first has had no answer, because its SYN may have been lost. The kernel
// sends another SYN only after SecondSYN, so a backup that would start no sooner
// than that is not made. Nor is one where the next candidate is due before, or would
// need its place: another address helps against more than a lost SYN.
func (r *Race) nextBackup(candidate turn, known bool) (best turn, ok bool) {
	if r.backups >= r.cfg.MaxBackups || r.cfg.Strategy == Sequential {
		return turn{}, false
	}
	for _, id := range r.flying {
		a := &r.attempts[id]
		if !r.wantsBackup(a) || known && (candidate.at < a.start+SecondSYN || r.lastPlace()) {
			continue
		}
		pace, paced := r.patience(a)
		at := max(pace, a.start+r.backupDelay(a.candidate), r.now)
		if paced && at < a.start+SecondSYN && (!ok || at < best.at) {
			best, ok = turn{candidate: a.candidate, at: at, backup: true}, true
		}
	}
	return best, ok
}

// wantsBackup says that nothing has come back for an attempt, and that it is the
// only one of a candidate that DNS still has.
func (r *Race) wantsBackup(a *attempt) bool {
	c := &r.candidates[a.candidate]
	return a.alone() && !a.advanced && c.backup == none && r.listed(c)
}

// backupDelay is how long an answer may be expected to take: the retransmission
// timeout where the round-trip time is known.
func (r *Race) backupDelay(id int) time.Duration {
	if e := &r.candidates[id].Expect; e.RTT > 0 {
		return withinBounds(e.rto())
	}
	return DefaultAttemptDelay
}

// lastPlace says that MaxInFlight allows one more attempt only.
func (r *Race) lastPlace() bool {
	return r.cfg.MaxInFlight > 0 && len(r.flying) == r.cfg.MaxInFlight-1
}
