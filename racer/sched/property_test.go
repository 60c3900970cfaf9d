package sched

import (
	"fmt"
	"testing"
	"time"
)

// randomWorlds is in how many worlds each property is tried. A world is the
// same each time; failures name its seed.
const randomWorlds = 3000

func eachWorld(check func(w *world)) {
	for seed := range uint64(randomWorlds) {
		w := randomWorld(seeded(seed))
		w.name = fmt.Sprintf("seed %d", seed)
		check(w)
	}
}

// TestInvariants looks at what every race must be.
func TestInvariants(t *testing.T) {
	eachWorld(func(w *world) { checkInvariants(t, w.name, w.run(t, new(Race))) })
}

// TestNextIsDerived: to ask for Next twice, and to call Step when nothing has
// happened and nothing is due, changes nothing.
func TestNextIsDerived(t *testing.T) {
	eachWorld(func(w *world) {
		nosy := w.engine(t, new(Race))
		nosy.nosy = true
		mustBeSame(t, w.name, nosy.run(), w.run(t, new(Race)))
	})
}

// TestResetForgets: a used race runs as a fresh one, also one that was given up
// in the middle.
func TestResetForgets(t *testing.T) {
	var used Race
	eachWorld(func(w *world) {
		mustBeSame(t, w.name, w.run(t, &used), w.run(t, new(Race)))
		if w.seed%2 == 0 {
			half := w.engine(t, &used)
			half.now = 100 * ms
			half.step()
		}
	})
}

func mustBeSame(t *testing.T, name string, got, want *history) {
	t.Helper()
	if got.lines() != want.lines() {
		t.Fatalf("%s:\n%s\nwant\n%s", name, got.text(), want.text())
	}
}

// TestRandomWorldsReachEverything: a property says little about what the worlds
// never come to.
func TestRandomWorldsReachEverything(t *testing.T) {
	const enough = 20
	counts := map[string]int{}
	var longest time.Duration
	eachWorld(func(w *world) {
		for _, entry := range w.run(t, new(Race)).log() {
			count(counts, entry)
			longest = max(longest, entry.At)
		}
	})
	for _, names := range [][]string{triggerNames, causeNames[CauseTimeout:], outcomeNames, endNames[EndWon:], skipNames[SkipDenied:], eventNames[Resolved:]} {
		for _, name := range names {
			if counts[name] < enough {
				t.Errorf("%s: %d times, want at least %d", name, counts[name], enough)
			}
		}
	}
	t.Logf("the longest race takes %v", longest)
}

func count(counts map[string]int, entry Entry) {
	switch a := entry.Action; a.Kind {
	case 0:
		counts[entry.Event.Kind.String()]++
	case Start:
		counts[a.Trigger.String()]++
	case Cancel:
		counts[a.Cause.String()]++
	case Settle:
		counts[a.Outcome.String()]++
		counts[a.Skip.String()]++
	case Finish:
		counts[a.End.String()]++
	}
}
