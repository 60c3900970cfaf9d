package main

import (
	"fmt"
	"net/netip"
	"slices"
)

// goal says when a race is over.
type goal string

const (
	first goal = "first" // when the first attempt has connected
	all   goal = "all"   // when every attempt is over: a probe
)

// benchCase is what the programs do: races of all Endpoints at once, InFlight of them
// side by side. One endpoint is a plain connect.
type benchCase struct {
	Place, Name string
	Goal        goal
	Width       int
	Endpoints   []netip.AddrPort
	InFlight    int
	Counted     bool // also its system calls
}

func (c benchCase) title() string { return c.Place + ": " + c.Name }

// widths are those of races.
var widths = []int{2, 8, 32, maxWidth}

// countedWidth is that of the races whose system calls are counted.
const countedWidth = 8

func (p place) cases() []benchCase {
	const connects, races, probes = 64, 8, 1 // in flight
	cases := []benchCase{{p.name, "connect", first, 1, p.good[:1], connects, true}}
	for _, n := range widths {
		counted := n == countedWidth
		cases = append(cases,
			benchCase{p.name, fmt.Sprintf("race of %d, all good", n), first, n, p.good[:n], races, counted},
			benchCase{p.name, fmt.Sprintf("race of %d, one good", n), first, n, slices.Concat(p.dead[:n-1], p.good[:1]), races, counted})
	}
	return append(cases, benchCase{p.name, fmt.Sprintf("probe of %d", len(p.many)), all, len(p.many), p.many, probes, true})
}
