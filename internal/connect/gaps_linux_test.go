package connect

import (
	"encoding/binary"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/racer/sched"
)

// Close looks first, as Cancel does: what has connected or failed unnoticed has, with
// what the kernel knows of it.
func TestRawCloseLooksFirst(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	good := far(t, lab, far4, link.Path{Delay: 5 * ms})
	must(t, lab.SetPath(far6.Addr(), link.Path{Delay: 5 * ms, State: link.TCPReset}))
	silent := netip.MustParseAddrPort("198.51.100.3:80")
	must(t, lab.SetPath(silent.Addr(), link.Path{State: link.Blackhole}))
	for _, keep := range []bool{false, true} {
		r, a := rawRace(t, newEngine(t), keep)
		r.Start(0, good)
		r.Start(1, allowed(t, far6.String()))
		r.Start(2, allowed(t, silent.String()))
		for _, id := range []int{0, 1} {
			fd := a.poller.sockets[a.flights[id].socket].fd
			eventually(t, "its handshake is over", func() bool {
				info, known := tcpInfo(fd)
				return known && !handshaking(&info)
			})
		}
		r.Close()
		r.want(t, 0, sched.Started, sched.Connected)
		r.want(t, 1, sched.Started, sched.Failed)
		r.want(t, 2, sched.Started, sched.Cancelled)
		if e := r.of(0)[1]; e.Kernel.RTT < 10*ms || e.At != r.of(0)[0].At+e.Kernel.RTT || e.Noticed < e.At || e.Local.Port() == 0 {
			t.Errorf("it connected as %+v", e)
		}
		if c := r.Take(0); c != nil {
			t.Errorf("%v can be taken", c)
		}
	}
}

// A peer's SYN that crosses ours is no connection yet: nobody has acknowledged it.
func TestRawCancelWhenSYNsHaveCrossed(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	must(t, lab.SetPath(far4.Addr(), link.Path{State: link.Blackhole}))
	for _, name := range []string{"all", "lo"} { // the SYN comes from an address that is elsewhere
		must(t, os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/rp_filter", []byte("0"), 0))
	}
	for _, end := range []string{"cancelled", "closed", "looked at"} {
		r, a := rawRace(t, newEngine(t), true)
		r.Start(0, allowed(t, far4.String()))
		fd := a.poller.sockets[0].fd
		sa, err := unix.Getsockname(fd)
		must(t, err)
		local := sa.(*unix.SockaddrInet4)
		sendSYN(t, far4, netip.AddrPortFrom(netip.AddrFrom4(local.Addr), uint16(local.Port)))
		eventually(t, "the SYNs have crossed", func() bool {
			info, known := tcpInfo(fd)
			return known && info.State == tcpSynRecv
		})
		switch end {
		case "cancelled":
			r.Cancel(0)
		case "closed":
			r.Close()
		default:
			a.happened(0)
			r.want(t, 0, sched.Started)
			r.Close()
		}
		r.want(t, 0, sched.Started, sched.Cancelled)
		if k := r.of(0)[1].Kernel; k.RTT != 0 || k.MSS != 0 {
			t.Errorf("%s, of a handshake that is not done it knows %+v", end, k)
		}
	}
}

// sendSYN sends one in the name of another.
func sendSYN(t *testing.T, from, to netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	must(t, err)
	defer unix.Close(fd)
	packet := make([]byte, 40)
	packet[0], packet[8], packet[9] = 0x45, 64, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(packet[2:], 40)
	copy(packet[12:], from.Addr().AsSlice())
	copy(packet[16:], to.Addr().AsSlice())
	tcp := packet[20:]
	binary.BigEndian.PutUint16(tcp, from.Port())
	binary.BigEndian.PutUint16(tcp[2:], to.Port())
	binary.BigEndian.PutUint32(tcp[4:], 12345)
	tcp[12], tcp[13] = 5<<4, 2 // 5 words, SYN
	binary.BigEndian.PutUint16(tcp[14:], 65535)
	sum := uint32(unix.IPPROTO_TCP + 20)
	for i := 12; i < 40; i += 2 { // the addresses, and the segment
		sum += uint32(binary.BigEndian.Uint16(packet[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(tcp[16:], ^uint16(sum))
	must(t, unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: to.Addr().As4()}))
}

// A socket that cannot be watched is closed, its place is used again, and it is this
// host's trouble.
func TestRawCannotWatch(t *testing.T) {
	_, to := start(t, netlab.Accept, v4)
	r, a := rawRace(t, newEngine(t), false)
	before, epoll := descriptors(t), a.poller.fd
	a.poller.fd = a.poller.wakeFD // which is no epoll instance
	for id := range 3 {
		r.Start(id, to)
		f := r.until(t, id, sched.Failed).Failure
		if f.Errno != "EINVAL" || f.Fault != sched.FaultHost {
			t.Errorf("it is %+v", f)
		}
	}
	a.poller.fd = epoll
	if n := descriptors(t); n != before || len(a.poller.sockets) != 1 {
		t.Errorf("%d descriptors, were %d, and %d places for sockets", n, before, len(a.poller.sockets))
	}
	r.Start(3, to)
	r.until(t, 3, sched.Started, sched.Connected)
	if f := Classify(os.NewSyscallError("epoll_ctl", unix.ENOSPC)); f.Fault != sched.FaultHost {
		t.Errorf("too many that are watched: %+v", f)
	}
}
