package connect

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/racer/sched"
)

// hearICMP has the kernel keep the ICMP errors that come for a socket, or not. A
// connect fails with the first one either way. It is seen earlier only of a firewall of
// this host, which answers while connect() still runs: to a kernel that is a soft error
// at which it fails a second later, with the next SYN, but what it keeps is an event at
// once (Linux 6.18 keeps IPv4's in any case). A connection that is up would break with
// one, which TCP is to ride out (RFC 1122 section 4.2.3.9): so a socket that somebody
// gets must not hear.
func hearICMP(fd, family int, hear bool) {
	level, name, value := unix.IPPROTO_IP, unix.IP_RECVERR, uint32(0)
	if family == 1 {
		level, name = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	if hear {
		value = 1
	}
	setOption(fd, level, name, value)
}

// maxHeard bounds how many errors of a socket are looked at. A socket keeps one or two.
const maxHeard = 16

// heard returns the last ICMP error the kernel has kept of an attempt, and forgets
// all. The zero value: there was none.
func heard(fd int, to netip.AddrPort) sched.ICMP {
	var last sched.ICMP
	for range maxHeard {
		icmp, about, more := nextHeard(fd)
		if !more {
			break
		}
		if about == to { // and not of an attempt before this one
			last = icmp
		}
	}
	return last
}

// nextHeard takes the next error from a socket's queue, and whom the packet was sent
// to that it answers.
func nextHeard(fd int) (icmp sched.ICMP, about netip.AddrPort, ok bool) {
	var name unix.RawSockaddrInet6 // has room for either
	var control [128]byte
	message := unix.Msghdr{Name: (*byte)(unsafe.Pointer(&name)), Namelen: unix.SizeofSockaddrInet6, Control: &control[0]}
	message.SetControllen(len(control))
	_, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&message)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if errno != 0 {
		return sched.ICMP{}, netip.AddrPort{}, false
	}
	return parseHeard(control[:message.Controllen]), endpoint(&name), true
}

// parseHeard reads a control message of IP_RECVERR: a header, a sock_extended_err and
// the address of who sent the error.
func parseHeard(control []byte) sched.ICMP {
	const header = unix.SizeofCmsghdr
	if len(control) < header+int(unsafe.Sizeof(unix.SockExtendedErr{}))+unix.SizeofSockaddrInet4 {
		return sched.ICMP{}
	}
	data := control[header:]
	origin, kind, code, offender := data[4], data[5], data[6], data[unsafe.Sizeof(unix.SockExtendedErr{}):]
	switch family := binary.NativeEndian.Uint16(offender); {
	case origin == unix.SO_EE_ORIGIN_ICMP && family == unix.AF_INET:
		return sched.ICMP{From: netip.AddrFrom4([4]byte(offender[4:8])), Type: kind, Code: code, Word: icmpWord(kind, code, icmpWords4)}
	case origin == unix.SO_EE_ORIGIN_ICMP6 && family == unix.AF_INET6 && len(offender) >= unix.SizeofSockaddrInet6:
		return sched.ICMP{From: netip.AddrFrom16([16]byte(offender[8:24])), Type: kind, Code: code, Word: icmpWord(kind, code, icmpWords6)}
	}
	return sched.ICMP{} // it was made here: nobody has said anything
}

func endpoint(name *unix.RawSockaddrInet6) netip.AddrPort {
	if name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), swapped(v4.Port))
	}
	return netip.AddrPortFrom(netip.AddrFrom16(name.Addr), swapped(name.Port))
}

func swapped(port uint16) uint16 {
	var bytes [2]byte
	binary.NativeEndian.PutUint16(bytes[:], port)
	return binary.BigEndian.Uint16(bytes[:])
}
