//go:build !unix

package connect

import "syscall"

// resetOnClose does nothing here: a connection that came up in the instant it was
// cancelled is closed with a FIN.
func resetOnClose(syscall.RawConn) error { return nil }
