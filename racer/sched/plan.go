package sched

import "time"

// Planned is a start that a race would make.
type Planned struct {
	Candidate int           // its id
	At        time.Duration // since the race began
	Trigger   Trigger       // why then
	Delay     time.Duration // how long the next one waits for it; 0: not by its delay
	Basis     Basis         // where Delay comes from
}

// Plan returns the starts a race with cfg would make if every attempt stayed
// silent and the answers came as given: Resolved events in the order of At. A
// candidate whose turn would never come is not in it. A race that asks nothing
// begins with the addresses it is given.
func Plan(cfg Config, answers []Event) []Planned {
	var (
		r       Race
		plan    []Planned
		now     time.Duration
		events  []Event
		actions []Action
	)
	if len(cfg.Questions) == 0 && len(answers) > 0 {
		now = answers[0].At
	}
	for r.Reset(cfg); ; {
		for len(answers) > 0 && answers[0].At <= now {
			events, answers = append(events, answers[0]), answers[1:]
		}
		actions = r.Step(now, events, actions[:0])
		events = events[:0]
		for _, a := range actions {
			switch a.Kind {
			case Start:
				plan = append(plan, Planned{
					Candidate: a.Candidate, At: now, Trigger: a.Trigger, Delay: a.Delay, Basis: a.Basis,
				})
				events = append(events, Event{Kind: Started, At: now, Attempt: a.Attempt})
			case Cancel:
				events = append(events, Event{Kind: Cancelled, At: now, Attempt: a.Attempt})
			case Finish:
				return plan
			}
		}
		if len(events) > 0 {
			continue // the network obeys at once
		}
		var ok bool
		if now, ok = soonest(&r, answers); !ok {
			return plan // silent for ever, and nothing bounds it
		}
	}
}

// soonest returns when the next thing happens.
func soonest(r *Race, answers []Event) (time.Duration, bool) {
	at, ok := r.Next()
	if len(answers) > 0 && (!ok || answers[0].At < at) {
		return answers[0].At, true
	}
	return at, ok
}
