package main

import "time"

// pace is how long a run takes.
type pace struct {
	short         bool
	rounds        int // samples of each program
	warm, measure time.Duration
}

func (s settings) pace() pace {
	if s.short {
		return pace{short: true, rounds: 3, warm: 20 * time.Millisecond, measure: 50 * time.Millisecond}
	}
	return pace{rounds: 7, warm: 50 * time.Millisecond, measure: 250 * time.Millisecond}
}

// calls is the pace where a server is asked, which has more to warm up.
func (p pace) calls() pace {
	const longer = 2
	p.warm, p.measure = longer*p.warm, longer*p.measure
	return p
}

// counted is how long a program is traced, at least.
func (p pace) counted() time.Duration {
	if p.short {
		return p.measure
	}
	return 2 * p.measure
}

// pendingRounds are fewer: memory differs less.
func (p pace) pendingRounds() int { return p.rounds / 2 }
