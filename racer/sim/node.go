package sim

import (
	"net/netip"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// Node is Node's net.connect with autoSelectFamily (lib/net.js of Node 20.20),
// which is on by default since Node 20. The attempt timeout is
// autoSelectFamilyAttemptTimeout; 0 is the default, 250 ms, and what is below 10 ms
// becomes 10.
//
// It waits for dns.lookup, which is getaddrinfo and asks for the families that the
// host has an address of. Then it lets the families alternate, beginning with that
// of the first address, and tries one address after the other: the next one when
// one has failed or its time is up. The last one has as long as the kernel tries.
//
// It differs from our scheduler on purpose: its timer does not add an attempt but
// cancels the one that runs, so where all addresses but the last are farther than
// the timeout, only the last one can win.
func Node(attemptTimeout time.Duration) Dialer {
	if attemptTimeout == 0 {
		attemptTimeout = nodeAttemptTimeout
	}
	attemptTimeout = max(attemptTimeout, nodeShortestTimeout)
	return Dialer{Name: "Node", Dial: func(h *Host) {
		lookup(h, configured(h), func(addrs []netip.Addr) {
			s := &series{host: h, addrs: alternating(addrs), connected: h.Won, exhausted: h.Failed}
			s.share = func(left int) time.Duration {
				if left == 1 {
					return unlimited
				}
				return attemptTimeout
			}
			s.next()
		})
	}}
}

const (
	// nodeAttemptTimeout is --network-family-autoselection-attempt-timeout.
	nodeAttemptTimeout = 250 * time.Millisecond
	// nodeShortestTimeout is the least that Node takes.
	nodeShortestTimeout = 10 * time.Millisecond
)

// configured are the types of the families that the host has an address of:
// getaddrinfo with AI_ADDRCONFIG.
func configured(h *Host) (types []sched.RecordType) {
	for _, t := range bothTypes {
		if h.Routed(t.Family()) {
			types = append(types, t)
		}
	}
	return types
}

// alternating takes an address of each family in turn, each address once.
func alternating(addrs []netip.Addr) (turns []netip.Addr) {
	first, second := byFamily(addrs)
	for i := range max(len(first), len(second)) {
		for _, family := range [][]netip.Addr{first, second} {
			if i < len(family) && !slices.Contains(turns, family[i]) {
				turns = append(turns, family[i])
			}
		}
	}
	return turns
}
