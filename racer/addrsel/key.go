package addrsel

import (
	"cmp"
	"math/bits"
	"net/netip"
)

// unknownIPv6Bits is the prefix length of an IPv6 source whose own is unknown:
// an interface identifier has 64 bits (RFC 4291 section 2.5.1), and RFC 6724
// section 2.2 counts only what is not part of it.
const unknownIPv6Bits = 64

// key is all that counts about one destination.
type key struct {
	index         int // in the input
	family        Family
	usable        bool
	matchingScope bool // false if unusable
	matchingLabel bool // false if unusable
	scope         scope
	precedence    int
	common        int // bits in common with the source's prefix; 0 if unusable

	// Where it stands in the interleaving, and where it would stand if the
	// caller preferred no family. Comparable among keys equally usable.
	slot, plainSlot int
}

func keyOf(d Destination, index int, t table) key {
	dst, src := d.Addr.Unmap(), d.Source.Unmap()
	row := t.find(dst)
	k := key{
		index:      index,
		family:     FamilyIPv6,
		usable:     dst.IsValid() && src.IsValid(),
		scope:      scopeOf(dst),
		precedence: row.Precedence,
	}
	if dst.Is4() {
		k.family = FamilyIPv4
	}
	if k.usable {
		k.matchingScope = scopeOf(src) == k.scope
		k.matchingLabel = t.find(src).Label == row.Label
		k.common = commonPrefixLen(src, dst, d.SourceBits)
	}
	return k
}

func byRFC6724(a, b key) int {
	_, order := compare(&a, &b)
	return order
}

// compare returns a negative order if RFC 6724 section 6 puts a before b, a
// positive one if b before a, and the reason that decides. It is never zero for
// keys of different indexes.
func compare(a, b *key) (reason Reason, order int) {
	switch {
	// Rule 1: avoid unusable destinations. A destination is unusable if it has
	// no source; that it is unreachable is not known here.
	case a.usable != b.usable:
		return ReasonUsable, trueFirst(a.usable)

	// Rule 2: prefer the destination whose source has the same scope.
	case a.matchingScope != b.matchingScope:
		return ReasonMatchingScope, trueFirst(a.matchingScope)

	// Rules 3 and 4 (deprecated, home): see the package documentation.

	// Rule 5: prefer the destination whose source has the same label.
	case a.matchingLabel != b.matchingLabel:
		return ReasonMatchingLabel, trueFirst(a.matchingLabel)

	// Rule 6: prefer the higher precedence.
	case a.precedence != b.precedence:
		return ReasonPrecedence, cmp.Compare(b.precedence, a.precedence)

	// Rule 7 (native transport): see the package documentation.

	// Rule 8: prefer the smaller scope.
	case a.scope != b.scope:
		return ReasonSmallerScope, cmp.Compare(a.scope, b.scope)

	// Ours: rule 9 compares only within a family, so keep families together.
	case a.family != b.family:
		return ReasonFamily, cmp.Compare(b.family, a.family)

	// Rule 9: prefer the longer prefix in common with the source. For IPv4 too:
	// the RFC makes no exception.
	case a.common != b.common:
		return ReasonLongestPrefix, cmp.Compare(b.common, a.common)
	}
	// Rule 10: leave the order unchanged.
	return ReasonInputOrder, cmp.Compare(a.index, b.index)
}

func trueFirst(a bool) int {
	if a {
		return -1
	}
	return 1
}

// commonPrefixLen returns the number of leading bits that dst shares with the
// prefix of src, which is srcBits long: CommonPrefixLen of RFC 6724 section
// 2.2. Addresses of two families share nothing.
//
//	fe80::1, fe80::2                       64, not 126: the rest is the interface's
//	192.0.2.1, 192.0.2.9, srcBits 24       24
//	192.0.2.1, 192.0.2.9, srcBits unknown  0
func commonPrefixLen(src, dst netip.Addr, srcBits int) int {
	if src.Is4() != dst.Is4() {
		return 0
	}
	if srcBits <= 0 {
		if src.Is4() {
			return 0
		}
		srcBits = unknownIPv6Bits
	}
	shared := sharedBits(src.As16(), dst.As16())
	if src.Is4() {
		shared -= mappedBits
	}
	return min(shared, srcBits)
}

func sharedBits(a, b [16]byte) int {
	for i := range a {
		if differ := a[i] ^ b[i]; differ != 0 {
			return 8*i + bits.LeadingZeros8(differ)
		}
	}
	return 128
}
