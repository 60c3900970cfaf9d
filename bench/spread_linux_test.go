package main

import (
	"errors"
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestSpread(t *testing.T) {
	if got := spreadOf([]float64{3, 1, 2}); got != (spread{2, 1, 3}) {
		t.Errorf("it is %+v", got)
	}
	if got := (spread{14.66, 9.994, 1234567.4}).String(); got != "14.7 (9.99-1,234,567)" {
		t.Errorf("it is %q", got)
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 0.036: "0.04", 9.994: "9.99", 9.996: "10.0", 99.94: "99.9", 99.96: "100", 999.4: "999", 999.6: "1,000", 123456: "123,456",
	} {
		if got := figure(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

// All take their first turn before one takes its second.
func TestTakeTurns(t *testing.T) {
	n := 0
	next := func() (int, error) { n++; return n, nil }
	got, err := takeTurns(3, []func() (int, error){next, next})
	if err != nil || !slices.Equal(got[0], []int{1, 3, 5}) || !slices.Equal(got[1], []int{2, 4, 6}) {
		t.Errorf("they are %v, %v", got, err)
	}
	broken := errors.New("broken")
	if _, err := takeTurns(3, []func() (int, error){next, func() (int, error) { return 0, broken }}); !errors.Is(err, broken) || n != 7 {
		t.Errorf("after %d turns the error is %v", n, err)
	}
}
