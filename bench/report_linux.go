package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// report is a whole run.
type report struct {
	Machine machine `json:"machine"`
	Rounds  int     `json:"rounds"`
	Sample  string  `json:"sample"` // how long each one is
	Rows    []row   `json:"rows"`
	Bars    []bar   `json:"bars"`
}

func newReport(p pace) *report {
	return &report{Machine: thisMachine(), Rounds: p.rounds, Sample: p.measure.String()}
}

// machine is where a run was.
type machine struct {
	Cores     int    `json:"cores"`
	Processor string `json:"processor"`
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
}

func (m machine) String() string {
	return fmt.Sprintf("%d cores (%s), Linux %s, %s", m.Cores, m.Processor, m.Kernel, m.Go)
}

func thisMachine() machine {
	m := machine{Cores: runtime.NumCPU(), Processor: processor(), Go: runtime.Version()}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	return m
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // without it the processor is not known
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

func (r *report) add(x row) {
	r.Rows = append(r.Rows, x)
	for _, l := range limits {
		if ratio, known := x.ratio(l.program, l.to); known && l.holds(x) {
			r.Bars = append(r.Bars, bar{
				Case: x.Place + ": " + x.Case, Program: l.program, To: l.to, Ratio: ratio, Limit: l.most,
			})
		}
	}
}

// limit is how much of another program's CPU time one may need.
type limit struct {
	program, to string
	most        float64
	holds       func(row) bool // for which rows
}

var limits = []limit{
	{nameBare, nameC, 1.15, func(row) bool { return true }},
	{nameBare, nameDialer, 0.3, overLink},
	{nameRacer, nameC, 1.5, ofEight},
	{nameRacer, nameDialer, 0.3, func(r row) bool { return ofEight(r) && overLink(r) }},
}

func overLink(r row) bool { return r.Place != loopbackName }

func ofEight(r row) bool { return r.Width == 8 }

// bar is a limit as it was met or missed.
type bar struct {
	Case    string  `json:"case"`
	Program string  `json:"program"`
	To      string  `json:"to"`
	Ratio   float64 `json:"ratio"`
	Limit   float64 `json:"limit"`
}

func (r *report) printBars() {
	fmt.Printf("\nCPU time by that of others, and what it is to be at most\n")
	for _, b := range r.Bars {
		verdict := "met"
		if b.Ratio > b.Limit {
			verdict = "MISSED"
		}
		fmt.Printf("  %-16s by %-10s %5.2f  at most %.2f  %-6s  %s\n", b.Program, b.To, b.Ratio, b.Limit, verdict, b.Case)
	}
}

// write writes the whole report; no file is fine.
func (r *report) write(file string) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
