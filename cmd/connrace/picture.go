package main

import (
	"fmt"
	"strings"
	"time"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// picture shows the samples of a candidate in what is left of its line. All
// candidates of a reply have the same scale, from zero to the slowest sample.
type picture struct {
	slowest time.Duration
	width   int
}

const (
	// leastPicture is the width below which there is no picture.
	leastPicture = 8
	// mostBar is as long as a bar gets: more columns tell no more.
	mostBar = 40
)

// Blocks of a picture, beside endBad for a failure.
const (
	levels       = "▁▂▃▄▅▆▇█" // the heights of a sample
	blockBar     = "▇"
	blockNothing = '·' // a round without a result
)

// bar shows the median as a length.
func (p picture) bar(m *pb.ProbedCandidate) string {
	median := m.GetStats().GetMedian().AsDuration()
	if median <= 0 || p.width < leastPicture {
		return ""
	}
	n := share(median, p.slowest, min(p.width, mostBar))
	return strings.Repeat(blockBar, max(n, 1))
}

// sparkline has a block for each round, or for the last ones that fit: its
// height is the time to connect.
func (p picture) sparkline(m *pb.ProbedCandidate) string {
	attempts := m.GetCandidate().GetAttempts()
	attempts = attempts[max(len(attempts)-p.width, 0):]
	var b strings.Builder
	for _, a := range attempts {
		b.WriteRune(p.block(a))
	}
	return b.String()
}

func (p picture) block(a *pb.Attempt) rune {
	switch a.GetOutcome() {
	case pb.Outcome_OUTCOME_CONNECTED:
		heights := []rune(levels)
		took := a.GetEndOffset().AsDuration() - a.GetStartOffset().AsDuration()
		return heights[max(share(took, p.slowest, len(heights))-1, 0)]
	case pb.Outcome_OUTCOME_FAILED, pb.Outcome_OUTCOME_TIMED_OUT, pb.Outcome_OUTCOME_CONNECTED_LATE:
		return endBad // connected late is after its time was up
	}
	return blockNothing
}

// legend says how long the highest block took, and how many rounds there was
// room for. A picture of failures alone needs none.
func (p picture) legend(rounds int) string {
	if p.slowest <= 0 || p.width <= 0 {
		return ""
	}
	text := "█ " + humanDuration(p.slowest)
	if rounds > p.width {
		text = fmt.Sprintf("the last %d: ", p.width) + text
	}
	return text
}

// share is v as a part of whole, in n steps.
func share(v, whole time.Duration, n int) int {
	if whole <= 0 {
		return 0
	}
	return min(int(float64(v)/float64(whole)*float64(n)+0.5), n)
}
