package main

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// A report that was written is the one that is read, and its tables have what was
// measured.
func TestMarkdown(t *testing.T) {
	r := &report{
		Machine: machine{2, "a processor", "6.1", "go1.26"}, Rounds: 7, Sample: "250ms", LeftOut: []string{"curl: it is not installed"},
		Rows: []row{
			{Place: "loopback", Case: "connect", Width: 1, Results: []result{
				{Program: nameC, CPU: spread{10, 9, 12}, Wall: spread{11, 10, 13}},
				{Program: nameDialer, CPU: spread{25, 20, 1234}, Wall: spread{26, 20, 30}, Switches: 1.5, Allocations: 16},
			}},
			{Place: "link", Case: "race of 2", Width: 2, Results: []result{{Program: nameDialer, CPU: spread{1, 1, 1}}}},
		},
		Calls:      []callsRow{{Place: "loopback", Case: "connect", Results: []callsResult{{Program: nameC, All: 2}, {Program: nameDialer, All: 14.25}}}},
		Pending:    &pendingRow{Attempts: 9, Results: []pendingResult{{Program: nameC, Resident: spread{5, 4, 6}}}},
		Probers:    &callRow{Title: "Probers", Unit: "an address", Results: []callResult{{Name: "one", CPU: spread{3, 2, 4}, PerSecond: spread{5000, 4000, 6000}}}},
		RoundTrips: []roundTripRow{{Handshake: 5, Kernel: spread{5.1, 5, 6}, Process: spread{6, 5, 9}, KernelP90: 5.5, ProcessP90: 8}},
		Fetches:    []fetchRow{{Backends: 4, Bound: 10_000, Results: []fetchResult{{Program: "curl", Fetches: 300, Failures: 2, Median: 12, P90: 5012, P99: 10_000, Max: 10_000}}}},
		Bars:       []bar{{"loopback: connect", nameBare, nameC, 1.2, 1.15}, {"memory", nameBare, "", 100, 512}},
	}
	file := filepath.Join(t.TempDir(), "bench.json")
	if err := r.write(file); err != nil {
		t.Fatal(err)
	}
	read, err := readReport(file)
	if err != nil || !reflect.DeepEqual(read, r) {
		t.Fatalf("it is %+v, %v", read, err)
	}
	var text strings.Builder
	if err := read.markdown(&text); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"2 cores (a processor), Linux 6.1, go1.26; 7 samples of 250ms each.",
		"Left out: curl: it is not installed.",
		"CPU µs for each race, loopback: median (least-greatest), **by C**:",
		"|  | C | net.Dialer |",
		"| --- | --- | --- |",
		"| connect | 10.0 (9.00-12.0) | 25.0 (20.0-1,234) **2.50** |",
		"| race of 2 | 1.00 (1.00-1.00) |",
		"| loopback: connect: allocations | - | 16.0 |",
		"| loopback: connect: wall µs | 11.0 | 26.0 |",
		"| loopback: connect | 2.00 | 14.2 |",
		"| C | - | 5.00 (4.00-6.00) |",
		"| one | 3.00 (2.00-4.00) | 5,000 (4,000-6,000) | 0 |",
		"| 5 ms, idle | 5.10 (5.00-6.00) | +2.0 % | 5.50 | 6.00 (5.00-9.00) | +20.0 % | 8.00 |",
		"| curl | 300 | 2 | 12.0 | 5,012 | >10,000 | >10,000 |",
		"| loopback: connect | internal/connect by C | 1.20 | 1.15 | MISSED |",
		"| memory | internal/connect | 100 | 512 | met |",
	} {
		if !strings.Contains(text.String(), "\n"+line+"\n") && !strings.HasPrefix(text.String(), line+"\n") {
			t.Errorf("there is no line %q in\n%s", line, text.String())
		}
	}
}
