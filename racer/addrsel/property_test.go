package addrsel

import (
	"math/rand/v2"
	"slices"
	"testing"
)

const randomLists = 5000

// TestRankAgainstDumb compares order and reasons with the dumb alternative, and
// looks at what every ranking has to be.
func TestRankAgainstDumb(t *testing.T) {
	var r Ranker
	rng := rand.New(rand.NewPCG(1, 2))
	counts := map[Reason]int{}
	for range randomLists {
		dests, cfg := randomDestinations(rng, rng.IntN(13)), randomConfig(rng)
		positions := r.Rank(dests, cfg)
		checkProperties(t, dests, cfg, positions)
		for _, p := range positions {
			counts[p.Reason]++
		}
	}
	for reason := ReasonLast; reason <= ReasonPreferredFamily; reason++ {
		if counts[reason] < 100 {
			t.Errorf("%v decided only %d pairs: the random lists do not reach it", reason, counts[reason])
		}
	}
}

func checkProperties(t *testing.T, dests []Destination, cfg Config, positions []Position) {
	t.Helper()
	order, reasons := indexesOf(positions), reasonsOf(positions)
	if sorted := slices.Sorted(slices.Values(order)); len(order) != len(dests) || !isCount(sorted) {
		t.Fatalf("%v is not a permutation of the %d destinations", order, len(dests))
	}
	if !slices.IsSortedFunc(inOrder(dests, positions), usableFirst) {
		t.Errorf("%v has an unusable address before a usable one; %+v %+v", order, dests, cfg)
	}
	if want := dumbRank(dests, cfg); !slices.Equal(order, want) {
		t.Errorf("order %v, want %v; %+v %+v", order, want, dests, cfg)
	}
	if want := dumbReasons(dests, order, cfg); !slices.Equal(reasons, want) {
		t.Errorf("reasons %v, want %v; %+v %+v", reasons, want, dests, cfg)
	}
}

func indexesOf(positions []Position) []int {
	var out []int
	for _, p := range positions {
		out = append(out, p.Index)
	}
	return out
}

func isCount(list []int) bool {
	for i, n := range list {
		if i != n {
			return false
		}
	}
	return true
}

func usableFirst(a, b Destination) int {
	switch {
	case dumbUsable(a) == dumbUsable(b):
		return 0
	case dumbUsable(a):
		return -1
	}
	return 1
}

// TestRankIgnoresInputOrder: where rule 10 has nothing to say, the order and the
// reasons do not depend on the order of the input.
func TestRankIgnoresInputOrder(t *testing.T) {
	var r Ranker
	rng := rand.New(rand.NewPCG(3, 4))
	for range randomLists / 10 {
		cfg := randomConfig(rng)
		dests := withoutTies(randomDestinations(rng, 12), cfg)
		positions := r.Rank(dests, cfg)
		wantOrder, wantReasons := inOrder(dests, positions), reasonsOf(positions)
		for range 5 {
			rng.Shuffle(len(dests), func(i, j int) { dests[i], dests[j] = dests[j], dests[i] })
			positions := r.Rank(dests, cfg)
			if got := inOrder(dests, positions); !slices.Equal(got, wantOrder) {
				t.Errorf("%+v\n got %v\nwant %v", cfg, got, wantOrder)
			}
			if got := reasonsOf(positions); !slices.Equal(got, wantReasons) {
				t.Errorf("%+v %v: reasons %v, want %v", cfg, wantOrder, got, wantReasons)
			}
		}
	}
}

// withoutTies leaves out each destination that only rule 10 tells from another.
func withoutTies(dests []Destination, cfg Config) []Destination {
	var out []Destination
	for _, d := range dests {
		out = append(out, d)
		last := len(out) - 1
		for i := range last {
			if _, reason := dumbBefore(out, i, last, cfg.Policy); reason == ReasonInputOrder {
				out = out[:last]
				break
			}
		}
	}
	return out
}

// TestRankerForgets: what a Ranker did before does not show.
func TestRankerForgets(t *testing.T) {
	var used Ranker
	rng := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		dests, cfg := randomDestinations(rng, rng.IntN(30)), randomConfig(rng)
		before := slices.Clone(dests)
		var fresh Ranker
		if got, want := used.Rank(dests, cfg), fresh.Rank(dests, cfg); !slices.Equal(got, want) {
			t.Errorf("used %v, fresh %v", got, want)
		}
		if !slices.Equal(dests, before) {
			t.Error("Rank changed its input")
		}
	}
}
