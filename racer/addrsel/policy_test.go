package addrsel

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// without configuration the table of RFC 6724 section 2.1 counts, for
// every one of its rows. A-10: IPv4 is looked up as ::ffff:a.b.c.d.
func TestDefaultPolicy(t *testing.T) {
	tests := []struct {
		addr              string
		precedence, label int
	}{
		{"::1", 50, 0},
		{"2001:db8::1", 40, 1},
		{"ff02::1", 40, 1},
		{"64:ff9b::c633:6401", 40, 1},
		{"fe80::1", 40, 1},
		{"fe80::1%eth0", 40, 1},
		{"198.51.100.1", 35, 4},
		{"127.0.0.1", 35, 4},
		{"::ffff:198.51.100.1", 35, 4},
		{"2002:c633:6401::1", 30, 2},
		{"2001::1", 5, 5},
		{"fd11:1111:1111::1", 3, 13},
		{"::198.51.100.1", 1, 3},
		{"fec0::1", 1, 11},
		{"fec0::1%eth0", 1, 11},
		{"3ffe::1", 1, 12},
	}
	for _, policy := range []Policy{nil, {}, DefaultPolicy()} {
		table := tableOf(policy)
		for _, tt := range tests {
			row := table.find(netip.MustParseAddr(tt.addr))
			if row.Precedence != tt.precedence || row.Label != tt.label {
				t.Errorf("%s: %d/%d, want %d/%d", tt.addr, row.Precedence, row.Label, tt.precedence, tt.label)
			}
		}
	}
}

func TestDefaultPolicyIsACopy(t *testing.T) {
	DefaultPolicy()[0].Precedence = 1
	if got := DefaultPolicy()[0].Precedence; got != 50 {
		t.Errorf("the precedence of ::1 became %d", got)
	}
}

// the longest prefix wins, whatever the order of the rows.
func TestLongestPrefixWins(t *testing.T) {
	policy := append(DefaultPolicy(),
		Row{netip.MustParsePrefix("2001:db8::/32"), 41, 20},
		Row{netip.MustParsePrefix("2001:db8:1::/48"), 42, 21},
		Row{netip.MustParsePrefix("2001:db8:1::1/128"), 43, 22},
		Row{netip.MustParsePrefix("::ffff:10.0.0.0/104"), 44, 23},
		Row{netip.MustParsePrefix("10.1.0.0/16"), 45, 24},
	)
	tests := map[string]int{ // labels
		"2001:db9::1": 1, "2001:db8::1": 20, "2001:db8:1::2": 21, "2001:db8:1::1": 22,
		"192.0.2.1": 4, "10.2.0.1": 23, "10.1.0.1": 24, "::ffff:10.1.0.1": 24,
	}
	rng := rand.New(rand.NewPCG(6, 6))
	for range 200 {
		rng.Shuffle(len(policy), func(i, j int) { policy[i], policy[j] = policy[j], policy[i] })
		before := slices.Clone(policy)
		table := tableOf(policy)
		if !slices.Equal(policy, before) {
			t.Fatal("load changed the caller's policy")
		}
		for addr, label := range tests {
			if got := table.find(netip.MustParseAddr(addr)); got.Label != label {
				t.Errorf("%s: label %d, want %d; rows %v", addr, got.Label, label, policy)
			}
		}
	}
}

func TestFirstOfEqualPrefixesWins(t *testing.T) {
	table := tableOf(Policy{
		{netip.MustParsePrefix("10.0.0.0/8"), 1, 1},
		{netip.MustParsePrefix("::ffff:10.9.9.9/104"), 2, 2},
	})
	if got := table.find(netip.MustParseAddr("10.1.2.3")); got.Label != 1 {
		t.Errorf("label %d, want 1", got.Label)
	}
}

func TestInvalidPrefixCoversNothing(t *testing.T) {
	table := tableOf(Policy{
		{Precedence: 1, Label: 1},
		{netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), 33), 2, 2},
	})
	for _, addr := range []string{"10.0.0.1", "::", "::fffe:0:1"} {
		if got := table.find(netip.MustParseAddr(addr)); got != uncovered {
			t.Errorf("%s: %v, want no row", addr, got)
		}
	}
}

// An address without a row comes last, and its label matches only its like.
func TestUncovered(t *testing.T) {
	cfg := Config{Policy: Policy{{netip.MustParsePrefix("2001:db8::/32"), -7, 1}}}
	covered := dest("2001:db8::1", "2001:db8::2")
	other := dest("2002:c633:6401::1", "2002:c633:6401::2")
	mixed := dest("2001:db8::1", "2002:c633:6401::2")
	checkEveryInput(t, cfg, []Destination{covered, other}, ReasonPrecedence)
	checkEveryInput(t, cfg, []Destination{other, mixed}, ReasonMatchingLabel)
}

func tableOf(p Policy) table { return table(nil).load(p) }
