package sched

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata/scenarios")

// transcriptMark stands between a scenario's world and its transcript.
const transcriptMark = "----\n"

// TestScenarios plays testdata/scenarios. A file tells in prose what it shows,
// describes a world, and has the transcript of the race in it. The lines that
// begin with expect were worked out by hand from the RFC: -update rewrites the
// transcript only when the race does what they say.
func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatal("no scenarios")
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) { playFile(t, path) })
	}
}

func playFile(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, want, _ := strings.Cut(string(text), transcriptMark)
	s, err := parseScenario(head)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	h := s.world.run(t, new(Race))
	got := h.lines()
	if result := resultOf(h); result != s.expect {
		t.Fatalf("the race did\n%v\nexpected\n%v\n%s", result, s.expect, got)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+transcriptMark+got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("the transcript is\n%s\nwant\n%s", got, want)
	}
}

// result is what a race came to, in the words of a scenario.
type result struct{ starts, winner, end string }

// String returns the lines that a scenario expects it with.
func (r result) String() string {
	return fmt.Sprintf("  starts: %s\n  winner: %s\n  end: %s", r.starts, r.winner, r.end)
}

func resultOf(h *history) result {
	var starts []string
	var r result
	for _, s := range h.steps {
		for _, a := range s.actions {
			switch a.Kind {
			case Start:
				starts = append(starts, when(a.Candidate, s.now))
			case Won:
				r.winner = when(a.Candidate, s.now)
			case Finish:
				r.end = when(a.End, s.now)
			}
		}
	}
	r.starts = strings.Join(starts, ", ")
	return r
}

func when(what any, at time.Duration) string { return fmt.Sprintf("%v at %v", what, at) }
