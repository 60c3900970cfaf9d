package main

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{
		Main: debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123abc"}, {Key: "vcs.modified", Value: "true"},
		},
	}
	for want, got := range map[string]string{
		"v9.9.9":                          versionOf("v9.9.9", info),
		"v1.2.3":                          versionOf("", info),
		"unknown":                         versionOf("", nil),
		"0123abc and uncommitted changes": commitOf(info),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := commitOf(&debug.BuildInfo{}); got != "unknown" {
		t.Errorf("a build without a commit has %q", got)
	}
}
