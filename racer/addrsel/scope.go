package addrsel

import "net/netip"

// scope is the scope of an address in the numbers of IPv6 multicast (RFC 6724
// section 3.1); a smaller number is a smaller scope. Multicast has more scopes
// than these, unicast has not: 1 is interface-local, 4 admin-local, 8
// organization-local.
type scope uint8

const (
	scopeLinkLocal scope = 0x2
	scopeSiteLocal scope = 0x5
	scopeGlobal    scope = 0xe
)

// siteLocal is deprecated (RFC 3879), but RFC 6724 section 3.1 keeps its scope.
var siteLocal = netip.MustParsePrefix("fec0::/10")

// scopeOf returns the scope of an address that is not IPv4-mapped. RFC 6724
// treats those twice: section 3.2 like IPv4, section 3.3 as global. The caller
// unmaps, so 3.2 holds; the two differ only for 127/8 and 169.254/16.
func scopeOf(a netip.Addr) scope {
	switch {
	// RFC 6724 section 3.1: a multicast address carries its scope.
	case a.Is6() && a.IsMulticast():
		return scope(a.As16()[1] & 0xf)

	// Sections 3.1, 3.2 and 3.4: fe80::/10 and 169.254/16; 127/8 and ::1.
	case a.IsLinkLocalUnicast(), a.IsLoopback():
		return scopeLinkLocal

	// Section 3.1.
	case siteLocal.Contains(a.WithZone("")):
		return scopeSiteLocal
	}
	// All else is global: private IPv4 addresses (section 3.2), IPv6 addresses
	// with an IPv4 address in them (3.3), unknown formats (3.4) and unique local
	// addresses (3.1).
	return scopeGlobal
}
