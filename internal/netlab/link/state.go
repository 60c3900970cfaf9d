package link

import "net/netip"

// State is what becomes of the packets from the client to a server address. The
// empty State is [Up]. In every other one the packets of the address to the
// client vanish, for the address is not to be seen at all.
type State string

// The states without ICMP, which every address can have.
const (
	Up        State = "up"        // they arrive
	Blackhole State = "blackhole" // they vanish
	TCPReset  State = "tcp-reset" // TCP is answered with RST; the rest vanishes
)

// The states in which packets are answered with an ICMP error, destination
// unreachable. They are called as in nft's "reject with", and the others as in
// the RFC that has them. An address can have those of its own family.
const (
	NetUnreachable      State = "net-unreachable"  // IPv6: no route
	HostUnreachable     State = "host-unreachable" // IPv6: address unreachable
	ProtUnreachable     State = "prot-unreachable"
	PortUnreachable     State = "port-unreachable"
	SourceRouteFailed   State = "source-route-failed"
	NetUnknown          State = "net-unknown"
	HostUnknown         State = "host-unknown"
	SourceIsolated      State = "source-isolated"
	NetProhibited       State = "net-prohibited"
	HostProhibited      State = "host-prohibited"
	NetTOS              State = "net-tos"
	HostTOS             State = "host-tos"
	AdminProhibited     State = "admin-prohibited"
	PrecedenceViolation State = "precedence-violation"
	PrecedenceCutoff    State = "precedence-cutoff"
	BeyondScope         State = "beyond-scope"
	PolicyFail          State = "policy-fail"
	RejectRoute         State = "reject-route"
)

// States lists the states that addr can have, in the order of the codes of its
// family. An IPv4-mapped address is the IPv4 address.
func States(addr netip.Addr) []State {
	states := []State{Up, Blackhole, TCPReset}
	for _, k := range icmpKinds {
		if k.code(addr.Unmap().Is4()) != none {
			states = append(states, k.state)
		}
	}
	return states
}

// icmpKind is one way in which a destination can be unreachable.
type icmpKind struct {
	state  State
	v4, v6 int  // the code in each family, or none
	host   bool // the host itself says so, and not a router before it
}

// none says that a family lacks the kind.
const none = -1

// icmpKinds are ICMP type 3 (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section
// 5.2.7.1) and ICMPv6 type 1 (RFC 4443 section 3.1). IPv4's code 4, fragmentation
// needed, is left out: it is about the packet and not the destination.
var icmpKinds = []icmpKind{
	{state: NetUnreachable, v4: 0, v6: 0},
	{state: HostUnreachable, v4: 1, v6: 3},
	{state: ProtUnreachable, v4: 2, v6: none, host: true},
	{state: PortUnreachable, v4: 3, v6: 4, host: true},
	{state: SourceRouteFailed, v4: 5, v6: none},
	{state: NetUnknown, v4: 6, v6: none},
	{state: HostUnknown, v4: 7, v6: none},
	{state: SourceIsolated, v4: 8, v6: none},
	{state: NetProhibited, v4: 9, v6: none},
	{state: HostProhibited, v4: 10, v6: none},
	{state: NetTOS, v4: 11, v6: none},
	{state: HostTOS, v4: 12, v6: none},
	{state: AdminProhibited, v4: 13, v6: 1},
	{state: PrecedenceViolation, v4: 14, v6: none},
	{state: PrecedenceCutoff, v4: 15, v6: none},
	{state: BeyondScope, v4: none, v6: 2},
	{state: PolicyFail, v4: none, v6: 5},
	{state: RejectRoute, v4: none, v6: 6},
}

func (k icmpKind) code(is4 bool) int {
	if is4 {
		return k.v4
	}
	return k.v6
}

// kindOfState returns the row of s, if it is one of the ICMP states.
func kindOfState(s State) (icmpKind, bool) {
	for _, k := range icmpKinds {
		if k.state == s {
			return k, true
		}
	}
	return icmpKind{}, false
}

// stateOfCode returns the state that answers with code, if there is one.
func stateOfCode(is4 bool, code uint8) (State, bool) {
	for _, k := range icmpKinds {
		if k.code(is4) == int(code) {
			return k.state, true
		}
	}
	return "", false
}
