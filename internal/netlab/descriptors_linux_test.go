package netlab_test

import (
	"syscall"
	"testing"
)

// needDescriptors skips the test where a process may have less. Go has raised the soft
// limit to the hard one.
func needDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Cur < n {
		t.Skipf("SKIPPED: it takes %d descriptors, and there may be %d; raise the hard limit (ulimit -Hn)", n, limit.Cur)
	}
}
