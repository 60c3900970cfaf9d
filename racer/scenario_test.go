package racer

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var update = flag.Bool("update", false, "rewrite the results in testdata/scenarios")

// TestScenarios plays testdata/scenarios. A file tells in prose what it shows,
// describes the network around a Racer, and calls it: a line that begins with
// "> " is a call, the lines below it are the result. Between two calls there may be
// prose again.
func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob("testdata/scenarios/*.txt")
	must(t, err)
	if len(paths) == 0 {
		t.Fatal("no scenarios")
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) { playFile(t, path) })
	}
}

func playFile(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	must(t, err)
	head, calls, _ := strings.Cut(string(text), "\n> ")
	blocks := strings.Split(calls, "\n> ")
	got := head
	for i, block := range blocks {
		words, rest, _ := strings.Cut(block, "\n")
		want, prose, told := strings.Cut(rest, "\n# ")
		result := play(t, head, words)
		if !*update && result != strings.TrimSpace(want) {
			t.Errorf("> %s\n%s\n\nwant\n%s", words, result, want)
		}
		got += "\n> " + words + "\n" + result + "\n"
		if told {
			got += "\n# " + strings.TrimSpace(prose) + "\n"
		}
		if i < len(blocks)-1 {
			got += "\n"
		}
	}
	if *update {
		must(t, os.WriteFile(path, []byte(strings.ReplaceAll(got, "\n\n\n", "\n\n")), 0o644))
	}
}

// play makes one call in a network of its own.
func play(t *testing.T, world, words string) (result string) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		must(t, n.parse(world))
		c, err := parseCall(words)
		must(t, err)
		ctx := t.Context()
		if c.deadline > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, c.deadline)
			defer cancel()
		}
		result = strings.TrimSpace(c.do(ctx, t, n.racer()))
		n.checkClosed(t, nil)
	})
	return result
}

// do returns the result, which must be well formed, or the error.
func (c *call) do(ctx context.Context, t *testing.T, r *Racer) string {
	began := time.Now()
	switch c.method {
	case "race":
		result, err := r.Race(ctx, RaceRequest{Target: c.target, Selection: c.selection, Options: c.options})
		if err != nil {
			return "error: " + err.Error()
		}
		checkRace(t, result)
		checkTime(t, &result.Run, began)
		return renderRace(result)
	case "rank":
		result, err := r.ResolveAndRank(ctx, RankRequest{Target: c.target, Selection: c.selection, Options: c.options})
		if err != nil {
			return "error: " + err.Error()
		}
		checkRun(t, &result.Run)
		checkCandidates(t, result.Candidates)
		checkTime(t, &result.Run, began)
		return renderRank(result)
	default:
		result, err := r.Probe(ctx, c.probe())
		if err != nil {
			return "error: " + err.Error()
		}
		checkTime(t, &result.Run, began)
		return renderProbe(result)
	}
}

// checkTime holds that a run begins when it is called for and lasts until it
// returns: a bubble's clock is exact.
func checkTime(t *testing.T, r *Run, began time.Time) {
	t.Helper()
	if !r.Start.Equal(began) {
		t.Errorf("the run says it began %v after the call", r.Start.Sub(began))
	}
	if took := time.Since(began); r.Duration != took {
		t.Errorf("the run says it took %v, the call took %v", r.Duration, took)
	}
}
