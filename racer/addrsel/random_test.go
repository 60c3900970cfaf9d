package addrsel

import (
	"math/rand/v2"
	"net/netip"
)

// The pools are small and their members near to each other, so that random
// lists tie at every rule.
var (
	somePolicies = []Policy{
		nil,
		{{netip.MustParsePrefix("::/0"), 40, 1}},
		{{netip.MustParsePrefix("::/0"), 40, 1}, {netip.MustParsePrefix("::ffff:0:0/96"), 100, 4}},
		{{netip.MustParsePrefix("10.0.0.0/8"), -3, 4}, {netip.MustParsePrefix("2001:db8:1::/48"), 7, 4}},
		append(DefaultPolicy(), Row{netip.MustParsePrefix("fd11:1111:1111::/48"), 45, 14}),
	}
	someAddrs = parseAddrs(
		"2001:db8:1::1", "2001:db8:1::2", "2001:db8:1:2::1", "2001:db8:2::1", "2001:db8:3ffe::1",
		"2001:db8:3f44::2", "2002:c633:6401::1", "2001::1", "fd11:1111:1111:1::1", "fd22:2222:2222:2::2",
		"fe80::1", "fe80::2%eth0", "fec0::1", "::1", "64:ff9b::c633:6401", "ff05::1", "ff02::1", "ff0e::1",
		"198.51.100.1", "198.51.100.200", "203.0.113.1", "192.0.2.9", "10.1.2.3", "10.1.2.4",
		"127.0.0.1", "169.254.13.78", "::ffff:198.51.100.1", "::ffff:10.1.2.3", "224.0.0.1",
	)
	someBits = []int{-1, 0, 0, 8, 16, 24, 32, 48, 64, 128, 500}
)

func parseAddrs(texts ...string) []netip.Addr {
	addrs := make([]netip.Addr, len(texts))
	for i, s := range texts {
		addrs[i] = netip.MustParseAddr(s)
	}
	return addrs
}

func pick[T any](rng *rand.Rand, pool []T) T { return pool[rng.IntN(len(pool))] }

func randomConfig(rng *rand.Rand) Config {
	return Config{
		Policy:           pick(rng, somePolicies),
		PreferredFamily:  Family(rng.IntN(4)), // one of them is none
		FirstFamilyCount: rng.IntN(5) - 1,
	}
}

func randomDestinations(rng *rand.Rand, n int) []Destination {
	dests := make([]Destination, n)
	for i := range dests {
		dests[i] = randomDestination(rng)
	}
	return dests
}

// randomDestination has mostly a source of its own family, sometimes none, and
// rarely one of the other family.
func randomDestination(rng *rand.Rand) Destination {
	d := Destination{Addr: pick(rng, someAddrs), SourceBits: pick(rng, someBits)}
	if rng.IntN(5) == 0 {
		return d
	}
	d.Source = pick(rng, someAddrs)
	for rng.IntN(10) > 0 && FamilyOf(d.Source) != FamilyOf(d.Addr) {
		d.Source = pick(rng, someAddrs)
	}
	return d
}
