package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab/netlabtest"
)

// The demo is what a newcomer runs first: it ends by itself, and what it claims
// is what it measured.
func TestDemo(t *testing.T) {
	t.Parallel()
	netlabtest.Punctually(t, runDemo)
}

func runDemo(t *testing.T, watch *netlabtest.Watch) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"demo"}, &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
		t.Fatalf("exit code %d, stderr %q, stdout\n%s", code, stderr.String(), stdout.String())
	}
	shown := stdout.String()
	for _, want := range []string{
		"== ResolveAndRank", "== Race: one address", "== Race: staggered", "== Race: all at once", "== Probe",
		"did not work", "3 timed out", "3 refused", "verdict    degraded", "grpcurl -plaintext -d '{\"target\":",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("the demo does not show %q", want)
		}
	}
	sequential := measured(t, shown, "sequential")
	staggered := measured(t, shown, "staggered")
	atOnce := measured(t, shown, "all at once")
	// A dead address costs the whole attempt timeout, the attempt delay, or nothing. Where
	// the answer for IPv6 is late it is not the first.
	if sequential < demoAttemptTimeout || staggered < 250*time.Millisecond || staggered >= sequential || atOnce >= sequential {
		watch.Doubt(fmt.Sprintf("sequential took %v, staggered %v, all at once %v", sequential, staggered, atOnce))
	}
	if t.Failed() {
		t.Log(shown)
	}
}

// measured returns what the table of strategies has for one.
func measured(t *testing.T, shown, strategy string) time.Duration {
	t.Helper()
	_, table, _ := strings.Cut(shown, "== The same backends, measured")
	for line := range strings.Lines(table) {
		if cells, ok := strings.CutPrefix(line, strategy+" "); ok {
			fields := strings.Fields(cells)
			d, err := time.ParseDuration(fields[0] + fields[1])
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			return d
		}
	}
	t.Fatalf("no row of %s in %q", strategy, table)
	return 0
}
