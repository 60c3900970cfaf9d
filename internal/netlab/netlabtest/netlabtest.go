//go:build linux

// Package netlabtest runs tests inside a lab of package netlab.
//
//	func TestMain(m *testing.M) { os.Exit(netlabtest.Run(m)) }
//
//	func TestSomething(t *testing.T) {
//		lab := netlabtest.Start(t, netlab.Config{})
//		...
//	}
//
// A process has one lab at a time, so a test that starts one is not parallel.
package netlabtest

import (
	"errors"
	"os"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/topology"
)

// Required is the variable that, set to 1, makes tests fail instead of being
// skipped where the system forbids namespaces.
const Required = "CONNRACE_LAB_REQUIRED"

// errNoLab is why there is no lab in this process, if there is none. Run sets it.
var errNoLab = errors.New("netlabtest: call Run in TestMain")

// Run makes the test binary the client host of labs and returns the exit code of
// its tests. Where the system forbids that, the tests run all the same, and those
// that start a lab say why they can't.
func Run(m *testing.M) int {
	code, inside, err := netlab.Enter()
	if !inside && err == nil {
		return code // of the tests, run in there
	}
	errNoLab = err
	return m.Run()
}

// Start starts a lab that is closed when the test ends. Where the system forbids
// namespaces it skips the test and says which setting does; with [Required] set
// the test fails instead.
func Start(t testing.TB, cfg netlab.Config) *netlab.Lab {
	t.Helper()
	Need(t)
	lab, err := netlab.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, lab)
	return lab
}

// Build is Start for the lab that a file describes.
func Build(t testing.TB, file string) *netlab.Scene {
	t.Helper()
	Need(t)
	described, err := topology.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	scene, err := netlab.Build(described)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, scene.Lab)
	return scene
}

func closeAtEnd(t testing.TB, lab *netlab.Lab) {
	t.Helper()
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Need skips the test, or fails it, where Start would.
func Need(t testing.TB) {
	t.Helper()
	var forbidden *netlab.ForbiddenError
	switch {
	case errNoLab == nil:
	case errors.As(errNoLab, &forbidden) && os.Getenv(Required) != "1":
		t.Skip(errNoLab)
	default:
		t.Fatal(errNoLab)
	}
}
