package netstate

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func wantSource(t *testing.T, s *Sources, dst, src string, bits int) {
	t.Helper()
	got, gotBits := s.For(netip.MustParseAddr(dst), Via{})
	if got != netip.MustParseAddr(src) || gotBits != bits {
		t.Errorf("to %s it is %s/%d, want %s/%d", dst, got, gotBits, src, bits)
	}
}

// haveIPv6 says whether this machine has ::1. A container may lack it.
func haveIPv6(t *testing.T) bool {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Logf("without IPv6, as this machine has no ::1: %v", err)
		return false
	}
	conn.Close()
	return true
}

func TestSourcesOfLoopback(t *testing.T) {
	s := new(Sources)
	wantSource(t, s, "127.0.0.1", "127.0.0.1", 8)
	wantSource(t, s, "127.0.0.2", "127.0.0.1", 8)
	wantSource(t, s, "::ffff:127.0.0.1", "127.0.0.1", 8)
	if haveIPv6(t) {
		wantSource(t, s, "::1", "::1", 128)
	}
}

// The kernel takes no link-local address without a zone, so there is never a
// source for one.
func TestNoSource(t *testing.T) {
	if src, bits := new(Sources).For(netip.MustParseAddr("fe80::1"), Via{}); src.IsValid() || bits != 0 {
		t.Errorf("it is %s/%d, want none", src, bits)
	}
}

// abroad are documentation addresses, which this machine may have a route to or
// not. Nothing is sent there.
var abroad = []string{"192.0.2.1", "198.51.100.1", "2001:db8::1", "2001:db8:ffff::1", "fd12:3456:789a::1"}

// There is a source if and only if the kernel has one: without a route there is
// none.
func TestSourcesAreTheKernels(t *testing.T) {
	s := new(Sources)
	for _, dst := range abroad {
		want := kernelSource(dst)
		src, bits := s.For(netip.MustParseAddr(dst), Via{})
		if src != want {
			t.Errorf("to %s it is %s, the kernel takes %s", dst, src, want)
		}
		if !src.IsValid() && bits != 0 {
			t.Errorf("to %s there is no source, and it has %d bits", dst, bits)
		}
		if src.IsValid() && bits != interfaceBits(t, src) {
			t.Errorf("to %s it is %s/%d, its interface says /%d", dst, src, bits, interfaceBits(t, src))
		}
		if src.Zone() != "" || src.Is4In6() {
			t.Errorf("to %s it is %s: neither a zone nor IPv4-mapped is of use", dst, src)
		}
	}
}

// kernelSource is the zero address when there is no route.
func kernelSource(dst string) netip.Addr {
	conn, err := net.Dial("udp", net.JoinHostPort(dst, "443"))
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("")
}

func interfaceBits(t *testing.T, addr netip.Addr) int {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(addr.AsSlice()) {
			ones, _ := n.Mask.Size()
			return ones
		}
	}
	return 0
}

// A race asks from many goroutines.
func TestSourcesAreSafeForConcurrentUse(t *testing.T) {
	s := new(Sources)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				wantSource(t, s, "127.0.0.1", "127.0.0.1", 8)
			}
		})
	}
	wg.Wait()
}

// A second question within a second is answered from memory, and a later one is not:
// routes change.
func TestSourcesAreKeptForASecond(t *testing.T) {
	s := new(Sources)
	dst := netip.MustParseAddr("127.0.0.1")
	wantSource(t, s, "127.0.0.1", "127.0.0.1", 8)
	s.read = time.Now().Add(time.Minute)                                  // so that this takes as long as it may
	s.found[way{dst: dst}] = source{netip.MustParseAddr("127.0.0.9"), 24} // the route has been another
	wantSource(t, s, "127.0.0.1", "127.0.0.9", 24)
	wantSource(t, s, "::ffff:127.0.0.1", "127.0.0.9", 24)
	wantSource(t, s, "127.0.0.2", "127.0.0.1", 8)
	s.read = time.Now().Add(-fresh - time.Millisecond)
	wantSource(t, s, "127.0.0.1", "127.0.0.1", 8)
	s.found[way{dst: dst}] = source{netip.MustParseAddr("127.0.0.9"), 24}
	s.Close()
	wantSource(t, s, "127.0.0.1", "127.0.0.1", 8)
}

// What is found on one way is kept for that way alone.
func TestSourcesAreKeptByTheWay(t *testing.T) {
	s, dst := new(Sources), netip.MustParseAddr("127.0.0.1")
	s.For(dst, Via{})
	s.read = time.Now().Add(time.Minute) // so that this takes as long as it may
	ways := []Via{{}, {Interface: "a"}, {Mark: 1}, {Interface: "a", Mark: 1}, {DSCP: 1}, {Mark: 1, DSCP: 1}}
	for i, via := range ways {
		s.found[way{dst, via}] = source{netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), i}
	}
	for i, via := range ways {
		if got, bits := s.For(dst, via); got != netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) || bits != i {
			t.Errorf("through %+v it is %s/%d", via, got, bits)
		}
	}
}

// That there was no route is not kept: a host that gets one can use it at once.
func TestNoSourceIsNotKept(t *testing.T) {
	s := new(Sources)
	s.For(netip.MustParseAddr("fe80::1"), Via{})
	if len(s.found) != 0 {
		t.Errorf("%v are kept, want none", s.found)
	}
}

// A scan of many destinations does not fill the memory, nor does it cost an answer.
func TestSourcesKeptAreBounded(t *testing.T) {
	s, dst := new(Sources), netip.MustParseAddr("127.1.0.0")
	s.For(dst, Via{})
	s.read = time.Now().Add(time.Minute) // so that this takes as long as it may
	for range 2*maxFound + 2 {
		wantSource(t, s, dst.String(), "127.0.0.1", 8)
		if len(s.found) > maxFound {
			t.Fatalf("%d are kept, want %d at most", len(s.found), maxFound)
		}
		dst = dst.Next()
	}
}
