package main

import (
	"net/netip"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
)

func TestOwnPages(t *testing.T) {
	if got, err := ownPages("1000 300 120 5 0 100 0\n"); got != 180 || err != nil {
		t.Errorf("there are %d, %v", got, err)
	}
	for _, text := range []string{"", "1 2", "1 two 3", "1 2 three"} {
		if got, err := ownPages(text); err == nil {
			t.Errorf("%q has %d", text, got)
		}
	}
}

// All programs hold the attempts they are to hold, and tell of memory.
func TestPendingPrograms(t *testing.T) {
	t.Chdir("..")
	programs, cleanup, err := availablePrograms(self(t), "", new(report))
	if err != nil {
		t.Fatal(err)
	}
	defer cleanup()
	c := benchCase{Goal: all, Width: 100, InFlight: 3}
	for i := range c.Width {
		hole, err := netlab.Swallow(netip.AddrPortFrom(nth([2]byte{127, 9}, i), 0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = hole.Close() })
		c.Endpoints = append(c.Endpoints, hole.Addr())
	}
	row, err := measurePending(c, programs, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range row.Results {
		if x.Program != nameC && (x.InUse == nil || x.InUse.Median <= 0 || x.InUse.Median > 100_000) {
			t.Errorf("%s has %+v in use", x.Program, x.InUse)
		}
		if x.Resident.Median < 0 {
			t.Errorf("%s has %+v resident", x.Program, x.Resident)
		}
	}
	if bars := row.bars(); len(bars) != 2 || bars[0].Program != nameBare || bars[1].Program != nameRacer {
		t.Errorf("the bars are %+v", bars)
	}
}

func TestPendingBars(t *testing.T) {
	r := pendingRow{Attempts: 10, Results: []pendingResult{
		{Program: nameC}, {Program: nameBare, InUse: &spread{Median: 512}}, {Program: nameDialer, InUse: &spread{Median: 5000}},
	}}
	bars := r.bars()
	if len(bars) != 1 || bars[0].Value != 512 || !bars[0].met() {
		t.Errorf("the bars are %+v", bars)
	}
}
