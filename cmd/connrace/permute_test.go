package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
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

// What is not UTF-8 is refused wherever it stands, and not taken for something else.
func TestArgumentsAreText(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"race", "\xff=127.0.0.1:1"},
		{"race", "127.0.0.1:1", "--caller-key=a\xff"},
		{"race", "127.0.0.1:1", "--caller-key", "\xe4"},
		{"watch", "127.0.0.1:1", "--tls", "--ca-file", "/tmp/M\xfcller.pem"},
		{"serve", "--vantage", "\xed\xa0\x80"},
		{"lab", "lab.yaml", "--", "echo", "\xff"},
		{"\xff"},
	} {
		_, _, err := parse(args, io.Discard)
		exit, ok := errors.AsType[*exitError](err)
		bad := slices.IndexFunc(args, func(arg string) bool { return !utf8.ValidString(arg) })
		want := fmt.Sprintf("argument %d, %+q, is not UTF-8; write it in UTF-8", bad+1, args[bad])
		if !ok || exit.code != exitUsage || !strings.HasPrefix(exit.Error(), want) {
			t.Errorf("%q: %v, want %s", args, err, want)
		}
	}
	race := parsed[raceCmd](t, "race", "ä\ufffd=127.0.0.1:1", "--caller-key", "ü€")
	if race.Targets[0] != "ä\ufffd=127.0.0.1:1" || race.CallerKey != "ü€" {
		t.Errorf("the target is %q, the key %q", race.Targets[0], race.CallerKey)
	}
}
