package main

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func TestPermute(t *testing.T) {
	t.Parallel()
	app := newParser(io.Discard, func(int) {}).Model
	for args, want := range map[string]string{
		"":                                      "",
		"--help":                                "--help",
		"--help race a:1":                       "--help race -- a:1",
		"nope a:1 -4":                           "nope a:1 -4",
		"race a:1":                              "race -- a:1",
		"race a:1 --timeout 1s b:2":             "race --timeout=1s -- a:1 b:2",
		"race a:1 --timeout=1s b:2":             "race --timeout=1s -- a:1 b:2",
		"race a:1 -4 b:2 -o json c:3":           "race -4 --output=json -- a:1 b:2 c:3",
		"probe a:1 -n3 b:2 -n 4 -h":             "probe -n3 --rounds=4 -h -- a:1 b:2",
		"race --transcript a:1 -- -4 --timeout": "race --transcript -- a:1 -4 --timeout",
		"race a:1 --timeout":                    "race --timeout -- a:1",
		"race a:1 --nope b:2":                   "race --nope -- a:1 b:2",
		"serve --insecure-allow-unauthenticated x": "serve --insecure-allow-unauthenticated -- x",
		"race - a:1":                        "race -- - a:1",
		"race --dscp -1 a:1":                "race --dscp=-1 -- a:1",
		"race --quantile -.5 --grace -1s x": "race --quantile=-.5 --grace=-1s -- x",
		"race --server -4 a:1":              "race --server -4 -- a:1",
		"race --dscp -4x --ca-file - a:1":   "race --dscp=-4x --ca-file=- -- a:1",
		"race --transcript -4 a:1":          "race --transcript -4 -- a:1",
	} {
		if got := permute(app, strings.Fields(args)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q became %q, want %q", args, got, want)
		}
	}
}
