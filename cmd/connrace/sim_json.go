package main

import (
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/sim"
)

// simRow is a row as JSON. Times that never come are null, and so is all that there was
// nothing to measure of.
type simRow struct {
	World      string   `json:"world"`
	Dialer     string   `json:"dialer"`
	Worlds     int      `json:"worlds"`     // in which a connection is possible
	Impossible int      `json:"impossible"` // in which none is
	Failures   int      `json:"failures"`
	P50        *float64 `json:"p50Ms"`
	P90        *float64 `json:"p90Ms"`
	P99        *float64 `json:"p99Ms"`
	P999       *float64 `json:"p999Ms"`
	Regret     *float64 `json:"regretMs"`
	SYNs       *float64 `json:"synsPerConnect"`
	InVain     *float64 `json:"inVainPerConnect"`
	HalfOpen   *float64 `json:"halfOpenPerConnect"`
}

func simRowOf(r *sim.Row) simRow {
	row := simRow{World: r.World, Dialer: r.Dialer, Worlds: r.Worlds, Impossible: r.Impossible, Failures: r.Failures}
	if r.Possible() {
		row.P50, row.P90, row.P99, row.P999 = finite(r.P50), finite(r.P90), finite(r.P99), finite(r.P999)
		row.Regret = finite(r.Regret)
	}
	if r.Connected() {
		row.SYNs, row.InVain, row.HalfOpen = &r.SYNs, &r.InVain, &r.HalfOpen
	}
	return row
}

func simRows(rows []sim.Row) []simRow {
	all := make([]simRow, len(rows))
	for i := range rows {
		all[i] = simRowOf(&rows[i])
	}
	return all
}

// finite is nil for what never comes.
func finite(d time.Duration) *float64 {
	if d == sim.Never {
		return nil
	}
	ms := milliseconds(d)
	return &ms
}

// simSpread is a crowd as JSON.
type simSpread struct {
	Order     string    `json:"dnsOrder"`
	Dialer    string    `json:"dialer"`
	Shares    []float64 `json:"shares"` // of all connections, by backend
	Effective float64   `json:"effectiveBackends"`
	Largest   float64   `json:"largestOverFair"`
	Row       simRow    `json:"row"`
}

// printJSON prints the report for programs.
func (r *simReport) printJSON(w io.Writer) error {
	report := struct {
		Seed    uint64      `json:"seed"`
		Worlds  int         `json:"worldsOfEachKind"`
		Rows    []simRow    `json:"rows"`
		Spreads []simSpread `json:"spreads"`
	}{Seed: r.seed, Worlds: r.worlds, Rows: simRows(r.rows)}
	for _, s := range slices.Concat(r.crowds...) {
		report.Spreads = append(report.Spreads, simSpread{
			Order: s.Row.World, Dialer: s.Dialer, Shares: s.Shares,
			Effective: s.Effective, Largest: s.Largest, Row: simRowOf(&s.Row),
		})
	}
	return printIndented(w, report)
}

func printIndented(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
