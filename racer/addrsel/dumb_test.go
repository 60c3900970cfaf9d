package addrsel

import (
	"math"
	"net/netip"
	"slices"
)

// The dumb alternative: the rules as questions about a pair, a selection that
// asks them about every pair, and an interleaving that takes from two queues.
// It shares no code with the package.

// dumbRank returns the order alone.
func dumbRank(dests []Destination, cfg Config) []int {
	var usable, unusable []int
	for _, i := range dumbSort(dests, cfg.Policy) {
		if dumbUsable(dests[i]) {
			usable = append(usable, i)
		} else {
			unusable = append(unusable, i)
		}
	}
	return append(dumbInterleave(dests, usable, cfg), dumbInterleave(dests, unusable, cfg)...)
}

// dumbReasons says why each index of order stands before the next. It takes the
// preferred family at its word: an inversion is the preference's if the ranking
// without it has the pair the other way round.
func dumbReasons(dests []Destination, order []int, cfg Config) []Reason {
	noPreference := cfg
	noPreference.PreferredFamily = FamilyAny
	plain := dumbRank(dests, noPreference)
	var reasons []Reason
	for n := range order {
		if n+1 == len(order) {
			reasons = append(reasons, ReasonLast)
			break
		}
		i, j := order[n], order[n+1]
		first, reason := dumbBefore(dests, i, j, cfg.Policy)
		switch {
		case first:
		case slices.Index(plain, i) > slices.Index(plain, j):
			reason = ReasonPreferredFamily
		default:
			reason = ReasonInterleave
		}
		reasons = append(reasons, reason)
	}
	return reasons
}

func dumbSort(dests []Destination, p Policy) []int {
	var rest, out []int
	for i := range dests {
		rest = append(rest, i)
	}
	for len(rest) > 0 {
		best := 0
		for n := range rest {
			if first, _ := dumbBefore(dests, rest[n], rest[best], p); first {
				best = n
			}
		}
		out = append(out, rest[best])
		rest = slices.Delete(rest, best, best+1)
	}
	return out
}

func dumbInterleave(dests []Destination, order []int, cfg Config) []int {
	if len(order) == 0 {
		return nil
	}
	var queues [2][]int // of the family of the first, of the other
	for _, i := range order {
		q := 0
		if dumbIs4(dests[i]) != dumbIs4(dests[order[0]]) {
			q = 1
		}
		queues[q] = append(queues[q], i)
	}
	if len(queues[1]) > 0 && cfg.PreferredFamily != FamilyAny && cfg.PreferredFamily == dumbFamily(dests[queues[1][0]]) {
		queues[0], queues[1] = queues[1], queues[0]
	}
	head := min(max(1, cfg.FirstFamilyCount), len(queues[0]))
	out := slices.Clone(queues[0][:head])
	queues[0] = queues[0][head:]
	for turn := 1; len(queues[0])+len(queues[1]) > 0; turn = 1 - turn {
		if len(queues[turn]) > 0 {
			out = append(out, queues[turn][0])
			queues[turn] = queues[turn][1:]
		}
	}
	return out
}

func dumbBefore(dests []Destination, i, j int, p Policy) (bool, Reason) {
	a, b := dests[i], dests[j]
	both := dumbUsable(a) && dumbUsable(b)
	switch {
	case dumbUsable(a) && !dumbUsable(b), !dumbUsable(a) && dumbUsable(b):
		return dumbUsable(a), ReasonUsable
	case both && dumbSameScope(a) != dumbSameScope(b):
		return dumbSameScope(a), ReasonMatchingScope
	case both && dumbSameLabel(a, p) != dumbSameLabel(b, p):
		return dumbSameLabel(a, p), ReasonMatchingLabel
	case dumbRow(a.Addr, p).Precedence != dumbRow(b.Addr, p).Precedence:
		return dumbRow(a.Addr, p).Precedence > dumbRow(b.Addr, p).Precedence, ReasonPrecedence
	case dumbScope(a.Addr) != dumbScope(b.Addr):
		return dumbScope(a.Addr) < dumbScope(b.Addr), ReasonSmallerScope
	case dumbIs4(a) != dumbIs4(b):
		return dumbIs4(b), ReasonFamily
	case both && dumbCommon(a) != dumbCommon(b):
		return dumbCommon(a) > dumbCommon(b), ReasonLongestPrefix
	}
	return i < j, ReasonInputOrder
}

func dumbUsable(d Destination) bool { return d.Addr.IsValid() && d.Source.IsValid() }

func dumbIs4(d Destination) bool { return d.Addr.Is4() || d.Addr.Is4In6() }

func dumbFamily(d Destination) Family {
	if dumbIs4(d) {
		return FamilyIPv4
	}
	return FamilyIPv6
}

func dumbSameScope(d Destination) bool { return dumbScope(d.Addr) == dumbScope(d.Source) }

func dumbSameLabel(d Destination, p Policy) bool {
	return dumbRow(d.Addr, p).Label == dumbRow(d.Source, p).Label
}

func dumbScope(a netip.Addr) int {
	in := func(start string, bits int) bool { return dumbShare(a, netip.MustParseAddr(start)) >= bits }
	switch {
	case in("ff00::", 8):
		return int(a.As16()[1]) % 16
	case in("fe80::", 10), in("::1", 128), in("127.0.0.0", 96+8), in("169.254.0.0", 96+16):
		return 2
	case in("fec0::", 10):
		return 5
	}
	return 14
}

// dumbRow looks at every row and keeps the longest. The policies it is used with
// have only valid prefixes.
func dumbRow(a netip.Addr, p Policy) Row {
	if len(p) == 0 {
		p = DefaultPolicy()
	}
	found, longest := Row{Precedence: math.MinInt, Label: math.MinInt}, -1
	for _, row := range p {
		start, bits := row.Prefix.Addr(), row.Prefix.Bits()
		if start.Is4() {
			bits += 96
		}
		if bits > longest && dumbShare(a, start) >= bits {
			found, longest = row, bits
		}
	}
	return found
}

func dumbCommon(d Destination) int {
	src4, dst4 := d.Source.Is4() || d.Source.Is4In6(), dumbIs4(d)
	switch bits := d.SourceBits; {
	case src4 != dst4, src4 && bits <= 0:
		return 0
	case src4:
		return min(dumbShare(d.Source, d.Addr)-96, bits)
	case bits <= 0:
		return min(dumbShare(d.Source, d.Addr), 64)
	default:
		return min(dumbShare(d.Source, d.Addr), bits)
	}
}

// dumbShare counts equal leading bits, one by one, of two 128-bit addresses.
func dumbShare(a, b netip.Addr) int {
	x, y := a.As16(), b.As16()
	for n := range 128 {
		mask := byte(128) >> (n % 8)
		if x[n/8]&mask != y[n/8]&mask {
			return n
		}
	}
	return 128
}
