package main

import (
	"encoding/json"
	"io"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"

	pb "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer/sim"
)

// worldReport is what came of a simulation in one world.
type worldReport struct {
	title string
	about string // what the file says of itself
	world sim.World
	race  *pb.RaceResponse // nil: no strategy of ours was chosen
	runs  []dialerRun

	worlds int       // of more than one, rows tell
	rows   []sim.Row // of the same world with other luck
}

// dialerRun is how a dialer fared.
type dialerRun struct {
	dialer string
	result sim.Result
}

// print prints the race as a waterfall, and how all dialers fared.
func (r *worldReport) print(w io.Writer, s style) {
	p := &page{style: s}
	p.note("world", r.about, dim)
	if r.race != nil {
		p.blank()
		p.race(r.race, r.title)
	}
	p.blank()
	if r.worlds > 1 {
		p.rows(r.world.Name, "the same world, each time with other luck", r.rows)
		p.blank()
		p.rowNotes()
	} else {
		p.runs(r)
	}
	p.writeTo(w)
}

// runs prints a row for each dialer, under what the best of all would have had.
func (p *page) runs(r *worldReport) {
	t := &table{columns: []column{
		{head: "DIALER"},
		{head: "CONNECTED AFTER", right: true},
		{head: "TO"},
		{head: "SYNS", right: true},
		{head: "IN VAIN", right: true},
		{head: "HALF OPEN", right: true, spare: 1},
	}}
	oracle := cell{"never", dim}
	if best, ok := r.world.Oracle(); ok {
		oracle = cell{humanDuration(best), dim}
	}
	for _, run := range r.runs {
		t.add(append([]cell{text(typed(run.dialer))}, r.resultCells(run.result)...)...)
	}
	t.add(cell{"the best possible", dim}, oracle, cell{}, cell{}, cell{}, cell{})
	p.printTable(t)
}

func (r *worldReport) resultCells(res sim.Result) []cell {
	cost := []cell{
		text(strconv.Itoa(res.SYNs)), text(strconv.Itoa(res.InVain())), text(strconv.Itoa(res.HalfOpen)),
	}
	if !res.Connected {
		return append([]cell{{"never", red}, {"gave up after " + humanDuration(res.Time), red}}, cost...)
	}
	return append([]cell{text(humanDuration(res.Time)), text(r.address(res))}, cost...)
}

// address is that of the winner.
func (r *worldReport) address(res sim.Result) string {
	if !res.Connected {
		return ""
	}
	return r.world.Backends[res.Backend].Addr.String()
}

// simRun is a dialer's run as JSON.
type simRun struct {
	Dialer      string  `json:"dialer"`
	Connected   bool    `json:"connected"`
	Time        float64 `json:"timeMs"`            // until it was connected, or gave up
	Address     string  `json:"address,omitempty"` // of the winner
	SYNs        int     `json:"syns"`
	Established int     `json:"established"`
	InVain      int     `json:"inVain"`
	HalfOpen    int     `json:"halfOpen"`
}

// printJSON prints the report for programs. The race is in protobuf JSON, as that of
// a daemon is.
func (r *worldReport) printJSON(w io.Writer) error {
	report := struct {
		Target string          `json:"target"`
		About  string          `json:"about,omitempty"`
		Seed   uint64          `json:"seed"`
		Oracle *float64        `json:"oracleMs"` // null: no connection is possible
		Runs   []simRun        `json:"runs"`
		Rows   []simRow        `json:"rows"` // of all worlds
		Race   json.RawMessage `json:"race,omitempty"`
	}{Target: r.title, About: r.about, Seed: r.world.Seed, Rows: simRows(r.rows)}
	if best, ok := r.world.Oracle(); ok {
		ms := milliseconds(best)
		report.Oracle = &ms
	}
	for _, run := range r.runs {
		report.Runs = append(report.Runs, simRun{
			Dialer: run.dialer, Connected: run.result.Connected, Time: milliseconds(run.result.Time), Address: r.address(run.result),
			SYNs: run.result.SYNs, Established: run.result.Established, InVain: run.result.InVain(), HalfOpen: run.result.HalfOpen,
		})
	}
	if r.race != nil {
		raw, err := protojson.Marshal(r.race)
		if err != nil {
			return err
		}
		report.Race = raw
	}
	return printIndented(w, report)
}
