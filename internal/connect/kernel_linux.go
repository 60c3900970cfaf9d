package connect

import (
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/rawsock"
	"github.com/connrace/connrace/racer/sched"
)

// pendingError returns what a socket's attempt came to: 0 if it is connected, or not
// over.
func pendingError(fd int) unix.Errno {
	var errno int32
	if !option(fd, unix.SOL_SOCKET, unix.SO_ERROR, unsafe.Pointer(&errno), unsafe.Sizeof(errno)) {
		return unix.EBADF
	}
	return unix.Errno(errno)
}

// tcpInfo asks the kernel what it knows of a socket; ok is false if it does not say.
func tcpInfo(fd int) (info unix.TCPInfo, ok bool) {
	ok = option(fd, unix.IPPROTO_TCP, unix.TCP_INFO, unsafe.Pointer(&info), unsafe.Sizeof(info))
	return info, ok
}

func option(fd, level, name int, value unsafe.Pointer, size uintptr) bool {
	length := uint32(size)
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(value), uintptr(unsafe.Pointer(&length)), 0)
	return errno == 0
}

// States and options of tcp_info (include/net/tcp_states.h, include/uapi/linux/tcp.h).
const (
	tcpEstablished = 1
	tcpSynSent     = 2
	tcpSynRecv     = 3 // of a socket that connects: the peer's SYN has crossed its own
	tcpClosed      = 7

	optTimestamps = 1
	optSACK       = 2
	optScale      = 4
	optECN        = 8
)

// handshaking says that nobody has a connection yet.
func handshaking(info *unix.TCPInfo) bool {
	return info.State == tcpSynSent || info.State == tcpSynRecv
}

// repeats is how many times the SYN was sent again. Nothing else has been sent.
func repeats(info *unix.TCPInfo) int { return max(int(info.Total_retrans), int(info.Retransmits)) }

// unanswered is what is known of a handshake that waits for its answer. The local end is
// that of one whose SYN was sent again, for whoever looks at packets: to ask each loser
// for it would make it dearer by 3 to 7 %.
func unanswered(fd int, info *unix.TCPInfo) (local netip.AddrPort, kernel sched.Kernel) {
	kernel = facts(info)
	if kernel.SYNRepeats > 0 {
		local = localEnd(fd)
	}
	return local, kernel
}

// localEnd is a socket's own address and port; the zero value: it has no address.
func localEnd(fd int) netip.AddrPort {
	local := rawsock.LocalEnd(fd)
	if local.Addr().IsUnspecified() { // a connect that fails at once takes it back
		return netip.AddrPort{}
	}
	return local
}

// facts are what a caller may want to know of it. The round-trip time of a handshake
// whose SYN was repeated is known, to a millisecond, where the peer has timestamps:
// they tell which SYN was answered (RFC 7323 section 4.1). Else the kernel says 0.
func facts(info *unix.TCPInfo) sched.Kernel {
	k := sched.Kernel{SYNRepeats: repeats(info)}
	if handshaking(info) {
		return k
	}
	if info.Rtt > 0 { // else the deviation is what a kernel begins with
		k.RTT = time.Duration(info.Rtt) * time.Microsecond
		k.Deviation = time.Duration(info.Rttvar) * time.Microsecond
	}
	k.MSS = int(info.Snd_mss)
	k.Timestamps = info.Options&optTimestamps != 0
	k.SACK = info.Options&optSACK != 0
	k.WindowScale = info.Options&optScale != 0
	k.ECN = info.Options&optECN != 0
	return k
}
