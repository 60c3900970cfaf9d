package addrsel

import (
	"net/netip"
	"testing"
)

// CommonPrefixLen counts up to the length of the source's prefix.
func TestCommonPrefixLen(t *testing.T) {
	tests := []struct {
		src, dst string
		bits     int
		want     int
	}{
		{"fe80::1", "fe80::2", 0, 64},
		{"fe80::1", "fe80::2", -1, 64},
		{"fe80::1", "fe80::2", 128, 126},
		{"fe80::1", "fe80::1", 500, 128},
		{"2001:db8:1::1", "2001:db8:1::2", 48, 48},
		{"2001:db8:1::1", "2001:db8:2::2", 48, 46},
		{"2001:db8:1::1", "3ffe::1", 0, 3},
		{"::1", "8000::", 0, 0},
		{"192.0.2.1", "192.0.2.9", 24, 24},
		{"192.0.2.1", "192.0.2.9", 32, 28},
		{"192.0.2.1", "192.0.2.1", 500, 32},
		{"192.0.2.1", "203.0.113.9", 24, 4},
		{"192.0.2.1", "192.0.2.9", 0, 0},
		{"192.0.2.1", "64.0.2.1", 24, 0},
		{"192.0.2.1", "::ffff:0:0", 24, 0},
		{"2001:db8::1", "192.0.2.1", 64, 0},
	}
	for _, tt := range tests {
		src, dst := netip.MustParseAddr(tt.src), netip.MustParseAddr(tt.dst)
		if got := commonPrefixLen(src, dst, tt.bits); got != tt.want {
			t.Errorf("%s/%d and %s: %d bits, want %d", src, tt.bits, dst, got, tt.want)
		}
	}
}

// a pair that one rule has decided stays decided, whatever the later ones
// say, and a tie goes to the next rule.
func TestEarlierRuleDecides(t *testing.T) {
	rules := []struct {
		reason Reason
		better func(*key)
	}{
		{ReasonUsable, func(k *key) { k.usable = true }},
		{ReasonMatchingScope, func(k *key) { k.matchingScope = true }},
		{ReasonMatchingLabel, func(k *key) { k.matchingLabel = true }},
		{ReasonPrecedence, func(k *key) { k.precedence = 50 }},
		{ReasonSmallerScope, func(k *key) { k.scope = scopeLinkLocal }},
		{ReasonFamily, func(k *key) { k.family = FamilyIPv6 }},
		{ReasonLongestPrefix, func(k *key) { k.common = 64 }},
		{ReasonInputOrder, func(k *key) { k.index = 0 }},
	}
	worst := key{index: 1, family: FamilyIPv4, scope: scopeGlobal, precedence: 1}
	for i, rule := range rules {
		a, b := worst, worst
		for _, earlier := range rules[:i] {
			earlier.better(&a)
			earlier.better(&b)
		}
		rule.better(&a)
		for _, later := range rules[i+1:] {
			later.better(&b)
		}
		if reason, order := compare(&a, &b); order >= 0 || reason != rule.reason {
			t.Errorf("%v against all later rules: %v, %d", rule.reason, reason, order)
		}
		if reason, order := compare(&b, &a); order <= 0 || reason != rule.reason {
			t.Errorf("%v against all later rules, turned round: %v, %d", rule.reason, reason, order)
		}
	}
}

func TestMappedIsIPv4(t *testing.T) {
	v4 := withBits(dest("198.51.100.1", "198.51.100.2"), 24)
	mapped := withBits(dest("::ffff:198.51.100.1", "::ffff:198.51.100.2"), 24)
	table := tableOf(nil)
	if got, want := keyOf(mapped, 3, table), keyOf(v4, 3, table); got != want {
		t.Errorf("mapped %+v, IPv4 %+v", got, want)
	}
}

func TestInvalidAddrIsUnusable(t *testing.T) {
	d := Destination{Source: netip.MustParseAddr("2001:db8::1")}
	if k := keyOf(d, 0, tableOf(nil)); k.usable || k.family != FamilyIPv6 {
		t.Errorf("%+v, want an unusable IPv6 address", k)
	}
}

func TestFamilyOf(t *testing.T) {
	tests := map[string]Family{"192.0.2.1": FamilyIPv4, "::ffff:192.0.2.1": FamilyIPv4, "::192.0.2.1": FamilyIPv6, "fe80::1%eth0": FamilyIPv6}
	for addr, want := range tests {
		if got := FamilyOf(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
	if got := FamilyOf(netip.Addr{}); got != FamilyAny {
		t.Errorf("the zero Addr: %v, want any", got)
	}
	for f, want := range []string{"any", "ipv4", "ipv6", "?"} {
		if got := Family(f).String(); got != want {
			t.Errorf("Family(%d) is %q, want %q", f, got, want)
		}
	}
}
