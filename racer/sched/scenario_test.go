package sched

import (
	"cmp"
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
	eachFile(t, playFile)
}

// eachFile runs a subtest for each scenario.
func eachFile(t *testing.T, test func(t *testing.T, path string)) {
	t.Helper()
	paths, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatal("no scenarios")
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) { test(t, path) })
	}
}

// eachScenario is eachFile for tests that need no transcript.
func eachScenario(t *testing.T, test func(t *testing.T, s *scenario)) {
	t.Helper()
	eachFile(t, func(t *testing.T, path string) {
		s, _, _ := readScenario(t, path)
		test(t, s)
	})
}

// readScenario returns also the text before the transcript, and the transcript.
func readScenario(t *testing.T, path string) (s *scenario, head, transcript string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, transcript, _ = strings.Cut(string(text), transcriptMark)
	if s, err = parseScenario(head); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return s, head, transcript
}

func playFile(t *testing.T, path string) {
	s, head, want := readScenario(t, path)
	h := s.world.run(t, new(Race))
	got := h.lines()
	if result := resultOf(h); result != s.expect {
		t.Fatalf("the race did\n%v\nexpected\n%v\n%s", result, s.expect, got)
	}
	for _, d := range s.details {
		if told := details[d.what](h); told != d.want {
			t.Fatalf("%s: %s, expected %s\n%s", d.what, told, d.want, got)
		}
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

// details are what a scenario can expect besides.
var details = map[string]func(*history) string{
	"triggers": func(h *history) string {
		return eachAction(h, Start, func(a Action, _ time.Duration) string { return a.Trigger.String() })
	},
	"delays": func(h *history) string {
		return eachAction(h, Start, func(a Action, _ time.Duration) string {
			return cmp.Or(strings.TrimPrefix(a.delayString(), ", delay "), "none")
		})
	},
	"queries": func(h *history) string {
		return eachAction(h, Query, func(a Action, at time.Duration) string { return when(a.Question, at) })
	},
	"proceeds": func(h *history) string {
		return eachAction(h, Proceed, func(a Action, at time.Duration) string { return when(a.Attempt, at) })
	},
	"cancels": func(h *history) string {
		return eachAction(h, Cancel, func(a Action, at time.Duration) string {
			return when(fmt.Sprintf("%d (%v)", a.Attempt, a.Cause), at)
		})
	},
	"reasons": func(h *history) string {
		return eachAction(h, Settle, func(a Action, _ time.Duration) string { return a.Reason.String() })
	},
	"outcomes": func(h *history) string {
		return eachAction(h, Settle, func(a Action, _ time.Duration) string {
			return strings.TrimPrefix(a.String(), "settle candidate ")
		})
	},
}

// eachAction tells all actions of a kind in their order; "none" when there is none.
func eachAction(h *history, kind ActionKind, tell func(a Action, at time.Duration) string) string {
	var told []string
	for _, s := range h.steps {
		for _, a := range s.actions {
			if a.Kind == kind {
				told = append(told, tell(a, s.now))
			}
		}
	}
	if len(told) == 0 {
		return "none"
	}
	return strings.Join(told, ", ")
}

func when(what any, at time.Duration) string { return fmt.Sprintf("%v at %v", what, at) }
