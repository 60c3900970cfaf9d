// Package addrsel orders destination addresses by RFC 6724 section 6,
// interleaves the families by RFC 8305 section 4, and gives a reason for every
// position.
//
//	var ranker addrsel.Ranker
//	for _, p := range ranker.Rank(dests, addrsel.Config{}) {
//		fmt.Println(dests[p.Index].Addr, p.Reason.Text())
//	}
//
// # The order
//
// RFC 6724 gives rules for pairs, and pairs can form a cycle: with equal
// precedence, rule 9 may put C before A while rule 10 keeps A before B before
// C, because rule 9 says nothing about two families. This package declares a
// total order instead. Two destinations are compared by these keys, the first
// that differs decides:
//
//  1. usable, that is with a source address (rule 1)
//  2. a source of the same scope (rule 2)
//  3. a source of the same label (rule 5)
//  4. the higher precedence (rule 6)
//  5. the smaller scope (rule 8)
//  6. the family, IPv6 first (ours; it breaks the cycle)
//  7. the longer prefix in common with the source (rule 9)
//  8. the place in the input (rule 10)
//
// So the order depends on the input order only where every other key ties.
// What is not known does not count: without a source keys 2, 3 and 7 tie, and
// so does key 7 among IPv4 addresses whose source has a prefix of unknown
// length.
//
// # The interleaving
//
// The ordered list is then rearranged so that a broken family cannot hold a
// client up: first the first family (FirstFamilyCount addresses), then one
// address of the other, one of the first, and so on. Where one family runs out
// the other goes on in its order. An unusable address never comes before a
// usable one: the usable are interleaved, and behind them the others.
//
//	RFC 6724 order       6a 6b 6c 4x 4y
//	FirstFamilyCount 1   6a 4x 6b 4y 6c
//	FirstFamilyCount 2   6a 6b 4x 6c 4y
//	IPv4 preferred       4x 6a 4y 6b 6c
//
// # What is left out
//
// Rules 3 (deprecated sources), 4 (home addresses) and 7 (native transport)
// need facts about this host's addresses and interfaces that only netlink will
// bring. The source address is the caller's business: it comes with the
// destination, the rules of RFC 6724 section 5 are not applied here. Duplicates
// are ranked like any other address.
//
// # Contract
//
// The package is pure: no I/O, no clock, no goroutine, no global state that
// changes. A Ranker belongs to one goroutine; it allocates nothing once it has
// seen a list of the same length.
package addrsel
