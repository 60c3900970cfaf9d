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
	race, err := planRace(Target{Name: "192.0.2.1:1"}, Selection{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	req := ProbeRequest{Target: Target{Name: "192.0.2.1:1"}}
	if _, err := checkProbe(&req); err != nil {
		t.Fatal(err)
	}
	span := func(lo, hi any) string {
		short := strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace
		return short(fmt.Sprint(lo)) + " to " + short(fmt.Sprint(hi))
	}
	timeouts, caps := span(MinTimeout, MaxTimeout), span(1, MaxMaxInFlight)
	for option, want := range map[string][2]string{
		"options.strategy":                     {race.options.Strategy.String(), "staggered, sequential, all_at_once, first_then_all"},
		"options.attempt_delay":                {race.options.AttemptDelay.String(), span(sched.MinAttemptDelay, sched.MaxAttemptDelay)},
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
