package addrsel

import (
	"cmp"
	"slices"
)

// defaultFirstFamilyCount is recommended by RFC 8305 section 8.
const defaultFirstFamilyCount = 1

// interleave rearranges keys, all usable or all unusable and in the order of
// RFC 6724, so that the families alternate: RFC 8305 section 4.
func interleave(keys []key, cfg Config) {
	if len(keys) == 0 {
		return
	}
	count := cfg.FirstFamilyCount
	if count < 1 {
		count = defaultFirstFamilyCount
	}
	count = min(count, len(keys)) // more makes no difference, and slot cannot overflow
	plainFirst := keys[0].family
	first := firstFamily(keys, cfg.PreferredFamily)

	var seen [FamilyIPv6 + 1]int
	for i := range keys {
		k := &keys[i]
		n := seen[k.family]
		seen[k.family]++
		k.slot = slot(n, count, k.family == first)
		k.plainSlot = slot(n, count, k.family == plainFirst)
	}
	slices.SortFunc(keys, bySlot)
}

// firstFamily is the preferred family if it has an address, else the one that
// RFC 6724 puts first.
func firstFamily(keys []key, preferred Family) Family {
	if slices.ContainsFunc(keys, func(k key) bool { return k.family == preferred }) {
		return preferred
	}
	return keys[0].family
}

// slot is where the nth address (from 0) of its family stands when neither
// family runs out; when one does, its slots stay empty. RFC 8305 leaves open
// what comes after the other family's first address: here it is strict
// alternation. With a First Address Family Count of 2:
//
//	slot    0  1  2  3  4  5  6
//	first   0  1     2     3
//	other         0     1     2
func slot(n, count int, first bool) int {
	switch {
	case !first:
		return count + 2*n
	case n < count:
		return n
	}
	return 2*n - count + 1
}

func bySlot(a, b key) int { return cmp.Compare(a.slot, b.slot) }
