package addrsel

import "net/netip"

// Family is an address family. The zero value is FamilyAny.
type Family uint8

const (
	// FamilyAny is no particular family.
	FamilyAny Family = iota
	// FamilyIPv4 is IPv4, IPv4-mapped IPv6 addresses included.
	FamilyIPv4
	// FamilyIPv6 is IPv6.
	FamilyIPv6
)

var familyNames = []string{"any", "ipv4", "ipv6"}

// String returns a stable word such as "ipv6".
func (f Family) String() string {
	if int(f) >= len(familyNames) {
		return "?"
	}
	return familyNames[f]
}

// Other returns the other of the two families.
func (f Family) Other() Family {
	if f == FamilyIPv4 {
		return FamilyIPv6
	}
	return FamilyIPv4
}

// FamilyOf returns the family of an address. An IPv4-mapped IPv6 address is
// FamilyIPv4, the zero Addr is FamilyAny.
func FamilyOf(a netip.Addr) Family {
	switch a = a.Unmap(); {
	case a.Is4():
		return FamilyIPv4
	case a.Is6():
		return FamilyIPv6
	}
	return FamilyAny
}
