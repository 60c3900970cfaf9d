package sim

import (
	"net/netip"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// lookup asks for the records of all types at once. It calls found once, when the
// last answer is in, with the addresses of all that were positive: what the C
// library's getaddrinfo does, and Go's resolver. None: the name has no address.
func lookup(h *Host, types []sched.RecordType, found func([]netip.Addr)) {
	var addrs []netip.Addr
	waiting := len(types)
	if waiting == 0 {
		h.After(0, func() { found(nil) })
	}
	for _, t := range types {
		h.Lookup(t, func(a Answer) {
			addrs = append(addrs, a.Addrs...)
			if waiting--; waiting == 0 {
				found(ordered(h, addrs))
			}
		})
	}
}

// bothTypes are what a program asks for that takes any family.
var bothTypes = []sched.RecordType{sched.A, sched.AAAA}

// ordered returns addrs by RFC 6724, each family in one piece, for no peer looks
// at the order across families but for which of them comes first. Rule 9 does not
// count among IPv4 addresses: Go leaves it out there, the C library unless source
// and destination are on one link. All use the RFC's policy table here; that of
// the C library is older (RFC 3484's), which shows with unique local addresses
// and 6to4 only.
func ordered(h *Host, addrs []netip.Addr) []netip.Addr {
	dests := make([]addrsel.Destination, len(addrs))
	for i, a := range addrs {
		source, _ := h.Source(a)
		dests[i] = addrsel.Destination{Addr: a, Source: source}
	}
	var ranker addrsel.Ranker
	inOrder := make([]netip.Addr, 0, len(addrs))
	for _, p := range ranker.Rank(dests, addrsel.Config{FirstFamilyCount: len(addrs)}) {
		inOrder = append(inOrder, addrs[p.Index])
	}
	return inOrder
}

// byFamily divides addrs into those of the first one's family and the others.
func byFamily(addrs []netip.Addr) (first, second []netip.Addr) {
	for _, a := range addrs {
		if addrsel.FamilyOf(a) == addrsel.FamilyOf(addrs[0]) {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	return first, second
}
