//go:build unix

package connect

import "syscall"

// resetOnClose makes whoever closes the socket send a RST, net.Dialer included:
// it closes a connection that came up in the instant it was cancelled.
func resetOnClose(c syscall.RawConn) error {
	var err error
	if failed := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	}); failed != nil {
		return failed
	}
	return err
}
