//go:build unix

package connect

import (
	"net"
	"syscall"
)

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

// maxUnread bounds what is read of a peer that speaks first before its connection is
// closed: 16 reads of 4 KiB.
const maxUnread = 16

// closeInOrder closes a connection with a FIN.
func closeInOrder(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { finish(int(fd)) })
		}
	}
	_ = conn.Close()
}

// finish sends a FIN. It reads what has arrived: a kernel resets a connection that is
// closed with something unread.
func finish(fd int) {
	_ = syscall.Shutdown(fd, syscall.SHUT_WR)
	var unread [4096]byte
	for range maxUnread {
		if n, err := syscall.Read(fd, unread[:]); n <= 0 && err != syscall.EINTR {
			return
		}
	}
}
