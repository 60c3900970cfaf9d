package sim

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestWriteCSV(t *testing.T) {
	rows := []Row{
		{
			World: "mixed", Dialer: "all, at \"once\"", Worlds: 9966, Impossible: 34, Failures: 12,
			P50: 42571 * time.Microsecond, P90: 160 * ms, P99: Never, P999: Never,
			Regret: 1500 * time.Microsecond, SYNs: 3.24801, InVain: 0.00004, HalfOpen: 2.18,
		},
		{World: "slow", Dialer: "impatient", Worlds: 2, Failures: 2, P50: Never, P90: Never, P99: Never, P999: Never, Regret: 7 * ms},
		{World: "dead", Dialer: "any", Impossible: 3},
	}
	var b strings.Builder
	if err := WriteCSV(&b, rows); err != nil {
		t.Fatal(err)
	}
	want := `world,dialer,worlds,impossible,failures,p50_ms,p90_ms,p99_ms,p999_ms,regret_ms,syns_per_connect,in_vain_per_connect,half_open_per_connect
mixed,"all, at ""once""",9966,34,12,42.571,160.000,inf,inf,1.500,3.2480,0.0000,2.1800
slow,impatient,2,0,2,inf,inf,inf,inf,7.000,,,
dead,any,0,3,0,,,,,,,,
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// What can't be written is an error.
func TestNowhereToWrite(t *testing.T) {
	rows := []Row{{World: strings.Repeat("long ", 2000), Dialer: "d", Worlds: 1, P50: ms, P99: ms, SYNs: 1}}
	if err := WriteCSV(full{}, rows); !errors.Is(err, errFull) {
		t.Errorf("CSV: %v", err)
	}
	if err := WriteSVG(full{}, rows); !errors.Is(err, errFull) {
		t.Errorf("SVG: %v", err)
	}
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
