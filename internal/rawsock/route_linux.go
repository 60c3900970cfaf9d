package rawsock

import "golang.org/x/sys/unix"

// LeaveThrough has a socket's packets leave through an interface (SO_BINDTODEVICE).
func LeaveThrough(fd int, name string) error {
	if len(name) >= unix.IFNAMSIZ { // the kernel would take the beginning for the name
		return unix.ENODEV
	}
	return unix.BindToDevice(fd, name)
}

// Mark marks a socket's packets for the routing policy (SO_MARK).
func Mark(fd int, mark uint32) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(mark))
}
