package main

import (
	"strconv"
	"strings"
	"time"
)

// axis maps offsets onto columns: zero is the first column, end the last.
type axis struct {
	end   time.Duration
	width int
}

// column returns the column of an offset; one outside is put at the edge.
func (a axis) column(d time.Duration) int {
	if a.end <= 0 || d <= 0 {
		return 0
	}
	at := int(float64(d)/float64(a.end)*float64(a.width-1) + 0.5)
	return min(at, a.width-1)
}

// tickMark stands at the column of the number that follows it.
const tickMark = "╵"

// ticks is a line with round numbers at their columns; the last has the unit:
// "╵0      ╵50     ╵100 ms".
func (a axis) ticks() string {
	step, unit := a.step(), a.unit()
	line := ""
	for at := time.Duration(0); ; at += step {
		line += pad(a.column(at) - columns(line))
		next := at + step
		if next > a.end || a.column(next)+columns(unit.tick(next)+unit.name) > a.width {
			return line + unit.tick(at) + unit.name
		}
		line += unit.tick(at)
	}
}

// step is the smallest of 1, 2 or 5 times a power of ten microseconds that
// leaves room for its labels.
func (a axis) step() time.Duration {
	for power := time.Microsecond; ; power *= 10 {
		for _, n := range []int{1, 2, 5} {
			step := time.Duration(n) * power
			if a.column(step) >= a.room(step) || step > a.end {
				return step
			}
		}
	}
}

// room is what the longest label of a step takes, with a gap; a little more for
// short ones, so that the line is not crowded.
func (a axis) room(step time.Duration) int {
	const least = 8
	unit, last := a.unit(), a.end-a.end%step
	longest := max(columns(unit.tick(last)), columns(unit.tick(last-step)))
	return max(longest+len(gap), least)
}

// timeUnit is what the numbers of an axis count.
type timeUnit struct {
	size time.Duration
	name string
}

// unit fits the end of the axis.
func (a axis) unit() timeUnit {
	switch {
	case a.end >= 2*time.Second:
		return timeUnit{time.Second, " s"}
	case a.end >= 2*time.Millisecond:
		return timeUnit{time.Millisecond, " ms"}
	default:
		return timeUnit{time.Microsecond, " µs"}
	}
}

// tick is the mark and the number of an offset.
func (u timeUnit) tick(at time.Duration) string {
	return tickMark + strconv.FormatFloat(float64(at)/float64(u.size), 'f', -1, 64)
}

// bar is a span of time on the axis. Its last column shows how it ended.
type bar struct {
	from, to  time.Duration
	body, end rune
}

// Bodies and ends of bars. They tell without colour what happened.
const (
	bodyQuery   = '┄'
	bodyAttempt = '━'
	endGood     = '●' // answered with addresses, connected
	endLate     = '○' // connected, but not first
	endBad      = '×' // failed
	endGivenUp  = '┤' // still silent when it was given up
)

// draw puts bars onto one line; a later one covers an earlier one.
func (a axis) draw(bars []bar) string {
	line := []rune(pad(a.width))
	for _, b := range bars {
		from, to := a.column(b.from), a.column(b.to)
		for i := from; i < to; i++ {
			line[i] = b.body
		}
		line[to] = b.end
	}
	return strings.TrimRight(string(line), " ")
}
