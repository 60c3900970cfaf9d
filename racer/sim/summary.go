package sim

import (
	"math"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// Row is how one dialer fared in all worlds of one name. Worlds in which not even
// the oracle connects count in Impossible and nowhere else.
type Row struct {
	World  string // World.Name
	Dialer string // Dialer.Name

	Worlds     int // in which a connection is possible
	Impossible int // in which none is
	Failures   int // how many of Worlds brought no connection

	// Times to connect, from the beginning, DNS included, of all Worlds; nearest
	// rank. A failure took Never. Meaningless, as is Regret, without any: see Possible.
	P50, P90, P99, P999 time.Duration

	// Regret is the time to connect beyond that of the oracle, on average. A failure
	// counts as if the connection had come when the caller's patience ended.
	Regret time.Duration

	// What each connection cost, on average, in all Worlds together. Meaningless if
	// there is none: see Connected.
	SYNs     float64 // that left, repeats included
	InVain   float64 // connections that were established and of no use
	HalfOpen float64 // likewise, from the backend's point of view only: Result.HalfOpen
}

// Possible says that there was a world in which a connection is.
func (row *Row) Possible() bool { return row.Worlds > 0 }

// Connected says that there was a connection.
func (row *Row) Connected() bool { return row.Worlds > row.Failures }

// Never is the time of what does not happen.
const Never = time.Duration(math.MaxInt64)

// summarize makes the rows.
func summarize(outcomes []outcome, dialers []Dialer) []Row {
	var names []string
	of := make(map[string][]*outcome)
	for i := range outcomes {
		o := &outcomes[i]
		if of[o.world] == nil {
			names = append(names, o.world)
		}
		of[o.world] = append(of[o.world], o)
	}
	rows := make([]Row, 0, len(names)*len(dialers))
	for _, name := range names {
		for i, d := range dialers {
			rows = append(rows, summary(name, d.Name, of[name], i))
		}
	}
	return rows
}

// summary is the row of the dialer with the given index.
func summary(world, dialer string, outcomes []*outcome, index int) Row {
	row := Row{World: world, Dialer: dialer}
	var times []time.Duration
	var total cost
	for _, o := range outcomes {
		if !o.possible {
			row.Impossible++
			continue
		}
		row.Worlds++
		r := &o.results[index]
		total.add(r)
		if r.Connected {
			times = append(times, r.Time)
			total.regret += r.Time - o.oracle
			continue
		}
		row.Failures++
		times = append(times, Never)
		total.regret += o.patience - o.oracle
	}
	row.times(times)
	row.costs(total)
	return row
}

func (row *Row) times(times []time.Duration) {
	slices.Sort(times)
	row.P50, row.P90 = sched.Quantile(times, 0.5), sched.Quantile(times, 0.9)
	row.P99, row.P999 = sched.Quantile(times, 0.99), sched.Quantile(times, 0.999)
}

func (row *Row) costs(c cost) {
	if row.Possible() {
		row.Regret = c.regret / time.Duration(row.Worlds)
	}
	if connected := float64(row.Worlds - row.Failures); row.Connected() {
		row.SYNs = float64(c.syns) / connected
		row.InVain = float64(c.inVain) / connected
		row.HalfOpen = float64(c.halfOpen) / connected
	}
}

// cost is what several runs have cost.
type cost struct {
	regret                 time.Duration
	syns, inVain, halfOpen int
}

func (c *cost) add(r *Result) {
	c.syns += r.SYNs
	c.inVain += r.InVain()
	c.halfOpen += r.HalfOpen
}
