package sched

import (
	"errors"
	"fmt"
	"time"
)

// backupsHaveACause: a second attempt is made where a SYN may have been lost, and
// before a kernel would have sent another one.
func backupsHaveACause(a *account) error {
	made := 0
	for i := range a.tries {
		f := &a.tries[i]
		if f.Trigger != TriggerBackup {
			continue
		}
		made++
		if err := a.backupMayStart(f); err != nil {
			return fmt.Errorf("attempt %d is a backup: %w", i, err)
		}
	}
	if made > a.cfg.MaxBackups {
		return fmt.Errorf("%d are made", made)
	}
	return nil
}

func (a *account) backupMayStart(f *try) error {
	first := &a.tries[a.found[f.Candidate].attempts[0]]
	now := a.steps[f.asked].now
	switch {
	case a.cfg.Strategy == Sequential:
		return errors.New("it is not sequential")
	case first.Attempt == f.Attempt:
		return errors.New("there is no first one")
	case !first.runs(f.asked) || first.progressed(f.asked):
		return errors.New("the first one is not silent")
	case now < first.start+a.backupDelay(f.Candidate, f.asked):
		return errors.New("it is too early")
	case now >= first.start+time.Second:
		return errors.New("it is too late")
	}
	inFlight := 0
	for i := range a.tries[:f.Attempt] {
		if a.tries[i].inFlight(f.asked) {
			inFlight++
		}
	}
	switch d := a.candidateDue(f.asked, f.Attempt); {
	case d.known && d.at < first.start+time.Second:
		return fmt.Errorf("another candidate is due at %v", d.at)
	case d.known && inFlight+1 == a.cfg.MaxInFlight:
		return fmt.Errorf("another candidate, due at %v, will need its place", d.at)
	}
	return nil
}

func (f *try) progressed(step int) bool {
	_, ok := f.progress(step)
	return ok
}

// backupDelay is the retransmission timeout, or 250 ms when nothing is known of it.
func (a *account) backupDelay(id, step int) time.Duration {
	s, _ := a.sight(id, step)
	if s.expect.RTT == 0 {
		return 250 * ms
	}
	return time.Duration(timeout(s.expect)*1e6+0.5) * time.Microsecond
}
