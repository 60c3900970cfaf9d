package racer

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/connrace/connrace/racer/sched"
)

// TestReferenceTable holds the defaults and ranges in docs/reference.md against
// what requests really get.
func TestReferenceTable(t *testing.T) {
	race, err := planRace(Target{Name: "192.0.2.1:1"}, Selection{}, Options{}, "")
	if err != nil {
		t.Fatal(err)
	}
	req := ProbeRequest{Target: Target{Name: "192.0.2.1:1"}}
	if _, err := checkProbe(&req); err != nil {
		t.Fatal(err)
	}
	of := func(s sched.Strategy) Options {
		p, err := planRace(Target{Name: "192.0.2.1:1"}, Selection{}, Options{Strategy: s}, "")
		if err != nil {
			t.Fatal(err)
		}
		return p.options
	}
	span := func(lo, hi any) string {
		short := strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace
		return short(fmt.Sprint(lo)) + " to " + short(fmt.Sprint(hi))
	}
	timeouts, caps := span(MinTimeout, MaxTimeout), span(1, MaxMaxInFlight)
	for option, want := range map[string][2]string{
		"options.strategy": {race.options.Strategy.String(), joined(everyStrategy...)},
		"options.version":  {race.options.Version.String(), joined(sched.V3, sched.V2)},
		"options.attempt_delay": {
			fmt.Sprintf("%v; family_fallback: %v", race.options.AttemptDelay, of(sched.FamilyFallback).AttemptDelay),
			span(sched.MinAttemptDelay, sched.MaxAttemptDelay),
		},
		"options.attempt_delay_multiplier": {fmt.Sprint(race.options.DelayMultiplier), span(1, MaxDelayMultiplier)},
		"options.adaptive_quantile":        {fmt.Sprintf("%v (the retransmission timeout)", of(sched.Adaptive).Quantile), span(0, 1)},
		"options.max_backup_attempts": {
			fmt.Sprintf("%d; sequential: %d", *race.options.MaxBackups, *of(sched.Sequential).MaxBackups), span(0, MaxMaxBackups),
		},
		"options.grace":             {race.options.Grace.String(), span("0s", MaxGrace)},
		"candidates[].expected_rtt": {"unknown", span(MinKnown, MaxExpectedRTT)},
		"candidates[].past_connect_durations": {
			"none", fmt.Sprintf("%s each, at most %d", span(MinKnown, MaxAttemptTimeout), MaxPastConnects),
		},
		"options.attempt_timeout (race)":       {race.options.AttemptTimeout.String(), span(MinTimeout, MaxAttemptTimeout)},
		"options.timeout (race)":               {race.options.Timeout.String(), timeouts},
		"options.max_in_flight (race)":         {fmt.Sprint(race.options.MaxInFlight), caps},
		"selection.first_address_family_count": {fmt.Sprint(race.selection.FirstFamilyCount), span(1, MaxFirstFamily)},
		"selection.resolution_delay":           {race.selection.ResolutionDelay.String(), span("0s", MaxResolutionDelay)},
		"selection.max_addresses_per_answer":   {fmt.Sprint(race.selection.MaxAddressesPerAnswer), span(1, MaxMaxAddresses)},
		"options.attempt_timeout (probe)":      {req.Options.AttemptTimeout.String(), span(MinTimeout, MaxAttemptTimeout)},
		"options.timeout (probe, each round)":  {req.Options.Timeout.String(), timeouts},
		"options.max_in_flight (probe)":        {fmt.Sprint(req.Options.MaxInFlight), caps},
		"rounds":                               {fmt.Sprint(req.Rounds), span(1, MaxRounds)},
		"interval":                             {req.Interval.String(), span(MinInterval, MaxInterval)},
	} {
		if got := referenceRow(t, option); got != want {
			t.Errorf("docs/reference.md says of %s: default %q, allowed %q; the code has %q, %q", option, got[0], got[1], want[0], want[1])
		}
	}
}

// joined are words as the table lists them.
func joined[T fmt.Stringer](values ...T) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = v.String()
	}
	return strings.Join(words, ", ")
}

// referenceRow returns the default and the range an option has in the table.
func referenceRow(t *testing.T, option string) [2]string {
	t.Helper()
	page, err := os.ReadFile("../docs/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) > 5 && strings.TrimSpace(cells[2]) == option {
			return [2]string{strings.TrimSpace(cells[3]), strings.TrimSpace(cells[4])}
		}
	}
	t.Errorf("docs/reference.md has no row for %s", option)
	return [2]string{}
}
