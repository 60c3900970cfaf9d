package sched

import (
	"fmt"
	"strings"
	"testing"
)

// TestHandshakeIsHeld: what service information means to the client, in all
// combinations. TCP is up at 60 ms, and HTTPS answers at 400. A handshake waits for
// it only when all three things are true (H3-51, H3-56); an error ends the race
// whenever DNS was protected (H3-55).
func TestHandshakeIsHeld(t *testing.T) {
	tests := []struct {
		service     string
		held, fatal bool // what happens to the handshake, and what an error does
	}{
		{"", false, false},
		{"protected", false, true},
		{"usable", false, false},
		{"relied", false, false},
		{"protected,usable", false, true},
		{"protected,relied", false, true},
		{"usable,relied", false, false},
		{"protected,usable,relied", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.service, func(t *testing.T) {
			proceeds, end := "0 at 60ms", "won at 560ms"
			if tt.held {
				proceeds, end = "0 at 400ms", "won at 900ms"
			}
			for _, answer := range []string{"service", "not_found"} {
				checkHandshake(t, tt.service, answer, proceeds, end)
			}
			if tt.held {
				proceeds = "none"
			}
			if tt.fatal {
				end = "service_failed at 400ms"
			}
			checkHandshake(t, tt.service, "failed", proceeds, end)
		})
	}
}

func checkHandshake(t *testing.T, service, answer, proceeds, end string) {
	t.Helper()
	h := handshake(t, service, answer)
	if got := details["proceeds"](h); got != proceeds || resultOf(h).end != end {
		t.Errorf("%s: proceeds %s, end %s, want %s and %s", answer, got, resultOf(h).end, proceeds, end)
	}
}

// handshake takes TCP 10 ms and TLS half a second.
func handshake(t *testing.T, service, answer string) *history {
	t.Helper()
	lines := []string{
		"ask HTTPS AAAA",
		"AAAA after 0s: [2001:db8::1]:443",
		fmt.Sprintf("HTTPS after 400ms: %s", answer),
		"[2001:db8::1]:443 tcp up after 10ms, connects after 500ms",
	}
	if service != "" {
		lines = append(lines, "service="+service)
	}
	return play(t, lines...)
}

// play runs a scenario that has no file.
func play(t testing.TB, lines ...string) *history {
	t.Helper()
	s, err := parseScenario(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return s.world.run(t, new(Race))
}
