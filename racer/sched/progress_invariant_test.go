package sched

import "fmt"

// stagesProceed: H3-51 and H3-56.
func stagesProceed(a *account) error {
	for i := range a.tries {
		f := &a.tries[i]
		if len(f.strays) > 0 {
			return fmt.Errorf("attempt %d may proceed before anything is done", i)
		}
		for n, s := range f.stages {
			want := a.proceedsAt(f, s)
			if once := len(s.proceeds) == 1; want == never && len(s.proceeds) > 0 || want != never && (!once || s.proceeds[0] != want) {
				return fmt.Errorf("attempt %d may proceed after stage %d in steps %v, want %d", i, n, s.proceeds, want)
			}
		}
	}
	return nil
}

// proceedsAt returns the step in which an attempt may go on after a stage.
func (a *account) proceedsAt(f *try, s stage) int {
	for n := s.told; n <= a.last && f.live(n) && a.lives(n); n++ {
		if !a.held(n) {
			return n
		}
	}
	return never
}

// lives says that attempts may still come to something: the race goes on, or losers
// have their grace.
func (a *account) lives(step int) bool { return step < a.overAt() || a.inGrace(step) }

// held says that no handshake may begin: the client relies on service information
// that DNS protects, and waits for it.
func (a *account) held(step int) bool {
	s := a.cfg.Service
	return s.Protected && s.Usable && s.Relied && !a.allAnswered(step, forService)
}
