package addrsel

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
)

// Row is one row of a policy table.
type Row struct {
	// Prefix the row is about. IPv4 counts as ::ffff:0:0/96, so 10.0.0.0/8 and
	// ::ffff:10.0.0.0/104 are the same prefix. An invalid Prefix covers nothing.
	Prefix netip.Prefix
	// Precedence of a destination under the prefix: the higher is preferred.
	Precedence int
	// Label is equal for a destination and a source that belong together.
	Label int
}

// Policy is a policy table (RFC 6724 section 2.1). The row of the longest
// prefix that covers an address counts; the order of the rows matters only
// between rows of the same prefix, where it is the first. A nil or empty Policy
// is DefaultPolicy.
//
// An address that no row covers comes last: its precedence is the lowest there
// is, and its label matches only other addresses without a row.
type Policy []Row

// DefaultPolicy returns the table of RFC 6724 section 2.1. It is a copy.
func DefaultPolicy() Policy { return slices.Clone(defaultPolicy) }

var defaultPolicy = Policy{
	{netip.MustParsePrefix("::1/128"), 50, 0},
	{netip.MustParsePrefix("::/0"), 40, 1},
	{netip.MustParsePrefix("::ffff:0:0/96"), 35, 4},
	{netip.MustParsePrefix("2002::/16"), 30, 2},
	{netip.MustParsePrefix("2001::/32"), 5, 5},
	{netip.MustParsePrefix("fc00::/7"), 3, 13},
	{netip.MustParsePrefix("::/96"), 1, 3},
	{netip.MustParsePrefix("fec0::/10"), 1, 11},
	{netip.MustParsePrefix("3ffe::/16"), 1, 12},
}

// uncovered is the row of an address that no row covers.
var uncovered = Row{Precedence: math.MinInt, Label: math.MinInt}

// mappedBits is the length of ::ffff:0:0/96, under which IPv4 is looked up.
const mappedBits = 96

// table is a policy made ready for look-ups: prefixes are IPv6, longest first.
type table []Row

// load fills the table anew, in the memory it has.
func (t table) load(p Policy) table {
	if len(p) == 0 {
		p = defaultPolicy
	}
	t = t[:0]
	for _, row := range p {
		if !row.Prefix.IsValid() {
			continue
		}
		if a := row.Prefix.Addr(); a.Is4() {
			row.Prefix = netip.PrefixFrom(mapped(a), mappedBits+row.Prefix.Bits())
		}
		t = append(t, row)
	}
	slices.SortStableFunc(t, func(a, b Row) int { return cmp.Compare(b.Prefix.Bits(), a.Prefix.Bits()) })
	return t
}

// find returns the row of the longest prefix that covers a.
func (t table) find(a netip.Addr) Row {
	a = mapped(a)
	for i := range t {
		if t[i].Prefix.Contains(a) {
			return t[i]
		}
	}
	return uncovered
}

// mapped returns an IPv4 address as ::ffff:a.b.c.d (RFC 6724 section 3.2) and
// an IPv6 address without its zone, which no prefix would contain.
func mapped(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.As16()) }
