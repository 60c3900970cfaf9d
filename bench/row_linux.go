package main

import (
	"fmt"
	"slices"
)

// row is a case with what all programs needed for it.
type row struct {
	Place    string   `json:"place"`
	Case     string   `json:"case"`
	Goal     goal     `json:"goal"`
	Width    int      `json:"endpoints"`
	InFlight int      `json:"inFlight"`
	Results  []result `json:"results"`
}

// result is what one program needed, in microseconds for each race.
type result struct {
	Program     string   `json:"program"`
	CPU         spread   `json:"cpuUs"`       // user and system
	System      float64  `json:"systemUs"`    // the system's share, median
	Wall        spread   `json:"wallUs"`      // of the clock: the time measured by the races done
	Switches    float64  `json:"switches"`    // of context, median
	Allocations float64  `json:"allocations"` // median
	Failures    float64  `json:"failures"`    // attempts or races, in all samples
	Samples     []sample `json:"samples"`
}

// measure has the programs take turns.
func measure(c benchCase, programs []program, p pace) (row, error) {
	r := row{Place: c.Place, Case: c.Name, Goal: c.Goal, Width: c.Width, InFlight: c.InFlight}
	var turns []func() (sample, error)
	for _, program := range programs {
		turns = append(turns, func() (sample, error) { return program.run(c, p) })
	}
	samples, err := takeTurns(p.rounds, turns)
	if err != nil {
		return r, err
	}
	for i, program := range programs {
		r.Results = append(r.Results, resultOf(program.Name, samples[i]))
	}
	return r, nil
}

func resultOf(name string, samples []sample) result {
	r := result{Program: name, Samples: samples}
	per := func(value func(sample) float64) spread {
		return spreadBy(samples, func(s sample) float64 { return value(s) / s.Races })
	}
	r.CPU = per(func(s sample) float64 { return s.UserMicros + s.SystemMicros })
	r.System = per(func(s sample) float64 { return s.SystemMicros }).Median
	r.Wall = per(func(s sample) float64 { return s.WallMicros })
	r.Switches = per(func(s sample) float64 { return s.Switches }).Median
	r.Allocations = per(func(s sample) float64 { return s.Allocations }).Median
	for _, s := range samples {
		r.Failures += s.Failures
	}
	return r
}

// of returns what a program needed.
func (r row) of(program string) (result, bool) {
	i := slices.IndexFunc(r.Results, func(x result) bool { return x.Program == program })
	if i < 0 {
		return result{}, false
	}
	return r.Results[i], true
}

// ratio is that of two programs' median CPU times. It is not known where one of them
// was left out.
func (r row) ratio(program, to string) (ratio float64, known bool) {
	a, okA := r.of(program)
	b, okB := r.of(to)
	if !okA || !okB {
		return 0, false
	}
	return a.CPU.Median / b.CPU.Median, true
}

func (r row) title() string { return r.Place + ": " + r.Case }

func (r row) print() {
	fmt.Printf("\n%s, %d in flight\n", r.title(), r.InFlight)
	fmt.Printf("  %-18s %28s %7s %9s %9s %8s %8s\n", "per race", "CPU µs (min-max)", "by C", "by Dialer", "wall µs", "switches", "allocs")
	for _, x := range r.Results {
		fmt.Printf("  %-18s %28s %7s %9s %9s %8s %8s%s\n",
			x.Program, x.CPU, r.ratioText(x.Program, nameC), r.ratioText(x.Program, nameDialer),
			figure(x.Wall.Median), figure(x.Switches), figure(x.Allocations), failed(x.Failures))
	}
}

func (r row) ratioText(program, to string) string {
	ratio, known := r.ratio(program, to)
	if !known {
		return "-"
	}
	return figure(ratio)
}
