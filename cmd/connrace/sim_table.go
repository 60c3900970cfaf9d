package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/connrace/connrace/racer/sim"
)

// simReport is what came of a simulation.
type simReport struct {
	seed   uint64
	worlds int // of each kind
	kinds  []sim.Kind
	rows   []sim.Row
	crowds [][]sim.Spread // by the order that DNS has, then by dialer
}

// print prints a table for each kind of worlds, one for the crowds, and what the
// columns mean.
func (r *simReport) print(w io.Writer, s style) {
	p := &page{style: s}
	worlds := plural(r.worlds, "world")
	if len(r.kinds) > 1 {
		worlds += fmt.Sprintf(" of each of %d kinds", len(r.kinds))
	}
	p.heading(worlds, fmt.Sprintf("seed %d", r.seed))
	for _, k := range r.kinds {
		p.blank()
		p.rows(typed(k.String()), kindWords(k), rowsOf(r.rows, k.String()))
	}
	p.blank()
	p.rowNotes()
	p.blank()
	p.crowds(r.crowds)
	p.writeTo(w)
}

// rowsOf are the rows of the worlds with that name.
func rowsOf(rows []sim.Row, world string) []sim.Row {
	var of []sim.Row
	for _, r := range rows {
		if r.World == world {
			of = append(of, r)
		}
	}
	return of
}

// rows prints how dialers fared in worlds of one name.
func (p *page) rows(name, words string, rows []sim.Row) {
	if len(rows) == 0 {
		return
	}
	if !rows[0].Possible() {
		p.heading(name, words, plural(rows[0].Impossible, "world"), "no address works: there is nothing to compare")
		return
	}
	impossible := ""
	if n := rows[0].Impossible; n > 0 {
		impossible = fmt.Sprintf("%d more have no address that works", n)
	}
	p.heading(name, words, plural(rows[0].Worlds, "world"), impossible)
	t := &table{columns: []column{
		{head: "DIALER"},
		{head: "MEDIAN", right: true},
		{head: "P90", right: true, spare: 3},
		{head: "P99", right: true},
		{head: "P99.9", right: true, spare: 2},
		{head: "FAILED", right: true},
		{head: "REGRET", right: true},
		{head: "SYNS", right: true},
		{head: "IN VAIN", right: true},
		{head: "HALF OPEN", right: true, spare: 1},
	}}
	for _, r := range rows {
		t.add(text(typed(r.Dialer)), timeCell(r.P50), timeCell(r.P90), timeCell(r.P99), timeCell(r.P999),
			cell{strconv.Itoa(r.Failures), failColor(int32(r.Failures))}, text(humanDuration(r.Regret)),
			costCell(&r, r.SYNs), costCell(&r, r.InVain), costCell(&r, r.HalfOpen))
	}
	p.printTable(t)
}

// costCell is so many for each connection, if there was one.
func costCell(r *sim.Row, x float64) cell {
	if !r.Connected() {
		return text("-")
	}
	return ratioCell(x)
}

func timeCell(d time.Duration) cell {
	if d == sim.Never {
		return cell{"never", red}
	}
	return text(humanDuration(d))
}

// ratioCell is so many for each connection.
func ratioCell(x float64) cell { return text(strconv.FormatFloat(x, 'f', 2, 64)) }

// rowNotes say what the columns of rows mean.
func (p *page) rowNotes() {
	p.note("times", "to connect, DNS included; a dialer that fails never does", dim)
	p.note("regret", "how much longer than an oracle that knows the best address, on average", dim)
	p.note("syns", "sent for each connection; in vain: connections established and dropped; half open: those given up while the answer was on its way, which servers count as connections too", dim)
}
