// Package rawsock has calls on sockets that cannot block, and that Go's scheduler
// therefore need not know of: a third of the price of the usual ones.
package rawsock

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Connect begins a handshake, or sets a UDP socket's peer.
func Connect(fd int, to netip.AddrPort) unix.Errno {
	if to.Addr().Is4() {
		sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: networkOrder(to.Port()), Addr: to.Addr().As4()}
		return rawConnect(fd, unsafe.Pointer(&sa), unix.SizeofSockaddrInet4)
	}
	sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: networkOrder(to.Port()), Addr: to.Addr().As16()}
	return rawConnect(fd, unsafe.Pointer(&sa), unix.SizeofSockaddrInet6)
}

// Dissolve ends what a socket has begun, with a RST if it is connected, so that it
// can connect again: connect(AF_UNSPEC).
func Dissolve(fd int) unix.Errno {
	sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	return rawConnect(fd, unsafe.Pointer(&sa), unix.SizeofSockaddrInet4)
}

func rawConnect(fd int, sa unsafe.Pointer, size uintptr) unix.Errno {
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(sa), size)
		if errno != unix.EINTR {
			return errno
		}
	}
}

func networkOrder(port uint16) uint16 {
	bytes := [2]byte{byte(port >> 8), byte(port)}
	return *(*uint16)(unsafe.Pointer(&bytes))
}

// LocalEnd returns a socket's own address and port.
func LocalEnd(fd int) netip.AddrPort {
	var sa unix.RawSockaddrInet6 // has room for either
	length := uint32(unsafe.Sizeof(sa))
	_, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&length)))
	switch {
	case errno != 0:
		return netip.AddrPort{}
	case sa.Family == unix.AF_INET:
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), networkOrder(v4.Port))
	default:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), networkOrder(sa.Port))
	}
}
