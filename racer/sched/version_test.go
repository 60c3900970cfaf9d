package sched

import (
	"slices"
	"testing"
)

// TestVersions: the same worlds under version 3 and version 2. These are all the
// differences that the table of Version tells, and two things in which there is none.
func TestVersions(t *testing.T) {
	tests := []struct {
		name   string
		lines  []string
		v3, v2 string // starts
	}{
		{
			"a host without a route for IPv6 waits for AAAA", // H3-12
			[]string{
				"only-routed=ipv4", "ask AAAA A",
				"A after 30ms: 192.0.2.1:443",
				"192.0.2.1:443 connects after 20ms",
			},
			"0 at 30ms", "0 at 80ms",
		},
		{
			"service information is waited for", // H3-09
			[]string{
				"ask HTTPS AAAA",
				"AAAA after 30ms: [2001:db8::1]:443", "HTTPS after 45ms: not_found",
				"[2001:db8::1]:443 connects after 20ms",
			},
			"0 at 45ms", "0 at 30ms",
		},
		{
			"a late address takes its place among all, or among the untried", // H3-59, H2-36
			[]string{
				"ask AAAA A",
				"AAAA after 0s: [2001:db8::a]:443 [2001:db8::b]:443 [2001:db8::c]:443", "A after 100ms: 192.0.2.1:443",
				"[2001:db8::a]:443 silent", "[2001:db8::b]:443 silent", "[2001:db8::c]:443 silent", "192.0.2.1:443 silent",
				"timeout=1s",
			},
			"0 at 0s, 3 at 250ms, 1 at 500ms, 2 at 750ms", "0 at 0s, 1 at 250ms, 3 at 500ms, 2 at 750ms",
		},
		{
			"progress extends the delay", // H3-50
			[]string{
				"given: [2001:db8::1]:443 192.0.2.1:443",
				"[2001:db8::1]:443 tcp up after 200ms, silent", "192.0.2.1:443 connects after 20ms",
			},
			"0 at 0s, 1 at 450ms", "0 at 0s, 1 at 250ms",
		},
		{
			"both: an error is an answer", // H3-10
			[]string{
				"ask AAAA A",
				"A after 10ms: 192.0.2.1:443", "AAAA after 20ms: failed",
				"192.0.2.1:443 connects after 20ms",
			},
			"0 at 20ms", "0 at 20ms",
		},
		{
			"both: what has gone does not start", // H2-35, H3-58
			[]string{
				"ask AAAA",
				"AAAA after 0s: [2001:db8::1]:443 [2001:db8::2]:443", "AAAA after 100ms: [2001:db8::1]:443",
				"[2001:db8::1]:443 silent", "timeout=1s",
			},
			"0 at 0s", "0 at 0s",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v3 := play(t, append(slices.Clone(tt.lines), "version=v3")...)
			v2 := play(t, append(slices.Clone(tt.lines), "version=v2")...)
			if got := resultOf(v3).starts; got != tt.v3 {
				t.Errorf("v3 starts %s, want %s", got, tt.v3)
			}
			if got := resultOf(v2).starts; got != tt.v2 {
				t.Errorf("v2 starts %s, want %s", got, tt.v2)
			}
		})
	}
}
