package policy

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// An IPv4 address that is denied is denied in all that may become a packet to it. The
// addresses are written out by hand, from the RFCs' own pictures.
func TestCheckDeniesWhatIsInside(t *testing.T) {
	const metadata = "link-local address 169.254.169.254 inside it"
	for addr, reason := range map[string]string{
		"::169.254.169.254":        metadata, // IPv4-compatible
		"::ffff:0:169.254.169.254": metadata, // IPv4-translated
		"2002:a9fe:a9fe::1":        metadata, // 6to4
		"2002:a9fe:a9fe:1:2:3:4:5": metadata,

		// NAT64: 96 bits, then 32 to 64 of them, in which octet 8 is left out.
		"64:ff9b::169.254.169.254":           metadata,
		"64:ff9b:1::a9fe:a9fe":               metadata,
		"64:ff9b:1:ffff:0:7:169.254.169.254": metadata,
		"64:ff9b:a9fe:a9fe::":                metadata,
		"64:ff9b:a9:fea9:fe::":               metadata, // 40 bits
		"64:ff9b:1:a9fe:a9:fe00::":           metadata, // 48 bits
		"64:ff9b:1:a9:fe:a9fe::":             metadata, // 56 bits
		"64:ff9b:1::a9:fea9:fe00:0":          metadata, // 64 bits
		"64:ff9b:1:9:a9:fea9:fe00:0":         metadata,
		"64:ff9b:1:a9fe:ffa9:feff:ffff:ffff": metadata, // neither octet 8 nor the rest count
		"64:ff9b::e000:1":                    "multicast address 224.0.0.1 inside it",
		"64:ff9b:1::ffff:ffff":               "broadcast address 255.255.255.255 inside it",
		"64:ff9b:1::":                        "unspecified address 0.0.0.0 inside it",
		"64:ff9b::1":                         "unspecified address 0.0.0.1 inside it",
		"64:ff9b:1:e000::192.0.2.1":          "multicast address 224.0.0.0 inside it", // one reading is enough

		// Teredo: the server as it is, the client inverted.
		"2001:0:a9fe:a9fe:8000:ffff:3fff:fdfe": metadata,
		"2001:0:c000:201:8000:ffff:5601:5601":  metadata,
		"2001::8000:ffff:3fff:fdfe":            "unspecified address 0.0.0.0 inside it",
		"2001:0:c000:201:8000:ffff:1fff:fffe":  "multicast address 224.0.0.1 inside it",

		// ISATAP, in whatever network; also in one that has another address in it.
		"2001:db8::5efe:169.254.169.254":         metadata,
		"2001:db8:1:2:200:5efe:a9fe:a9fe":        metadata,
		"2001:db8:1:2:300:5efe:a9fe:a9fe":        metadata,
		"fd00::100:5efe:224.0.0.1":               "multicast address 224.0.0.1 inside it",
		"2002:c000:201::5efe:a9fe:a9fe":          metadata,
		"2001:0:c000:201:0:5efe:169.254.169.254": metadata,
	} {
		_, err := Check(netip.AddrPortFrom(netip.MustParseAddr(addr), 80))
		if denied, ok := errors.AsType[*DeniedError](err); !ok || denied.Reason != reason {
			t.Errorf("Check(%s) = %v, want a denial because of %q", addr, err, reason)
		}
	}
}

// What is legitimate stays allowed: IPv4 addresses that are no trouble, and addresses
// that only look as if they had one inside.
func TestCheckAllowsWhatIsInside(t *testing.T) {
	for addr := range strings.FieldsSeq(`
		::192.0.2.1 ::ffff:0:192.0.2.1 ::ffff:0:127.0.0.1
		2002:c000:201::1 2002:c000:201::a9fe:a9fe
		64:ff9b::192.0.2.1 64:ff9b::10.0.0.1 64:ff9b::127.0.0.1 64:ff9b::254.169.254.169
		64:ff9b:1::192.0.2.1 64:ff9b:1:ffff::192.0.2.1
		64:ff9b:1:c000:2:100:: 64:ff9b:1:c0:0:201:: 64:ff9b:1::c0:2:100:0
		2001:0:c000:201:8000:ffff:3fff:fdfe 2001:0:c000:201:8000:ffff:a9fe:a9fe
		2001:db8::5efe:192.0.2.1 2001:db8::200:5efe:192.0.2.1
		2001:db8::a9fe:a9fe 2001:db8:a9fe:a9fe::1 2001:db8::5eff:a9fe:a9fe 2001:db8::400:5efe:a9fe:a9fe
		2001:db8::1:5efe:a9fe:a9fe 2003:a9fe:a9fe::1 64:ff9c::a9fe:a9fe 2001:1::1
		::1 fd00::1 fd00:ec2::254
	`) {
		endpoint := netip.AddrPortFrom(netip.MustParseAddr(addr), 443)
		if allowed, err := Check(endpoint); err != nil || allowed.Endpoint() != endpoint {
			t.Errorf("Check(%s) = %v, %v, want it allowed as it is", addr, allowed, err)
		}
	}
}

// FuzzInside puts any IPv4 address into any IPv6 one, in every way there is: it is
// denied where the IPv4 address is. Octets are written one by one here, and prefixes as
// numbers, unlike in the policy.
func FuzzInside(f *testing.F) {
	f.Add([]byte{169, 254, 169, 254}, make([]byte, 16), uint8(0))
	f.Add([]byte{224, 0, 0, 1}, netip.MustParseAddr("2001:db8::1").AsSlice(), uint8(9))
	f.Add([]byte{255, 255, 255, 255}, netip.IPv6LinkLocalAllNodes().AsSlice(), uint8(4))
	f.Fuzz(func(t *testing.T, inner, outer []byte, form uint8) {
		if len(inner) != 4 || len(outer) != 16 {
			return
		}
		v4, b := [4]byte(inner), [16]byte(outer)
		carriers[int(form)%len(carriers)](&b, v4)
		_, denied := Check(netip.AddrPortFrom(netip.AddrFrom4(v4), 80))
		if _, err := Check(netip.AddrPortFrom(netip.AddrFrom16(b), 80)); denied != nil && v4[0] != 0 && err == nil {
			t.Errorf("%v is denied, and %s gets through", v4, netip.AddrFrom16(b))
		}
	})
}

// carriers put an IPv4 address into an IPv6 one and leave alone what does not matter.
var carriers = []func(b *[16]byte, v4 [4]byte){
	func(b *[16]byte, v4 [4]byte) { *b = [16]byte{12: v4[0], 13: v4[1], 14: v4[2], 15: v4[3]} },
	func(b *[16]byte, v4 [4]byte) { *b = [16]byte{10: 0xff, 0xff, v4[0], v4[1], v4[2], v4[3]} },
	func(b *[16]byte, v4 [4]byte) { *b = [16]byte{8: 0xff, 0xff, 0, 0, v4[0], v4[1], v4[2], v4[3]} },
	func(b *[16]byte, v4 [4]byte) { *b = [16]byte{1: 0x64, 0xff, 0x9b, 12: v4[0], v4[1], v4[2], v4[3]} },
	inLocalNAT64(func(b *[16]byte, v4 [4]byte) { b[6], b[7], b[9], b[10] = v4[0], v4[1], v4[2], v4[3] }),
	inLocalNAT64(func(b *[16]byte, v4 [4]byte) { b[7], b[9], b[10], b[11] = v4[0], v4[1], v4[2], v4[3] }),
	inLocalNAT64(func(b *[16]byte, v4 [4]byte) { b[9], b[10], b[11], b[12] = v4[0], v4[1], v4[2], v4[3] }),
	inLocalNAT64(func(b *[16]byte, v4 [4]byte) { b[12], b[13], b[14], b[15] = v4[0], v4[1], v4[2], v4[3] }),
	func(b *[16]byte, v4 [4]byte) {
		b[0], b[1], b[2], b[3], b[4], b[5] = 0x20, 0x02, v4[0], v4[1], v4[2], v4[3]
	},
	func(b *[16]byte, v4 [4]byte) {
		b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15] = 0x00, 0, 0x5e, 0xfe, v4[0], v4[1], v4[2], v4[3]
	},
	func(b *[16]byte, v4 [4]byte) {
		b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15] = 0x02, 0, 0x5e, 0xfe, v4[0], v4[1], v4[2], v4[3]
	},
	func(b *[16]byte, v4 [4]byte) { // Teredo's server
		copy(b[:8], []byte{0x20, 0x01, 0, 0, v4[0], v4[1], v4[2], v4[3]})
	},
	func(b *[16]byte, v4 [4]byte) { // Teredo's client
		copy(b[:4], []byte{0x20, 0x01, 0, 0})
		copy(b[12:], []byte{v4[0] ^ 0xff, v4[1] ^ 0xff, v4[2] ^ 0xff, v4[3] ^ 0xff})
	},
}

func inLocalNAT64(put func(b *[16]byte, v4 [4]byte)) func(b *[16]byte, v4 [4]byte) {
	return func(b *[16]byte, v4 [4]byte) {
		copy(b[:6], []byte{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01})
		put(b, v4)
	}
}

// Every way keeps every denied address out, whatever stands around it.
func TestNoWayIn(t *testing.T) {
	fill := []byte{0x00, 0xff, 0x5e, 0x01}
	for i, put := range carriers {
		for _, v4 := range [][4]byte{{169, 254, 169, 254}, {224, 0, 0, 1}, {239, 255, 255, 255}, {255, 255, 255, 255}} {
			for _, around := range fill {
				var b [16]byte
				for j := range b {
					b[j] = around
				}
				put(&b, v4)
				if _, err := Check(netip.AddrPortFrom(netip.AddrFrom16(b), 80)); err == nil {
					t.Errorf("way %d: %v gets through in %s", i, v4, netip.AddrFrom16(b))
				}
			}
		}
	}
}

// Nearly every address that is checked has nothing inside, and costs no memory.
func TestCheckAllocatesNothing(t *testing.T) {
	for _, e := range []string{"192.0.2.1:80", "[2001:db8::1]:80", "[64:ff9b:1::192.0.2.1]:80"} {
		endpoint := netip.MustParseAddrPort(e)
		if n := testing.AllocsPerRun(10, func() { _, _ = Check(endpoint) }); n != 0 {
			t.Errorf("Check(%s) allocates %v times", e, n)
		}
	}
}
