package sim

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"
)

// columns are those of a CSV, in order.
var columns = []struct {
	name  string
	value func(*Row) string
}{
	{"world", func(r *Row) string { return r.World }},
	{"dialer", func(r *Row) string { return r.Dialer }},
	{"worlds", func(r *Row) string { return strconv.Itoa(r.Worlds) }},
	{"impossible", func(r *Row) string { return strconv.Itoa(r.Impossible) }},
	{"failures", func(r *Row) string { return strconv.Itoa(r.Failures) }},
	{"p50_ms", func(r *Row) string { return milliseconds(r, r.P50) }},
	{"p90_ms", func(r *Row) string { return milliseconds(r, r.P90) }},
	{"p99_ms", func(r *Row) string { return milliseconds(r, r.P99) }},
	{"p999_ms", func(r *Row) string { return milliseconds(r, r.P999) }},
	{"regret_ms", func(r *Row) string { return milliseconds(r, r.Regret) }},
	{"syns_per_connect", func(r *Row) string { return perConnect(r, r.SYNs) }},
	{"in_vain_per_connect", func(r *Row) string { return perConnect(r, r.InVain) }},
	{"half_open_per_connect", func(r *Row) string { return perConnect(r, r.HalfOpen) }},
}

// WriteCSV writes a line of names, and one for each row: the fields of Row, times in
// milliseconds, Never as inf, and nothing where there is nothing to measure.
func WriteCSV(to io.Writer, rows []Row) error {
	w := csv.NewWriter(to)
	line := make([]string, len(columns))
	for i, c := range columns {
		line[i] = c.name
	}
	if err := w.Write(line); err != nil {
		return err
	}
	for i := range rows {
		for k, c := range columns {
			line[k] = c.value(&rows[i])
		}
		if err := w.Write(line); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func milliseconds(r *Row, d time.Duration) string {
	switch {
	case !r.Possible():
		return ""
	case d == Never:
		return "inf"
	default:
		return fmt.Sprintf("%.3f", float64(d)/float64(time.Millisecond))
	}
}

func perConnect(r *Row, x float64) string {
	if !r.Connected() {
		return ""
	}
	return strconv.FormatFloat(x, 'f', 4, 64)
}
