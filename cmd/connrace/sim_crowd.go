package main

import (
	"github.com/connrace/connrace/racer/sim"
)

// crowds prints how the connections of crowds spread over the backends: a row for
// each dialer, and columns for each order that DNS may have.
func (p *page) crowds(crowds [][]sim.Spread) {
	c := sim.DefaultCrowd(0, sim.FixedOrder)
	p.heading("crowd", plural(c.Clients, "client")+", one every "+humanDuration(c.Every), backendWords(c.World.Backends))
	columns := []column{{head: "DIALER"}}
	for _, spreads := range crowds {
		columns = append(columns, column{head: "DNS " + spreads[0].Row.World, right: true}, column{head: "MEDIAN", right: true, spare: 1})
	}
	t := &table{columns: columns}
	for i, s := range crowds[0] {
		cells := []cell{text(typed(s.Dialer))}
		for _, spreads := range crowds {
			cells = append(cells, ratioCell(spreads[i].Effective), timeCell(spreads[i].Row.P50))
		}
		t.add(cells...)
	}
	p.printTable(t)
	p.blank()
	p.note("dns", "gives the addresses in a fixed order, or the next one first each time (rotated), or in any order "+
		"(shuffled). The number under it says over how many backends the connections spread: 1 is a herd", dim)
}

// backendWords say how many there are, and how far away.
func backendWords(backends []sim.Backend) string {
	nearest, farthest := backends[0].RTT, backends[0].RTT
	for _, b := range backends {
		nearest, farthest = min(nearest, b.RTT), max(farthest, b.RTT)
	}
	return plural(len(backends), "backend") + ", " + humanDuration(nearest) + " to " + humanDuration(farthest) + " away"
}
