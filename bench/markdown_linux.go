package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// table is one of Markdown. The first column has the names of its lines.
type table struct {
	title string // a sentence above it
	head  []string
	lines [][]string
}

func (t table) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\n", t.title)
	line := func(cells []string) { fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.head)
	line(slices.Repeat([]string{"---"}, len(t.head)))
	for _, cells := range t.lines {
		line(cells)
	}
	return text.String()
}

// markdown writes the tables of the documentation.
func (r *report) markdown(w io.Writer) error {
	tables := r.costTables()
	tables = append(tables, r.accompanyingTable(), r.callsTable())
	tables = append(tables, r.serverTables()...)
	tables = append(tables, r.roundTripTable())
	tables = append(tables, r.fetchTables()...)
	tables = append(tables, r.barTable())
	var text strings.Builder
	fmt.Fprintf(&text, "%v; %d samples of %s each.\n", r.Machine, r.Rounds, r.Sample)
	for _, what := range r.LeftOut {
		fmt.Fprintf(&text, "\nLeft out: %s.\n", what)
	}
	for _, t := range tables {
		if len(t.lines) > 0 {
			fmt.Fprintf(&text, "\n%v", t)
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// costTables are one for each place: CPU time by case and program.
func (r *report) costTables() (tables []table) {
	for _, x := range r.Rows {
		if n := len(tables); n == 0 || tables[n-1].title != costTitle(x.Place) {
			tables = append(tables, table{title: costTitle(x.Place), head: append([]string{""}, x.programs()...)})
		}
		t := &tables[len(tables)-1]
		cells := []string{x.Case}
		for _, result := range x.Results {
			cell := result.CPU.String()
			if ratio, known := x.ratio(result.Program, nameC); known && result.Program != nameC {
				cell += " **" + figure(ratio) + "**"
			}
			cells = append(cells, cell)
		}
		t.lines = append(t.lines, cells)
	}
	return tables
}

func costTitle(place string) string {
	return "CPU µs for each race, " + place + ": median (least-greatest), **by C**:"
}

func (r row) programs() (names []string) {
	for _, x := range r.Results {
		names = append(names, x.Program)
	}
	return names
}

// accompanying are the figures that come with CPU time.
var accompanying = []struct {
	name string
	of   func(result) string
}{
	{"context switches", func(x result) string { return figure(x.Switches) }},
	{"allocations", func(x result) string {
		if strings.HasPrefix(x.Program, nameC) {
			return "-"
		}
		return figure(x.Allocations)
	}},
	{"wall µs", func(x result) string { return figure(x.Wall.Median) }},
}

// accompanyingTable is of the cases whose system calls are counted too: the others say
// the same.
func (r *report) accompanyingTable() table {
	t := table{title: "What it comes with, medians for each race:"}
	for _, x := range r.Rows {
		if !slices.ContainsFunc(r.Calls, func(c callsRow) bool { return c.Place == x.Place && c.Case == x.Case }) {
			continue
		}
		t.head = append([]string{"per race"}, x.programs()...)
		for _, a := range accompanying {
			cells := []string{x.title() + ": " + a.name}
			for _, result := range x.Results {
				cells = append(cells, a.of(result))
			}
			t.lines = append(t.lines, cells)
		}
	}
	return t
}

func (r *report) callsTable() table {
	t := table{title: "System calls for each race, counted under strace, which slows all programs down:"}
	for _, x := range r.Calls {
		t.head = []string{""}
		cells := []string{x.Place + ": " + x.Case}
		for _, result := range x.Results {
			t.head = append(t.head, result.Program)
			cells = append(cells, figure(result.All))
		}
		t.lines = append(t.lines, cells)
	}
	return t
}

func (r *report) serverTables() (tables []table) {
	if p := r.Pending; p != nil {
		t := table{
			title: fmt.Sprintf("Bytes of user memory for each of %d pending attempts:", p.Attempts),
			head:  []string{"", "heap and stacks in use", "resident"},
		}
		for _, x := range p.Results {
			inUse := "-"
			if x.InUse != nil {
				inUse = x.InUse.String()
			}
			t.lines = append(t.lines, []string{x.Program, inUse, x.Resident.String()})
		}
		tables = append(tables, t)
	}
	for _, c := range []*callRow{r.Probers, r.RPCs} {
		if c == nil {
			continue
		}
		t := table{title: c.Title + ":", head: []string{"", "CPU µs " + c.Unit, "a second", "failed"}}
		for _, x := range c.Results {
			t.lines = append(t.lines, []string{x.Name, x.CPU.String(), x.PerSecond.String(), fmt.Sprint(x.Failures)})
		}
		tables = append(tables, t)
	}
	return tables
}

func (r *report) roundTripTable() table {
	t := table{
		title: "Milliseconds of a handshake: the kernel's round trip, and from the start to the moment the process knew:",
		head:  []string{"the lab's", "kernel", "off", "kernel p90", "process", "off", "process p90"},
	}
	for _, x := range r.RoundTrips {
		t.lines = append(t.lines, []string{
			x.title(), x.Kernel.String(), x.off(x.Kernel.Median), figure(x.KernelP90),
			x.Process.String(), x.off(x.Process.Median), figure(x.ProcessP90),
		})
	}
	return t
}

func (r *report) fetchTables() (tables []table) {
	for _, row := range r.Fetches {
		t := table{
			title: fmt.Sprintf("Milliseconds to the first byte of an HTTP fetch, 1 of %d backends dead:", row.Backends),
			head:  []string{"", "fetches", "failed", "median", "p90", "p99", "max"},
		}
		for _, x := range row.Results {
			t.lines = append(t.lines, []string{
				x.Program, strconv.Itoa(x.Fetches), strconv.Itoa(x.Failures),
				row.text(x.Median), row.text(x.P90), row.text(x.P99), row.text(x.Max),
			})
		}
		tables = append(tables, t)
	}
	return tables
}

func (r *report) barTable() table {
	t := table{title: "Bars:", head: []string{"case", "program", "measured", "at most", ""}}
	for _, b := range r.Bars {
		program := b.Program
		if b.To != "" {
			program += " by " + b.To
		}
		t.lines = append(t.lines, []string{b.Case, program, figure(b.Value), figure(b.Limit), b.verdict()})
	}
	return t
}
