package main

import "testing"

// Every field a daemon may complain about has a name on the command line.
func TestFlagOf(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		"target":                               "the target",
		"candidates":                           "the list of candidates",
		"candidates[0].endpoint":               "candidate 1",
		"candidates[41].label":                 "the label of candidate 42",
		"rounds":                               "--rounds",
		"interval":                             "--interval",
		"options.strategy":                     "--strategy",
		"options.attempt_delay":                "--attempt-delay",
		"options.attempt_timeout":              "--attempt-timeout",
		"options.timeout":                      "--timeout",
		"options.max_in_flight":                "--max-in-flight",
		"selection.only_family":                "--ipv4-only or --ipv6-only",
		"selection.preferred_family":           "--prefer",
		"selection.resolution_delay":           "--resolution-delay",
		"selection.first_address_family_count": "--first-family-count",
		"selection.max_addresses_per_answer":   "--max-addresses",
	} {
		if got := flagOf(field); got != want {
			t.Errorf("flagOf(%q) is %q, want %q", field, got, want)
		}
	}
}
