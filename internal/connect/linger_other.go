//go:build !unix

package connect

import (
	"net"
	"syscall"
)

// resetOnClose does nothing here: a connection that came up in the instant it was
// cancelled is closed with a FIN.
func resetOnClose(syscall.RawConn) error { return nil }

// closeInOrder closes a connection with a FIN.
func closeInOrder(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_ = conn.Close()
}
