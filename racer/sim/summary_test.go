package sim

import (
	"testing"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// Nearest rank: the smallest time that so many do not exceed.
func TestNearestRank(t *testing.T) {
	numbers := func(n int) (times []time.Duration) {
		for i := range n {
			times = append(times, time.Duration(i+1))
		}
		return times
	}
	for _, c := range []struct {
		n, thousandths int
		want           time.Duration
	}{
		{0, 500, 0},
		{1, 500, 1},
		{1, 999, 1},
		{2, 500, 1},
		{2, 501, 2},
		{3, 500, 2},
		{10, 900, 9},
		{10, 990, 10},
		{1000, 990, 990},
		{1000, 999, 999},
		{1001, 999, 1000},
	} {
		if got := sched.Quantile(numbers(c.n), float64(c.thousandths)/1000); got != c.want {
			t.Errorf("%d thousandths of 1 to %d are %d, want %d", c.thousandths, c.n, got, c.want)
		}
	}
}

// A failure takes for ever, its regret is the rest of the patience, what cannot
// connect at all does not count, and costs are those of each connection.
func TestSummary(t *testing.T) {
	possible := func(oracle time.Duration, r Result) outcome {
		return outcome{world: "w", possible: true, oracle: oracle, patience: time.Second, results: []Result{{}, r}}
	}
	outcomes := []outcome{
		possible(10*ms, Result{Connected: true, Time: 30 * ms, SYNs: 1, Established: 1}),
		possible(20*ms, Result{Connected: true, Time: 20 * ms, SYNs: 4, Established: 3, HalfOpen: 1}),
		possible(500*ms, Result{Time: 900 * ms, SYNs: 3, Established: 1}), // it gave up
		{world: "w", patience: time.Second, results: []Result{{}, {Time: time.Second, SYNs: 100, Established: 1}}},
	}
	got := summarize(outcomes, []Dialer{{Name: "other"}, {Name: "d"}})[1]
	want := Row{
		World: "w", Dialer: "d", Worlds: 3, Impossible: 1, Failures: 1,
		P50: 30 * ms, P90: Never, P99: Never, P999: Never,
		Regret: (20*ms + 0 + 500*ms) / 3,
		SYNs:   8.0 / 2, InVain: 3.0 / 2, HalfOpen: 1.0 / 2,
	}
	if got != want {
		t.Errorf("row is\n%+v, want\n%+v", got, want)
	}
}

// Rows of nothing have no numbers that are not numbers.
func TestSummaryOfNothing(t *testing.T) {
	impossible := outcome{world: "w", results: make([]Result, 1)}
	failure := outcome{world: "w", possible: true, patience: time.Second, results: []Result{{SYNs: 2}}}
	for about, c := range map[string]struct {
		outcome outcome
		want    Row
	}{
		"impossible": {impossible, Row{World: "w", Impossible: 1}},
		"failures":   {failure, Row{World: "w", Worlds: 1, Failures: 1, P50: Never, P90: Never, P99: Never, P999: Never, Regret: time.Second}},
	} {
		if got := summarize([]outcome{c.outcome}, make([]Dialer, 1)); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %+v, want %+v", about, got, c.want)
		}
	}
}
