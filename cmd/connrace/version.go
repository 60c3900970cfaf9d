package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.3". Empty: what
// the Go toolchain recorded.
var version string

type versionCmd struct{}

// Run prints the version, the commit and what the program was built with.
func (*versionCmd) Run(out *output) error {
	info, _ := debug.ReadBuildInfo()
	_, err := fmt.Fprintf(out, "connrace %s (commit %s, %s, %s/%s)\n",
		versionOf(version, info), commitOf(info), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// buildVersion is what a daemon reports in its replies.
func buildVersion() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(version, info)
}

// versionOf prefers what the linker was told. info may be nil.
func versionOf(linked string, info *debug.BuildInfo) string {
	if linked != "" || info == nil {
		return cmp.Or(linked, "unknown")
	}
	return cmp.Or(info.Main.Version, "unknown")
}

// commitOf returns the commit as far as the toolchain recorded it.
func commitOf(info *debug.BuildInfo) string {
	if info == nil {
		return "unknown"
	}
	commit, dirty := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = " and uncommitted changes"
		}
	}
	return commit + dirty
}
