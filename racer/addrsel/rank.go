package addrsel

import (
	"net/netip"
	"slices"
)

// Destination is an address to rank, with what this host knows about it.
type Destination struct {
	// Addr is where to connect to. An IPv4-mapped IPv6 address is treated as
	// IPv4, a zone does not count. The zero Addr is an unusable IPv6 address.
	Addr netip.Addr

	// Source is the address this host would send from. The zero Addr: there is
	// none, so the destination is unusable.
	Source netip.Addr

	// SourceBits is the length in bits of the source's on-link prefix, 0 to 32
	// for IPv4 and 0 to 128 for IPv6. Zero or less: unknown. Then it is 64 for
	// IPv6, while an IPv4 address has no prefix in common with its source.
	SourceBits int
}

// Config says how to rank. The zero value follows the recommendations of RFC
// 6724 and RFC 8305.
type Config struct {
	// Policy gives precedences and labels. Nil or empty: DefaultPolicy.
	Policy Policy

	// PreferredFamily begins the interleaving when it has an address.
	// FamilyAny: the family of the address that RFC 6724 puts first.
	PreferredFamily Family

	// FirstFamilyCount is the number of addresses of the first family that come
	// before the first one of the other: the First Address Family Count of RFC
	// 8305 section 4. Less than 1: the recommended 1.
	FirstFamilyCount int
}

// Position is one place in the ranking.
type Position struct {
	// Index of the destination in the input.
	Index int
	// Reason why it stands before the next one.
	Reason Reason
}

// Ranker ranks destinations. The zero value is ready to use. It keeps its
// memory from call to call, so ranking again allocates nothing, and belongs to
// one goroutine.
type Ranker struct {
	table     table
	keys      []key
	positions []Position
}

// Rank returns one position for each destination, best first. The result is
// valid until the next call; dests and cfg are neither changed nor kept.
func (r *Ranker) Rank(dests []Destination, cfg Config) []Position {
	r.table = r.table.load(cfg.Policy)
	r.keys = r.keys[:0]
	for i, d := range dests {
		r.keys = append(r.keys, keyOf(d, i, r.table))
	}
	slices.SortFunc(r.keys, byRFC6724)
	usable, unusable := split(r.keys)
	interleave(usable, cfg)
	interleave(unusable, cfg)
	return r.explain()
}

// split cuts sorted keys in front of the first unusable destination.
func split(keys []key) (usable, unusable []key) {
	n := slices.IndexFunc(keys, func(k key) bool { return !k.usable })
	if n < 0 {
		n = len(keys)
	}
	return keys[:n], keys[n:]
}

func (r *Ranker) explain() []Position {
	r.positions = r.positions[:0]
	for i := range r.keys {
		reason := ReasonLast
		if i+1 < len(r.keys) {
			reason = reasonBetween(&r.keys[i], &r.keys[i+1])
		}
		r.positions = append(r.positions, Position{Index: r.keys[i].index, Reason: reason})
	}
	return r.positions
}

// reasonBetween says why a stands before b in the final order. When RFC 6724
// wants it so, its rule is the reason. Otherwise it is the caller's preference
// if b would stand before a without it, and the interleaving if not.
//
//	RFC 6724 order   6a 4x 4y 4z 6b
//	no preference    6a 4x 6b 4y 4z    6b before 4y: interleaving
//	IPv4 preferred   4x 6a 4y 6b 4z    4x before 6a: preference; 6b before 4z: interleaving
func reasonBetween(a, b *key) Reason {
	reason, order := compare(a, b)
	switch {
	case order < 0:
		return reason
	case a.plainSlot > b.plainSlot:
		return ReasonPreferredFamily
	}
	return ReasonInterleave
}
