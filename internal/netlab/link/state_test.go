package link

import (
	"net/netip"
	"slices"
	"testing"
)

// What nft's "reject with" and the RFCs call them, by family and code.
var (
	named4 = map[uint8]State{
		0: "net-unreachable", 1: "host-unreachable", 2: "prot-unreachable", 3: "port-unreachable",
		5: "source-route-failed", 6: "net-unknown", 7: "host-unknown", 8: "source-isolated",
		9: "net-prohibited", 10: "host-prohibited", 11: "net-tos", 12: "host-tos",
		13: "admin-prohibited", 14: "precedence-violation", 15: "precedence-cutoff",
	}
	named6 = map[uint8]State{
		0: "net-unreachable", 1: "admin-prohibited", 2: "beyond-scope", 3: "host-unreachable",
		4: "port-unreachable", 5: "policy-fail", 6: "reject-route",
	}
)

func TestICMPKinds(t *testing.T) {
	for code := range 256 {
		for is4, names := range map[bool]map[uint8]State{true: named4, false: named6} {
			want, wanted := names[uint8(code)]
			if got, ok := stateOfCode(is4, uint8(code)); ok != wanted || got != want {
				t.Errorf("IPv4 %v, code %d is %q, want %q", is4, code, got, want)
			}
		}
	}
	for _, k := range icmpKinds {
		if same, ok := kindOfState(k.state); !ok || same != k {
			t.Errorf("%s is %+v, want %+v", k.state, same, k)
		}
		if k.v4 == none && k.v6 == none {
			t.Errorf("%s is a state of no family", k.state)
		}
		if wantHost := k.state == PortUnreachable || k.state == ProtUnreachable; k.host != wantHost {
			t.Errorf("%s comes from the host: %v", k.state, k.host)
		}
	}
}

func TestStates(t *testing.T) {
	for addr, names := range map[string]map[uint8]State{
		"198.51.100.1": named4, "::ffff:198.51.100.1": named4, "2001:db8:80::1": named6,
	} {
		want := []State{"up", "blackhole", "tcp-reset"}
		for code := range uint8(16) {
			if s, ok := names[code]; ok {
				want = append(want, s)
			}
		}
		got := States(netip.MustParseAddr(addr))
		if slices.Sort(got); !slices.Equal(got, sorted(want)) {
			t.Errorf("%s can be %v, want %v", addr, got, want)
		}
	}
}

func sorted[T ~string](all []T) []T {
	slices.Sort(all)
	return all
}
