package addrsel

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// addresses have short names. RFC 6724 orders 6a 6b 6c and 4x 4y 4w. The source
// of 6z and 4z is of another scope, so both come after all of these; 6u, 6v and
// 4u have no source.
var addresses = map[string]Destination{
	"6a": dest("2001:db8:1::1", "2001:db8:1::9"),
	"6b": dest("2001:db8:2::1", "2001:db8:1::9"),
	"6c": dest("2001:db8:f::1", "2001:db8:1::9"),
	"4x": withBits(dest("198.51.100.1", "198.51.100.9"), 24),
	"4y": withBits(dest("198.51.101.1", "198.51.100.9"), 24),
	"4w": withBits(dest("198.51.110.1", "198.51.100.9"), 24),
	"6z": dest("2001:db8:1::2", "fe80::9"),
	"4z": dest("198.51.100.2", "169.254.1.9"),
	"6u": dest("2001:db8:1::3", ""),
	"6v": dest("2002:c633:6401::3", ""),
	"4u": dest("198.51.100.3", ""),
}

// H2-19, H3-34: after the first address comes one of the other family.
// H2-20, H3-35: the First Address Family Count. H2-13: one list with all.
func TestInterleave(t *testing.T) {
	const (
		turns     = ReasonInterleave
		higher    = ReasonPrecedence
		preferred = ReasonPreferredFamily
		longest   = ReasonLongestPrefix
		scope     = ReasonMatchingScope
		usable    = ReasonUsable
	)
	v4, v6 := FamilyIPv4, FamilyIPv6
	tests := []struct {
		cfg     Config
		want    string
		reasons []Reason
	}{
		{Config{}, "6a 4x 6b 4y 6c", []Reason{higher, turns, higher, turns}},
		{Config{PreferredFamily: v6}, "6a 4x 6b 4y 6c", []Reason{higher, turns, higher, turns}},
		{Config{PreferredFamily: 9}, "6a 4x 6b 4y 6c", []Reason{higher, turns, higher, turns}},
		{Config{FirstFamilyCount: -1}, "6a 4x 6b 4y 6c", []Reason{higher, turns, higher, turns}},
		{Config{FirstFamilyCount: 1}, "6a 4x 6b 4y 6c", []Reason{higher, turns, higher, turns}},
		{Config{FirstFamilyCount: 2}, "6a 6b 4x 6c 4y", []Reason{longest, higher, turns, higher}},
		{Config{FirstFamilyCount: 3}, "6a 6b 6c 4x 4y", []Reason{longest, longest, higher, longest}},
		{Config{FirstFamilyCount: math.MaxInt}, "6a 6b 6c 4x 4y", []Reason{longest, longest, higher, longest}},
		{Config{}, "6a 4x 6b 4y 6c 4w", []Reason{higher, turns, higher, turns, higher}},

		// One family runs out, or is not there.
		{Config{}, "6a 4x 4y 4w", []Reason{higher, longest, longest}},
		{Config{}, "6a 4x 6b 6c", []Reason{higher, turns, longest}},
		{Config{FirstFamilyCount: 3}, "6a 6b 4x 4y", []Reason{longest, higher, longest}},
		{Config{}, "6a 6b 6c", []Reason{longest, longest}},
		{Config{PreferredFamily: v4}, "6a 6b 6c", []Reason{longest, longest}},
		{Config{}, "4x", nil},

		// The caller prefers a family.
		{Config{PreferredFamily: v4}, "4x 6a 4y 6b 6c", []Reason{preferred, higher, preferred, longest}},
		{Config{PreferredFamily: v4, FirstFamilyCount: 2}, "4x 4y 6a 6b 6c", []Reason{longest, preferred, longest, longest}},
		{Config{PreferredFamily: v4, FirstFamilyCount: 2}, "4x 4y 6a 4w 6b", []Reason{longest, preferred, higher, preferred}},

		// A family comes back late in RFC 6724's order: 6a 4x 4y 4w 6z.
		{Config{}, "6a 4x 6z 4y 4w", []Reason{higher, scope, turns, longest}},
		{Config{PreferredFamily: v4}, "4x 6a 4y 6z 4w", []Reason{preferred, higher, scope, turns}},

		// IPv4 is first by RFC 6724 itself: rule 2.
		{Config{}, "4x 6z", []Reason{scope}},
		{Config{}, "4x 6z 4y", []Reason{scope, turns}},
		{Config{PreferredFamily: v6}, "6z 4x 4y", []Reason{preferred, longest}},

		// Unusable addresses come last, interleaved among themselves.
		{Config{}, "6a 6b 4u", []Reason{longest, usable}},
		{Config{PreferredFamily: v4}, "6a 6b 4u", []Reason{longest, usable}},
		{Config{}, "4x 4y 6u", []Reason{longest, usable}},
		{Config{PreferredFamily: v6}, "4x 4y 6u", []Reason{longest, usable}},
		{Config{}, "6a 4x 6b 6u 4u 6v", []Reason{higher, turns, usable, higher, higher}},
		{Config{PreferredFamily: v4}, "4x 6a 4u 6u 6v", []Reason{preferred, usable, preferred, higher}},
		{Config{FirstFamilyCount: 2}, "6a 4x 6u 6v 4u", []Reason{higher, usable, higher, turns}},
		{Config{}, "6u 4u 6v", []Reason{higher, higher}},
	}
	for _, tt := range tests {
		name := fmt.Sprintf("%s, %v preferred, count %d", tt.want, tt.cfg.PreferredFamily, tt.cfg.FirstFamilyCount)
		t.Run(name, func(t *testing.T) { checkEveryInput(t, tt.cfg, named(tt.want), tt.reasons...) })
	}
}

func named(names string) []Destination {
	var dests []Destination
	for _, name := range strings.Fields(names) {
		dests = append(dests, addresses[name])
	}
	return dests
}

func TestRankNothing(t *testing.T) {
	var r Ranker
	if got := r.Rank(nil, Config{}); len(got) != 0 {
		t.Errorf("%v, want nothing", got)
	}
}

// The example in the comment of slot.
func TestSlot(t *testing.T) {
	var first, other []int
	for n := range 4 {
		first = append(first, slot(n, 2, true))
		other = append(other, slot(n, 2, false))
	}
	if !slices.Equal(first, []int{0, 1, 3, 5}) || !slices.Equal(other, []int{2, 4, 6, 8}) {
		t.Errorf("first %v, other %v", first, other)
	}
}
