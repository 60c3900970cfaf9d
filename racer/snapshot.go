package racer

import (
	"maps"
	"slices"
	"time"

	"github.com/connrace/connrace/internal/connect/stage"
	"github.com/connrace/connrace/racer/sched"
)

// snapshot returns the race as it would be over if it were stopped now; it goes on
// itself. Attempts in flight count as given up.
func (e *engine) snapshot(why sched.EndReason) *engine {
	now := e.now()
	twin := &engine{
		racer: e.racer, plan: e.plan, start: e.start,
		known: slices.Clone(e.known), started: slices.Clone(e.started), log: slices.Clone(e.log),
	}
	race := e.race.Clone()
	batch := []sched.Event{{Kind: sched.Stopped, At: now, End: why}}
	for {
		actions := race.Step(now, batch, nil)
		twin.log = sched.Record(twin.log, now, batch, actions)
		if end := finished(actions); end != sched.EndNone {
			twin.end, twin.took = end, now
			return twin
		}
		batch = e.givenUp(twin.log, now)
	}
}

func finished(actions []sched.Action) sched.EndReason {
	if n := len(actions); n > 0 && actions[n-1].Kind == sched.Finish {
		return actions[n-1].End
	}
	return sched.EndNone
}

// observe lets a snapshot see the stages of an attempt, which are about to begin.
func (e *engine) observe(id int) {
	known, _ := e.peers.Load(id)
	if peer, ok := known.(stage.Peer); ok {
		peer.Progress = new(stage.Progress)
		e.peers.Store(id, peer)
	}
}

// observed are the stages of an attempt as they stand. nil: none has begun.
func (e *engine) observed(id int, now time.Duration) *sched.Stages {
	known, _ := e.peers.Load(id)
	if peer, ok := known.(stage.Peer); ok && peer.Progress != nil {
		return peer.Progress.Stages(now)
	}
	return nil
}

// givenUp confirms that every attempt of a log without an outcome has been given up.
func (e *engine) givenUp(log []sched.Entry, now time.Duration) []sched.Event {
	flying := make(map[int]bool)
	for _, entry := range log {
		switch {
		case entry.Action.Kind == sched.Start:
			flying[entry.Action.Attempt] = true
		case entry.Event.Kind == sched.Connected, entry.Event.Kind == sched.Failed, entry.Event.Kind == sched.Cancelled:
			delete(flying, entry.Event.Attempt)
		}
	}
	var events []sched.Event
	for _, id := range slices.Sorted(maps.Keys(flying)) {
		local, kernel := e.attempts.Standing(id)
		events = append(events, sched.Event{
			Kind: sched.Cancelled, At: now, Attempt: id,
			Local: local, Kernel: kernel, Stages: e.observed(id, now),
		})
	}
	return events
}
