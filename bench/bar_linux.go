package main

import "fmt"

// bar is a limit as it was met or missed.
type bar struct {
	Case    string  `json:"case"`
	Program string  `json:"program"`
	To      string  `json:"to"` // the program whose figure is 1; empty: the value is no ratio
	Value   float64 `json:"value"`
	Limit   float64 `json:"limit"` // at most
}

func (b bar) met() bool { return b.Value <= b.Limit }

func (b bar) verdict() string {
	if b.met() {
		return "met"
	}
	return "MISSED"
}

func printBars(bars []bar) {
	fmt.Printf("\nbars: what is to be at most\n")
	for _, b := range bars {
		by := ""
		if b.To != "" {
			by = "by " + b.To
		}
		fmt.Printf("  %-6s  %-22s %-28s %8s  at most %-7s %s\n", b.verdict(), b.Program, by, figure(b.Value), figure(b.Limit), b.Case)
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

// allocationLimit is that of the engine, for each attempt. What a race begins with is
// spread over its attempts, so this holds where there are many.
const allocationLimit = 0.1

func (r row) bars() (bars []bar) {
	for _, l := range limits {
		if ratio, known := r.ratio(l.program, l.to); known && l.holds(r) {
			bars = append(bars, bar{Case: r.title(), Program: l.program, To: l.to, Value: ratio, Limit: l.most})
		}
	}
	if x, known := r.of(nameBare); known && (r.Width == 1 || r.Width >= maxWidth) {
		bars = append(bars, bar{
			Case: r.title() + ", allocations for each attempt", Program: nameBare, Value: x.Allocations / float64(r.Width), Limit: allocationLimit,
		})
	}
	return bars
}
