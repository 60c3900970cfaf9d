package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// callsRow is how many system calls the programs make for each race of a case.
type callsRow struct {
	Place   string        `json:"place"`
	Case    string        `json:"case"`
	Results []callsResult `json:"results"`
}

type callsResult struct {
	Program string             `json:"program"`
	All     float64            `json:"all"`    // for each race
	ByName  map[string]float64 `json:"byName"` // likewise; none below 0.05
}

// tracer counts system calls. Who is traced is some ten times as slow, so this is no
// part of the runs that are timed.
type tracer struct {
	path string // of strace
	dir  string // for what it writes
}

// newTracer returns nil where strace is missing, or not allowed.
func newTracer(r *report) (t *tracer, cleanup func(), err error) {
	path, err := exec.LookPath("strace")
	if err != nil {
		r.leaveOut("system calls: there is no strace (Debian: apt-get install strace)")
		return nil, func() {}, nil //nolint:nilerr // that it is not there is the answer
	}
	if out, err := exec.Command(path, "-f", "-c", "-o", os.DevNull, "true").CombinedOutput(); err != nil { //nolint:noctx // it ends by itself
		r.leaveOut(fmt.Sprintf("system calls: strace may not trace here: %v: %s", err, out))
		return nil, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "connrace-bench-")
	if err != nil {
		return nil, nil, err
	}
	return &tracer{path, dir}, func() { _ = os.RemoveAll(dir) }, nil
}

// count has all programs work on the case for a while.
func (t *tracer) count(c benchCase, programs []program, d time.Duration) (r callsRow, err error) {
	r = callsRow{Place: c.Place, Case: c.Name}
	for _, p := range programs {
		x, err := t.perRace(c, p, d)
		if err != nil {
			return r, fmt.Errorf("%s: system calls: %w", c.title(), err)
		}
		r.Results = append(r.Results, x)
	}
	return r, nil
}

// perRace is what a long run has beyond one that ends with its first race: the start
// of a program is in both.
func (t *tracer) perRace(c benchCase, p program, d time.Duration) (callsResult, error) {
	short, few, err := t.trace(c, p, 0)
	if err != nil {
		return callsResult{}, err
	}
	const attempts, tries, longer = 64, 4, 3
	const traced = 300 * time.Microsecond // an attempt, or less
	enough := max(1, attempts/c.Width)
	d = max(d, time.Duration(c.Width)*traced)
	for range tries {
		long, many, err := t.trace(c, p, d)
		if err != nil {
			return callsResult{}, err
		}
		if races := many - few; races >= float64(enough) {
			return callsResultOf(p.Name, short, long, races), nil
		}
		d *= longer
	}
	return callsResult{}, fmt.Errorf("%s made less than %d races within %v when it was traced", p.Name, enough, d/longer)
}

func callsResultOf(program string, short, long map[string]int, races float64) callsResult {
	const little = 0.05
	r := callsResult{Program: program, ByName: make(map[string]float64)}
	for name, n := range long {
		per := float64(n-short[name]) / races
		r.All += per
		if per >= little {
			r.ByName[name] = per
		}
	}
	return r
}

// trace returns how often each call was made, and how many races were over.
func (t *tracer) trace(c benchCase, p program, d time.Duration) (calls map[string]int, races float64, err error) {
	log := filepath.Join(t.dir, "calls")
	command := append([]string{t.path, "-f", "-c", "-o", log}, p.command(c, pace{measure: d})...)
	var s sample
	if err := output(command, &s); err != nil {
		return nil, 0, fmt.Errorf("%s under strace: %w", p.Name, err)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		return nil, 0, err
	}
	calls, err = parseCalls(string(text))
	return calls, s.Races, err
}

// parseCalls reads the table of strace -c:
//
//	% time     seconds  usecs/call     calls    errors syscall
//	------ ----------- ----------- --------- --------- ----------------
//	 62.50    0.000050          10         5         1 connect
//	------ ----------- ----------- --------- --------- ----------------
//	100.00    0.000080          16         5         1 total
//
// A call without errors has nothing in the column errors.
func parseCalls(table string) (map[string]int, error) {
	const callsColumn, fewest, most = 3, 5, 6
	calls := make(map[string]int)
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < fewest || len(fields) > most || fields[0] == "%" || strings.HasPrefix(fields[0], "-") {
			continue
		}
		name := fields[len(fields)-1]
		if name == "total" {
			return calls, nil
		}
		n, err := strconv.Atoi(fields[callsColumn])
		if err != nil {
			return nil, fmt.Errorf("strace: %q has no number of calls", line)
		}
		calls[name] += n
	}
	return nil, errors.New("strace: the table has no total")
}

func (r callsRow) print() {
	for _, x := range r.Results {
		fmt.Printf("  %-18s %8.2f system calls a race: %s\n", x.Program, x.All, x.most())
	}
}

// most names the calls that were made most often.
func (x callsResult) most() string {
	const shown = 6
	names := slices.SortedFunc(maps.Keys(x.ByName), func(a, b string) int {
		return cmp.Or(cmp.Compare(x.ByName[b], x.ByName[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, name := range names[:min(shown, len(names))] {
		parts = append(parts, fmt.Sprintf("%s %.2f", name, x.ByName[name]))
	}
	return strings.Join(parts, ", ")
}
