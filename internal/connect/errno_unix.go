//go:build unix

package connect

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// errnoName is such as "ELOOP".
func errnoName(errno syscall.Errno) string {
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return fmt.Sprintf("errno %d", int(errno))
}
