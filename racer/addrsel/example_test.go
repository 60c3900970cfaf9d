package addrsel_test

import (
	"fmt"
	"net/netip"

	"github.com/connrace/connrace/racer/addrsel"
)

var (
	v4Source = netip.MustParseAddr("192.0.2.1")
	v6Source = netip.MustParseAddr("2001:db8::1")
)

func Example() {
	dests := []addrsel.Destination{
		{Addr: netip.MustParseAddr("198.51.100.7"), Source: v4Source},
		{Addr: netip.MustParseAddr("2001:db8:5::7"), Source: v6Source},
		{Addr: netip.MustParseAddr("2001:db8:6::7"), Source: v6Source},
		{Addr: netip.MustParseAddr("fe80::7%eth0")},
	}
	var ranker addrsel.Ranker
	for _, p := range ranker.Rank(dests, addrsel.Config{}) {
		fmt.Printf("%-14s %s\n", dests[p.Index].Addr, p.Reason.Text())
	}
	// Output:
	// 2001:db8:5::7  the policy table gives it a higher precedence
	// 198.51.100.7   the address families take turns
	// 2001:db8:6::7  this host has a source address for it and none for the next
	// fe80::7%eth0   nothing follows
}

func ExampleConfig() {
	dests := []addrsel.Destination{
		{Addr: netip.MustParseAddr("2001:db8:5::7"), Source: v6Source},
		{Addr: netip.MustParseAddr("198.51.100.7"), Source: v4Source},
		{Addr: netip.MustParseAddr("198.51.100.8"), Source: v4Source},
	}
	cfg := addrsel.Config{PreferredFamily: addrsel.FamilyIPv4, FirstFamilyCount: 2}
	var ranker addrsel.Ranker
	for _, p := range ranker.Rank(dests, cfg) {
		fmt.Printf("%-13s %-16s %s\n", dests[p.Index].Addr, p.Reason, p.Reason.Rule())
	}
	// Output:
	// 198.51.100.7  input_order      RFC 6724 rule 10
	// 198.51.100.8  preferred_family caller's preference
	// 2001:db8:5::7 last
}

func ExamplePolicy() {
	policy := append(addrsel.DefaultPolicy(),
		// RFC 6724 section 10.6: the site's own unique local addresses first.
		addrsel.Row{Prefix: netip.MustParsePrefix("fd11:1111:1111::/48"), Precedence: 45, Label: 14})
	dests := []addrsel.Destination{
		{Addr: netip.MustParseAddr("2001:db8:2::2"), Source: v6Source},
		{Addr: netip.MustParseAddr("fd11:1111:1111:2::2"), Source: netip.MustParseAddr("fd11:1111:1111:1::1")},
	}
	var ranker addrsel.Ranker
	for _, p := range ranker.Rank(dests, addrsel.Config{Policy: policy}) {
		fmt.Println(dests[p.Index].Addr, p.Reason)
	}
	// Output:
	// fd11:1111:1111:2::2 precedence
	// 2001:db8:2::2 last
}
