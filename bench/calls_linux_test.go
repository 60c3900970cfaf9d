package main

import (
	"maps"
	"reflect"
	"strings"
	"testing"
)

const callsTable = `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 62.50    0.000050          10        50         1 connect
 37.50    0.000030          30        10           epoll_wait
  0.00    0.000000           0         1         1 access
------ ----------- ----------- --------- --------- ----------------
100.00    0.000080          16        61         2 total
`

func TestParseCalls(t *testing.T) {
	got, err := parseCalls("strace: Process 7 attached\n" + callsTable)
	want := map[string]int{"connect": 50, "epoll_wait": 10, "access": 1}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("there are %v, %v, want %v", got, err, want)
	}
	// Newer ones leave out the number of errors of the total where there are none.
	if got, err := parseCalls(strings.Replace(callsTable, "2 total", "  total", 1)); err != nil || !maps.Equal(got, want) {
		t.Errorf("there are %v, %v, want %v", got, err, want)
	}
	for name, text := range map[string]string{
		"nothing":   "",
		"cut off":   callsTable[:strings.LastIndex(callsTable, "100.00")],
		"no number": strings.Replace(callsTable, "  50 ", "many ", 1),
	} {
		if got, err := parseCalls(text); err == nil {
			t.Errorf("%s: there are %v", name, got)
		}
	}
}

// What both runs have is the start of the program and not the race's.
func TestCallsOfARace(t *testing.T) {
	got := callsResultOf("x", map[string]int{"mmap": 20, "connect": 10}, map[string]int{"mmap": 21, "connect": 90, "close": 40}, 40)
	want := callsResult{Program: "x", All: 3.025, ByName: map[string]float64{"connect": 2, "close": 1}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("it is %+v, want %+v", got, want)
	}
	if text := got.most(); text != "connect 2.00, close 1.00" {
		t.Errorf("the most are %q", text)
	}
}

// wantLeftOut holds that what this machine lacks is left out by name.
func wantLeftOut(t *testing.T, r *report, what string) {
	t.Helper()
	if !strings.Contains(strings.Join(r.LeftOut, "; "), what) {
		t.Errorf("%s is missing, and what is left out is %q", what, r.LeftOut)
	}
}

// A C program that makes one connect after the other makes two calls for each.
func TestTracer(t *testing.T) {
	t.Chdir("..")
	r := new(report)
	tracer, removeTraces, err := newTracer(r)
	if err != nil {
		t.Fatal(err)
	}
	defer removeTraces()
	if tracer == nil {
		wantLeftOut(t, r, "strace")
		return
	}
	programs, removePrograms, err := availablePrograms(self(t), "", r)
	if err != nil {
		t.Fatal(err)
	}
	defer removePrograms()
	if programs[0].Name != nameC {
		wantLeftOut(t, r, "C")
		return
	}
	places, err := openPlaces(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tracer.count(places[0].cases()[0], programs[:1], 50*ms)
	if err != nil {
		t.Fatal(err)
	}
	if n := got.Results[0].ByName["connect"]; n < 1.9 || n > 2.1 {
		t.Errorf("there are %v connects a race, want one that connects and one that dissolves", n)
	}
}
