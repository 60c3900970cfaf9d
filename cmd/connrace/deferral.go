package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// deferralNotes say which attempts had to wait for the daemon's limits, and for which.
func (p *page) deferralNotes(candidates []*pb.Candidate) {
	waited := make(map[pb.DeferReason][]*pb.Deferral)
	for _, c := range candidates {
		for _, a := range c.GetAttempts() {
			if d := a.GetDeferral(); d != nil {
				waited[d.GetReason()] = append(waited[d.GetReason()], d)
			}
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(waited)) {
		p.note("deferred", deferralWords(reason, waited[reason]), yellow)
	}
}

func deferralWords(reason pb.DeferReason, waits []*pb.Deferral) string {
	var longest time.Duration
	for _, d := range waits {
		longest = max(longest, d.GetDuration().AsDuration())
	}
	return fmt.Sprintf("%s had to wait for the daemon's limit %s, up to %s",
		plural(len(waits), "attempt"), limitWord(reason), humanDuration(longest))
}

// limitWord is the limit as the daemon's flags call it.
func limitWord(r pb.DeferReason) string {
	word := enumWord(r.String(), "DEFER_REASON_")
	word = strings.ReplaceAll(word, " rate", " per second")
	if word == "rate" {
		word = "per second"
	}
	return "\"" + word + "\""
}

// sharingWords say how the race was shared; empty: it was this caller's alone.
func sharingWords(s *pb.Sharing) string {
	switch {
	case s == nil:
		return ""
	case s.GetCallerCount() == 1:
		return "with nobody"
	}
	return fmt.Sprintf("by %s; this one joined at %s", plural(int(s.GetCallerCount()), "caller"), humanOf(s.GetJoinOffset()))
}
