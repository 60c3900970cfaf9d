package policy

import (
	"cmp"
	"net/netip"
)

// Networks whose IPv6 addresses carry IPv4 ones.
var (
	compatible = netip.MustParsePrefix("::/96")           // RFC 4291 section 2.5.5.1
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765 section 2.1
	teredo     = netip.MustParsePrefix("2001::/32")       // RFC 4380 section 2.6
	sixToFour  = netip.MustParsePrefix("2002::/16")       // RFC 3056 section 2

	// nat64 has the well-known prefix 64:ff9b::/96 (RFC 6052 section 2.1), and nothing
	// else is in it but localNAT64 (RFC 8215), of which an operator takes a part of a
	// length of his own.
	nat64      = netip.MustParsePrefix("64:ff9b::/32")
	localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48")
)

// nat64Octets are where an IPv4 address is behind a prefix of 32, 40, 48, 56, 64 and 96
// bits. RFC 6052 section 2.2: octet 8 is left out, and what follows the address does not
// count.
var nat64Octets = [...][4]int{
	{4, 5, 6, 7},
	{5, 6, 7, 9},
	{6, 7, 9, 10},
	{7, 9, 10, 11},
	{9, 10, 11, 12},
	{12, 13, 14, 15},
}

// localOctets are those of the lengths that a part of localNAT64 can have.
var localOctets = nat64Octets[2:]

// denialInside returns why an IPv4 address that a translator or a tunnel may take out
// of addr is denied, or "".
func denialInside(addr netip.Addr) string {
	b := addr.As16()
	reason := ""
	switch {
	case compatible.Contains(addr), translated.Contains(addr):
		reason = carried([4]byte(b[12:16]))
	case localNAT64.Contains(addr):
		reason = denialBehindNAT64(b, localOctets)
	case nat64.Contains(addr):
		reason = denialBehindNAT64(b, nat64Octets[:])
	case sixToFour.Contains(addr):
		reason = carried([4]byte(b[2:6]))
	case teredo.Contains(addr):
		// RFC 4380 section 4: the server, and the client with every bit inverted.
		// Packets go to both.
		reason = cmp.Or(carried([4]byte(b[4:8])), carried([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	if reason == "" && isISATAP(b) {
		reason = carried([4]byte(b[12:16]))
	}
	return reason
}

// denialBehindNAT64 reads b with every length that the prefix can have. The zeros of one
// length look like 0.0.0.0 to another: 64:ff9b::192.0.2.1 is 0.0.0.192 behind 64 bits.
// So such a reading counts only if there is no other.
func denialBehindNAT64(b [16]byte, octets [][4]int) string {
	plausible := false
	for _, at := range octets {
		inner := [4]byte{b[at[0]], b[at[1]], b[at[2]], b[at[3]]}
		if thisNetwork.Contains(netip.AddrFrom4(inner)) {
			continue
		}
		plausible = true
		if reason := carried(inner); reason != "" {
			return reason
		}
	}
	if plausible {
		return ""
	}
	return carried([4]byte(b[12:16]))
}

// isISATAP recognizes RFC 5214 section 6.1's interface identifier, in any network. Its
// bits u and g may have any value.
func isISATAP(b [16]byte) bool {
	const universalAndGroup = 0x03
	return b[8]&^universalAndGroup == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// carried returns why an IPv4 address that is inside an IPv6 one is denied, or "".
func carried(inner [4]byte) string {
	addr := netip.AddrFrom4(inner)
	if reason := denial(addr); reason != "" {
		return reason + " " + addr.String() + " inside it"
	}
	return ""
}
