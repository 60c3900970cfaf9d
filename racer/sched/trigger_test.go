package sched

import (
	"fmt"
	"testing"
)

// TestTriggerOfALateAddress: an address that comes when its turn does, or a moment
// later. The trigger is what the start had to wait for last; of two things at the
// same moment it is not the address.
func TestTriggerOfALateAddress(t *testing.T) {
	tests := []struct {
		strategy Strategy
		first    string // what the first address does
		late     string // when the other one comes
		want     string
	}{
		{Staggered, "silent", "250ms", "first, attempt_delay"},
		{Staggered, "silent", "251ms", "first, new_address"},
		{Staggered, "refuses after 100ms", "100ms", "first, failure"},
		{Staggered, "refuses after 100ms", "101ms", "first, new_address"},
		{Staggered, "refuses after 300ms", "300ms", "first, attempt_delay"},
		{Sequential, "refuses after 300ms", "300ms", "first, failure"},
		{Sequential, "refuses after 300ms", "301ms", "first, new_address"},
		{Adaptive, "silent", "250ms", "first, attempt_delay"},
		{Adaptive, "silent", "251ms", "first, new_address"},
		{FirstThenAll, "silent", "250ms", "first, attempt_delay"},
		{FirstThenAll, "silent", "251ms", "first, new_address"},
		{FirstThenAll, "refuses after 100ms", "100ms", "first, failure"},
		{FirstThenAll, "refuses after 100ms", "101ms", "first, new_address"},
		{FamilyFallback, "silent", "250ms", "first, attempt_delay"},
		{FamilyFallback, "silent", "251ms", "first, new_address"},
		{FamilyFallback, "refuses after 100ms", "100ms", "first, failure"},
		{FamilyFallback, "refuses after 100ms", "101ms", "first, new_address"},
		{AllAtOnce, "silent", "0s", "all_at_once, all_at_once"},
		{AllAtOnce, "silent", "1ms", "all_at_once, new_address"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%v, %s, %s", tt.strategy, tt.first, tt.late), func(t *testing.T) {
			h := play(t,
				fmt.Sprintf("strategy=%v", tt.strategy),
				"ask AAAA A",
				"AAAA after 0s: [2001:db8::1]:443",
				fmt.Sprintf("A after %s: 192.0.2.1:443", tt.late),
				"[2001:db8::1]:443 "+tt.first,
				"192.0.2.1:443 connects after 20ms",
			)
			if got := details["triggers"](h); got != tt.want {
				t.Errorf("%s, want %s\n%s", got, tt.want, h.text())
			}
		})
	}
}
