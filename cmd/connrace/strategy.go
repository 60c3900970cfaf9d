package main

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// What the heading, tables and notes say about when attempts start.

// strategyWords name the strategy and what belongs to it, as far as it is not the
// usual.
func strategyWords(o *pb.RaceOptions) string {
	parts := []string{strategyWord(o.GetStrategy())}
	switch delay := humanOf(o.GetAttemptDelay()); {
	case o.GetStrategy() == pb.Strategy_STRATEGY_ADAPTIVE:
		parts = append(parts, delay+" where nothing is known")
	case delay != "":
		parts = append(parts, "attempt delay "+delay)
	case o.GetStrategy() == pb.Strategy_STRATEGY_SEQUENTIAL:
		parts = append(parts, "attempt timeout "+humanOf(o.GetAttemptTimeout()))
	}
	if m := o.GetAttemptDelayMultiplier(); m > 1 {
		parts = append(parts, "multiplier "+number(m))
	}
	if o.GetGrace().AsDuration() > 0 {
		parts = append(parts, "grace "+humanOf(o.GetGrace()))
	}
	if o.GetVersion() == pb.HappyEyeballsVersion_HAPPY_EYEBALLS_VERSION_V2 {
		parts = append(parts, "Happy Eyeballs v2")
	}
	return strings.Join(parts, ", ")
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// delayed is what has a delay of its own: an attempt, made or scheduled.
type delayed interface {
	GetAttemptDelay() *durationpb.Duration
	GetDelayBasis() pb.DelayBasis
}

func attemptDelays(candidates []*pb.Candidate) []delayed {
	var all []delayed
	for _, c := range candidates {
		for _, a := range c.GetAttempts() {
			all = append(all, a)
		}
	}
	return all
}

func scheduledDelays(schedule []*pb.ScheduledStart) []delayed {
	all := make([]delayed, len(schedule))
	for i, st := range schedule {
		all[i] = st
	}
	return all
}

// variedDelays says whether the delays are worth a column: the heading has the one
// that was configured.
func variedDelays(o *pb.RaceOptions, all []delayed) bool {
	return slices.ContainsFunc(all, func(d delayed) bool {
		return d.GetAttemptDelay() != nil && (d.GetDelayBasis() != pb.DelayBasis_DELAY_BASIS_CONFIGURED ||
			d.GetAttemptDelay().AsDuration() != o.GetAttemptDelay().AsDuration())
	})
}

// delayCell says how long the next attempt waits for this one, and why so long
// unless the heading says it: it has the delay where nothing is known.
func delayCell(d delayed, varied bool) cell {
	if !varied || d.GetAttemptDelay() == nil {
		return cell{}
	}
	words, basis := humanOf(d.GetAttemptDelay()), basisWord(d.GetDelayBasis())
	if basis == "" || d.GetDelayBasis() == pb.DelayBasis_DELAY_BASIS_NOTHING_KNOWN {
		return text(words)
	}
	return text(words + " (" + basis + ")")
}

// delayNotes explain where delays come from, each origin once.
func (p *page) delayNotes(o *pb.RaceOptions, all []delayed) {
	for _, basis := range []pb.DelayBasis{
		pb.DelayBasis_DELAY_BASIS_RETRANSMISSION_TIMEOUT, pb.DelayBasis_DELAY_BASIS_QUANTILE,
	} {
		var of []delayed
		for _, d := range all {
			if d.GetDelayBasis() == basis {
				of = append(of, d)
			}
		}
		if len(of) > 0 {
			p.note("delay", basisWord(basis)+": "+span(of)+", "+basisExplanation(basis, o), dim)
		}
	}
}

func basisExplanation(b pb.DelayBasis, o *pb.RaceOptions) string {
	if b == pb.DelayBasis_DELAY_BASIS_QUANTILE {
		return "within which " + number(o.GetAdaptiveQuantile()*100) + " % of an address's past connects were over"
	}
	return "the retransmission timeout of RFC 6298 for what is known of an address"
}

// span is the shortest and the longest of the delays.
func span(all []delayed) string {
	least, most := all[0].GetAttemptDelay().AsDuration(), all[0].GetAttemptDelay().AsDuration()
	for _, d := range all {
		least, most = min(least, d.GetAttemptDelay().AsDuration()), max(most, d.GetAttemptDelay().AsDuration())
	}
	if humanDuration(least) == humanDuration(most) {
		return humanDuration(most)
	}
	return humanDuration(least) + " to " + humanDuration(most)
}
