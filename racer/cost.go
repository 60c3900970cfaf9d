package racer

import "github.com/connrace/connrace/racer/sched"

// Cost is what a race asked of the network and of the servers.
type Cost struct {
	Attempts  int // begun
	Connected int // of those: the handshake completed, the winner's included
	Dropped   int // of those: all but the winner
	Backups   int // of the attempts begun: second ones to an address
}

func costOf(candidates []Candidate) Cost {
	var c Cost
	for i := range candidates {
		for _, a := range candidates[i].Attempts {
			if a.Begun {
				c.Attempts++
			}
			if a.Begun && a.Trigger == sched.TriggerBackup {
				c.Backups++
			}
			switch a.Outcome {
			case sched.OutcomeWon:
				c.Connected++
			case sched.OutcomeConnected, sched.OutcomeConnectedLate:
				c.Connected++
				c.Dropped++
			}
		}
	}
	return c
}

func winner(candidates []Candidate) *Candidate {
	for i := range candidates {
		if candidates[i].Outcome == sched.OutcomeWon {
			return &candidates[i]
		}
	}
	return nil
}
