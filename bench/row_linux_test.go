package main

import (
	"slices"
	"testing"
)

func TestResult(t *testing.T) {
	got := resultOf("x", []sample{
		{UserMicros: 10, SystemMicros: 30, WallMicros: 100, Races: 10, Failures: 1, Switches: 20, Allocations: 50},
		{UserMicros: 30, SystemMicros: 60, WallMicros: 90, Races: 10, Failures: 2, Switches: 30, Allocations: 50},
		{UserMicros: 10, SystemMicros: 10, WallMicros: 300, Races: 10, Switches: 40, Allocations: 60},
	})
	if got.CPU != (spread{4, 2, 9}) || got.Wall != (spread{10, 9, 30}) || got.System != 3 ||
		got.Switches != 3 || got.Allocations != 5 || got.Failures != 3 {
		t.Errorf("it is %+v", got)
	}
}

// A bar is there for the rows it is meant for, and not where a program was left out.
func TestBars(t *testing.T) {
	costs := func(c, bare, racer, dialer float64) []result {
		return []result{
			{Program: nameC, CPU: spread{Median: c}},
			{Program: nameBare, CPU: spread{Median: bare}, Allocations: 64},
			{Program: nameRacer, CPU: spread{Median: racer}},
			{Program: nameDialer, CPU: spread{Median: dialer}},
		}
	}
	var bars []bar
	for _, r := range []row{
		{Place: loopbackName, Case: "two", Width: 2, Results: costs(10, 12, 20, 40)},
		{Place: "link", Case: "eight", Width: 8, Results: costs(10, 11, 20, 40)},
		{Place: "link", Case: "without C", Width: 8, Results: costs(10, 11, 20, 40)[1:]},
		{Place: loopbackName, Case: "many", Width: maxWidth, Results: costs(10, 11, 20, 40)},
	} {
		bars = append(bars, r.bars()...)
	}
	want := []bar{
		{"loopback: two", nameBare, nameC, 1.2, 1.15},
		{"link: eight", nameBare, nameC, 1.1, 1.15},
		{"link: eight", nameBare, nameDialer, 0.275, 0.3},
		{"link: eight", nameRacer, nameC, 2, 1.5},
		{"link: eight", nameRacer, nameDialer, 0.5, 0.3},
		{"link: without C", nameBare, nameDialer, 0.275, 0.3},
		{"link: without C", nameRacer, nameDialer, 0.5, 0.3},
		{"loopback: many", nameBare, nameC, 1.1, 1.15},
		{"loopback: many, allocations for each attempt", nameBare, "", 0.5, 0.1},
	}
	if !slices.Equal(bars, want) {
		t.Errorf("there are\n%+v\nwant\n%+v", bars, want)
	}
	if !want[1].met() || want[0].met() || (bar{Value: 1, Limit: 1}).verdict() != "met" {
		t.Error("a bar is met by what it allows at most, and by nothing more")
	}
}
