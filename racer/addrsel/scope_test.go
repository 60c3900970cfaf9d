package addrsel

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestScope(t *testing.T) {
	tests := map[scope][]string{
		scopeLinkLocal: {
			// 169.254/16 and 127/8.
			"169.254.0.0", "169.254.255.255", "127.0.0.1", "127.255.255.255",
			// the loopback address.
			"::1",
			// unicast has the numbers of multicast.
			"fe80::1", "febf::1", "fe80::1%eth0",
		},
		scopeSiteLocal: {
			"fec0::1", "feff::1", "fec0::1%eth0",
		},
		scopeGlobal: {
			// everything else, RFC 1918 and 100.64/10 included.
			"198.51.100.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "224.0.0.1",
			"169.253.255.255", "169.255.0.0", "126.255.255.255", "128.0.0.0", "0.0.0.0",
			// IPv4-compatible, mapped, converted and translatable, 6to4.
			"::198.51.100.1", "::ffff:198.51.100.1", "64:ff9b::198.51.100.1", "::ffff:0:198.51.100.1", "2002:a01:203::1",
			// unknown formats.
			"::", "4000::1", "fe00::1",
			// unique local addresses.
			"fd00::1", "fc00::1", "2001:db8::1",
		},
	}
	for want, addrs := range tests {
		for _, a := range addrs {
			if got := scopeOf(netip.MustParseAddr(a).Unmap()); got != want {
				t.Errorf("%s: %#x, want %#x", a, got, want)
			}
		}
	}
}

// a multicast address carries its scope, whatever its flags are.
func TestMulticastScope(t *testing.T) {
	for _, want := range []scope{1, 2, 4, 5, 8, 0xe} {
		for _, flags := range []int{0, 1, 3} {
			a := netip.MustParseAddr(fmt.Sprintf("ff%x%x::1", flags, want))
			if got := scopeOf(a); got != want {
				t.Errorf("%s: %#x, want %#x", a, got, want)
			}
		}
	}
}
