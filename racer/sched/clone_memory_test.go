package sched

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"
)

// A clone may go on for a while, do what is due and sort its candidates anew: its race
// starts the same ones later all the same. In every other world it is the clone that is
// left alone.
func TestCloneGoesOnByItself(t *testing.T) {
	besideClones(t, func(r *Race, now time.Duration) { halt(r, goOn(r, now)) })
}

// goOn lets a race do what is due at three more times, and returns the last of them. An
// answer that brings nothing is a reason to sort.
func goOn(r *Race, now time.Duration) time.Duration {
	for range 3 {
		at, ok := r.Next()
		if !ok {
			break
		}
		now = max(now, at)
		r.Step(now, []Event{{Kind: Resolved, At: now, Question: NoQuestion}}, nil)
	}
	return now
}

// A clone and its race may be stepped by two goroutines: they have no memory in common
// that either of them writes to, not even what holds nothing between two steps.
func TestCloneHasMemoryOfItsOwn(t *testing.T) {
	race := raceWithOneWaiting()
	inUse := map[uintptr]string{}
	eachMemory(reflect.ValueOf(race).Elem(), "", func(name string, at uintptr) { inUse[at] = name })
	known := slices.Sorted(maps.Values(inUse))
	if want := []string{
		"attempts", "candidates", "dests", "flying", "holders", "ids", "order", "questions", "queue",
		"ranker.keys", "ranker.positions", "ranker.table",
	}; !slices.Equal(known, want) {
		t.Errorf("a race has memory for %v, want %v", known, want)
	}
	eachMemory(reflect.ValueOf(race.Clone()).Elem(), "", func(name string, at uintptr) {
		if other, shared := inUse[at]; shared {
			t.Errorf("%s of the clone is %s of the race", name, other)
		}
	})
}

// raceWithOneWaiting makes use of all that a race has: RFC 8305 sorts what has not been
// tried by itself, so that there are two orders.
func raceWithOneWaiting() *Race {
	cfg := Default()
	cfg.Version, cfg.Questions, cfg.ResolutionDelay = V2, questions(AAAA), 0
	given := func(id int) Event {
		c := candidateAt(somePrefixes[4+id])
		c.ID = id
		return Event{Kind: Resolved, Question: NoQuestion, Candidates: []Candidate{c}}
	}
	var race Race
	race.Reset(cfg)
	race.Step(0, []Event{given(0)}, nil)
	race.Step(0, []Event{{Kind: Started}, given(1), given(2)}, nil)
	return &race
}

// eachMemory tells of every slice and map of a struct that has any memory. What a race
// was given by its caller is not to be changed by anybody, and is left out.
func eachMemory(v reflect.Value, name string, tell func(name string, at uintptr)) {
	for i := range v.NumField() {
		field := v.Type().Field(i).Name
		switch f := v.Field(i); {
		case field == "cfg":
		case f.Kind() == reflect.Struct:
			eachMemory(f, name+field+".", tell)
		case f.Kind() == reflect.Map, f.Kind() == reflect.Slice && f.Cap() > 0:
			tell(name+field, f.Pointer())
		}
	}
}
