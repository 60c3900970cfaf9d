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

// DSCP gives a socket's packets a Differentiated Services Code Point (RFC 2474). The two
// bits below it are ECN's.
func DSCP(fd int, is6 bool, dscp uint8) error {
	level, name := unix.IPPROTO_IP, unix.IP_TOS
	if is6 {
		level, name = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	return unix.SetsockoptInt(fd, level, name, int(dscp)<<2)
}
