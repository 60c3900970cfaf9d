package sched

import (
	"slices"
	"testing"
)

// FuzzRace lets the input choose a world. Whatever it chooses, the race does not
// panic, comes to its end and keeps the invariants.
func FuzzRace(f *testing.F) {
	f.Add([]byte{})
	for seed := range uint64(50) {
		rng := seeded(seed)
		data := make([]byte, 100+rng.IntN(1000))
		for i := range data {
			data[i] = byte(rng.IntN(256))
		}
		f.Add(data)
	}
	var race Race
	f.Fuzz(func(t *testing.T, data []byte) {
		choices := bytesChooser(slices.Clone(data))
		w := randomWorld(&choices)
		w.name = "fuzz"
		checkInvariants(t, w.name, w.run(t, &race))
	})
}
