package main

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

// From microseconds to minutes and on any width, each mark stands at the column
// of its number, at least two numbers are shown, and nothing is too wide.
func TestTicks(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		exponent := 1 + 8*random.Float64() // 10 µs to 1000 s
		a := axis{
			end:   time.Duration(float64(time.Microsecond) * math.Pow(10, exponent)),
			width: leastChart + random.IntN(200),
		}
		checkTicks(t, a)
		if t.Failed() {
			return
		}
	}
}

func checkTicks(t *testing.T, a axis) {
	t.Helper()
	line := []rune(a.ticks())
	if len(line) > a.width {
		t.Errorf("%+v: %d columns in %q", a, len(line), string(line))
	}
	unit := map[string]time.Duration{"µs": time.Microsecond, "ms": time.Millisecond, "s": time.Second}[lastWord(string(line))]
	marks := 0
	for i, r := range line {
		if string(r) != tickMark {
			continue
		}
		marks++
		n := leadingNumber(t, string(line[i+1:]))
		if at := a.column(time.Duration(math.Round(n * float64(unit)))); at != i {
			t.Errorf("%+v: the mark of %v stands at column %d, not %d, in %q", a, n, i, at, string(line))
		}
	}
	if marks < 2 {
		t.Errorf("%+v: one number tells no scale: %q", a, string(line))
	}
}

func lastWord(s string) string { return s[strings.LastIndexByte(s, ' ')+1:] }

func leadingNumber(t *testing.T, s string) float64 {
	t.Helper()
	digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789."))]
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		t.Errorf("no number at the beginning of %q", s)
	}
	return n
}

func TestDraw(t *testing.T) {
	t.Parallel()
	a := axis{end: 100 * time.Millisecond, width: 11}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for _, c := range []struct {
		name string
		bars []bar
		want string
	}{
		{"from the middle to the end", []bar{{ms(50), ms(100), bodyAttempt, endGood}}, "     ━━━━━●"},
		{"too short for a body", []bar{{ms(20), ms(21), bodyAttempt, endBad}}, "  ×"},
		{"beyond the axis", []bar{{ms(90), ms(200), bodyAttempt, endGivenUp}}, "         ━┤"},
		{"before the axis", []bar{{ms(-10), ms(10), bodyQuery, endGood}}, "┄●"},
		{"the later covers the earlier", []bar{{0, ms(100), bodyAttempt, endGivenUp}, {ms(50), ms(80), bodyQuery, endGood}}, "━━━━━┄┄┄●━┤"},
	} {
		if got := a.draw(c.bars); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
