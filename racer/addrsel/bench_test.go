package addrsel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkRank ranks again and again, as a race does on each answer.
func BenchmarkRank(b *testing.B) {
	for _, n := range []int{2, 8, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dests := randomDestinations(rand.New(rand.NewPCG(1, 1)), n)
			var r Ranker
			b.ReportAllocs()
			for b.Loop() {
				r.Rank(dests, Config{})
			}
		})
	}
}

func TestRankAllocatesNothingAgain(t *testing.T) {
	dests := randomDestinations(rand.New(rand.NewPCG(1, 1)), 1000)
	cfg := Config{Policy: DefaultPolicy(), PreferredFamily: FamilyIPv4, FirstFamilyCount: 2}
	var r Ranker
	r.Rank(dests, cfg)
	if got := testing.AllocsPerRun(10, func() { r.Rank(dests, cfg) }); got != 0 {
		t.Errorf("%v allocations per Rank, want 0", got)
	}
}
