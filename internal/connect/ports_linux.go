package connect

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// portRange returns the range of ports that this host connects from, as
// IP_LOCAL_PORT_RANGE has it: the highest in the upper half. 0: it is not known. A
// network namespace has its own.
func portRange() uint32 {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0
	}
	var lowest, highest uint16
	if n, _ := fmt.Sscan(string(text), &lowest, &highest); n != 2 {
		return 0
	}
	return uint32(highest)<<16 | uint32(lowest)
}

// useAllPorts tells a socket the range the system has anyway. A connect then looks for
// a free port among all of them at once; without that among those of one parity
// first, so that from half of the ports in use on most look at them in vain: 5 to 8
// µs become up to 1,800 (Linux 6.3 on; an older kernel does not know the option).
func useAllPorts(fd int, ports uint32) {
	if ports != 0 {
		setOption(fd, unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, ports)
	}
}

// setOption sets an option that a socket can do without, and says whether it has it.
// Like all calls that cannot block it goes past Go's scheduler.
func setOption(fd, level, name int, value uint32) bool {
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value), 0)
	return errno == 0
}
