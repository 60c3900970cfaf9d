//go:build !unix

package connect

import (
	"fmt"
	"syscall"
)

// errnoName is such as "errno 10061".
func errnoName(errno syscall.Errno) string { return fmt.Sprintf("errno %d", int(errno)) }
