package connect

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/racer/sched"
)

// A firewall of this host answers while connect() runs, and a kernel sends its next SYN
// a second later before it fails. The attempt fails at once, with what was said, and its
// socket serves the next one.
func TestFirewallOfThisHost(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	to := far(t, lab, far4, link.Path{})
	r, a := rawRace(t, newEngine(t), false)
	lift := rejectTCP(t)
	next := 0
	netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
		for range 3 {
			r.Start(next, to)
			e := r.until(t, next, sched.Started, sched.Failed)
			f := e.Failure
			if f.Errno != "EHOSTUNREACH" || f.ICMP.Word != "admin_prohibited" || f.Fault != sched.FaultHost || !strings.Contains(f.Text, "firewall of this host") {
				t.Errorf("it is %+v", f)
			}
			watch.Between("the failure", e.At-r.of(next)[0].At, 0, time.Second-1) // the second SYN would make one later
			next++
		}
	})
	lift()
	r.Start(next, to)
	r.until(t, next, sched.Started, sched.Connected)
	if n := len(a.poller.sockets); n != 1 {
		t.Errorf("%d sockets, want 1", n)
	}
}

// What a firewall said to an attempt that was given up is not said to the next one on
// its socket, which is to another target.
func TestWordsOfAFirewallEndWithTheirAttempt(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	to := far(t, lab, far4, link.Path{})
	other := far(t, lab, netip.MustParseAddrPort("198.51.100.77:80"), link.Path{Delay: 20 * ms})
	e := newEngine(t)
	r, _ := rawRace(t, e, false)
	lift := rejectTCP(t)
	r.Start(0, to)
	r.Cancel(0) // before anybody has looked
	r.Close()
	r.want(t, 0, sched.Started, sched.Cancelled)
	lift()
	next, a := rawRace(t, e, false)
	defer next.Close()
	next.Start(0, other)
	next.until(t, 0, sched.Started, sched.Connected)
	if n := len(a.poller.sockets); n != 1 {
		t.Errorf("%d sockets, want the one of before", n)
	}
}

// rejectTCP makes this host answer its own TCP segments over IPv4 with ICMP, until lift
// is called: nft add rule ip connrace output meta l4proto tcp reject with icmp
// admin-prohibited.
func rejectTCP(t *testing.T) (lift func()) {
	t.Helper()
	const (
		newTable, deleteTable, newChain, newRule = 0, 2, 3, 6

		nested = 0x8000
	)
	text := func(kind uint16, s string) []byte { return attribute(kind, append([]byte(s), 0)) }
	number := func(kind uint16, n uint32) []byte { return attribute(kind, binary.BigEndian.AppendUint32(nil, n)) }
	expression := func(name string, data ...[]byte) []byte {
		return attribute(1|nested, text(1, name), attribute(2|nested, data...))
	}
	netfilter(t,
		request(newTable, text(1, "connrace")),
		request(newChain, text(1, "connrace"), text(3, "output"),
			attribute(4|nested, number(1, 3), number(2, 0)), text(7, "filter")), // hook: output, priority 0
		request(newRule, text(1, "connrace"), text(2, "output"), attribute(4|nested,
			expression("meta", number(1, 1), number(2, 16)), // register 1: the protocol
			expression("cmp", number(1, 1), number(2, 0), attribute(3|nested, attribute(1, []byte{unix.IPPROTO_TCP}))),
			expression("reject", number(1, 0), attribute(2, []byte{13})))), // with ICMP, of code 13
	)
	lifted := false
	lift = func() {
		if !lifted {
			lifted = true
			netfilter(t, request(deleteTable, text(1, "connrace")))
		}
	}
	t.Cleanup(lift)
	return lift
}

// netfilter has the kernel carry out requests to nftables, all or none.
func netfilter(t *testing.T, requests ...[]byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	must(t, err)
	defer unix.Close(fd)
	batch := message(unix.NFNL_MSG_BATCH_BEGIN, 0, 0, unix.NFNL_SUBSYS_NFTABLES)
	for _, r := range requests {
		batch = append(batch, r...)
	}
	batch = append(batch, message(unix.NFNL_MSG_BATCH_END, 0, 0, unix.NFNL_SUBSYS_NFTABLES)...)
	must(t, unix.Sendto(fd, batch, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
	for range requests {
		answer := make([]byte, 4096)
		n, _, err := unix.Recvfrom(fd, answer, 0)
		must(t, err)
		switch errno := unix.Errno(-int32(binary.NativeEndian.Uint32(answer[16:n]))); {
		case errors.Is(errno, unix.EOPNOTSUPP), errors.Is(errno, unix.EPROTONOSUPPORT), errors.Is(errno, unix.ENOENT):
			t.Skipf("this kernel has no nftables with reject (%v); load nf_tables and nft_reject_ipv4", errno)
		case errno != 0:
			t.Fatalf("nftables: %v", errno)
		}
	}
}

// request is one to nftables, for IPv4, that is to be acknowledged.
func request(kind uint16, attributes ...[]byte) []byte {
	return message(unix.NFNL_SUBSYS_NFTABLES<<8|kind, unix.NLM_F_CREATE|unix.NLM_F_ACK, unix.NFPROTO_IPV4, 0, attributes...)
}

func message(kind, flags uint16, family byte, resource uint16, attributes ...[]byte) []byte {
	length := unix.SizeofNlMsghdr + 4
	for _, a := range attributes {
		length += len(a)
	}
	m := binary.NativeEndian.AppendUint32(nil, uint32(length))
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = binary.NativeEndian.AppendUint16(m, unix.NLM_F_REQUEST|flags)
	m = append(m, make([]byte, 8)...) // no number, from nobody
	m = binary.BigEndian.AppendUint16(append(m, family, 0), resource)
	for _, a := range attributes {
		m = append(m, a...)
	}
	return m
}

// attribute is one of netlink: its length without padding, its kind, what is in it.
func attribute(kind uint16, values ...[]byte) []byte {
	a := []byte{0, 0, 0, 0}
	for _, v := range values {
		a = append(a, v...)
	}
	binary.NativeEndian.PutUint16(a, uint16(len(a)))
	binary.NativeEndian.PutUint16(a[2:], kind)
	return append(a, make([]byte, -len(a)&3)...)
}
