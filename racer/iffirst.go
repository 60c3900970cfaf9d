package racer

import (
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// compareWithWinner says of every candidate that connected what the caller would
// have got, had it been the first to be tried: its own handshake counts from the
// race's first start, or from when its address was known if that was later. With a
// first start at 10 ms, a win at 280 and a loser whose handshake took 250:
//
//	the winner, whose own took 20:  10 +  20 - 280 = 250 ms sooner
//	the loser:                      10 + 250 - 280 =  20 ms sooner
func compareWithWinner(candidates []Candidate, winner *Candidate) {
	if winner == nil {
		return
	}
	first, won := earliestStart(candidates), winner.Won().End
	for i := range candidates {
		if took, connected := fastest(&candidates[i]); connected {
			difference := max(first, candidates[i].known) + took - won
			candidates[i].IfFirst = &difference
		}
	}
}

// earliestStart is when the first packet of the race left.
func earliestStart(candidates []Candidate) time.Duration {
	var first time.Duration
	begun := false
	for i := range candidates {
		for _, a := range candidates[i].Attempts {
			if a.Begun && (!begun || a.Start < first) {
				first, begun = a.Start, true
			}
		}
	}
	return first
}

// fastest is how long the quickest handshake with a candidate took.
func fastest(c *Candidate) (took time.Duration, connected bool) {
	for i := range c.Attempts {
		a := &c.Attempts[i]
		if a.Outcome != sched.OutcomeWon && a.Outcome != sched.OutcomeConnectedLate {
			continue
		}
		if !connected || a.Duration() < took {
			took, connected = a.Duration(), true
		}
	}
	return took, connected
}
