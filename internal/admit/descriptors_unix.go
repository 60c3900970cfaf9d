//go:build unix

package admit

import (
	"fmt"
	"syscall"
)

// Descriptors raises RLIMIT_NOFILE to its hard limit where that is allowed, and
// returns how many descriptors attempts may use: the limit minus a reserve for all
// else the process does, which is a quarter of it, 64 to 2048. On systems without
// such a limit it returns 0.
func Descriptors() (limit int, err error) {
	var has syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &has); err != nil {
		return 0, fmt.Errorf("getrlimit RLIMIT_NOFILE: %w", err)
	}
	if has.Cur < has.Max {
		more := has
		more.Cur = more.Max
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &more) == nil {
			has = more
		} // or else what there is must do
	}
	return spare(uint64(has.Cur)), nil //nolint:unconvert // signed on some systems
}
