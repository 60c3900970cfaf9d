package link

import (
	"net/netip"
	"time"
)

// Packet is an entry of the log: one packet that entered the link, and what
// became of it.
type Packet struct {
	// Sent is when it entered the link, on the system's monotonic clock.
	Sent time.Duration `json:"sentNs"`

	// Arrived is when it left the link toward its destination; 0 if it never did,
	// or hasn't yet.
	Arrived time.Duration `json:"arrivedNs,omitempty"`

	// By is the side it came from. What the link answers in the name of a server or
	// of a router is the server's.
	By Side `json:"by"`

	// From and To are its own. ICMP has no ports: they are 0.
	From netip.AddrPort `json:"from"`
	To   netip.AddrPort `json:"to"`

	// About is whom the packet was meant for that a forged ICMP error tells of.
	About netip.AddrPort `json:"about,omitzero"`

	Kind Kind `json:"kind"` // what it is
	Fate Fate `json:"fate"` // what has become of it by now

	// Forged says that the link has made it: it comes from no host.
	Forged bool `json:"forged,omitempty"`
}

// Kind is what a packet is. An ICMP error that tells of an unreachable
// destination is "ICMP " and the name of its [State]. Other packets, above all
// TCP segments with nothing but data and their acknowledgements, are not logged.
type Kind string

// The kinds of packets that are logged, beside ICMP errors.
const (
	SYN    Kind = "SYN"     // begins a connection; those sent again too
	SYNACK Kind = "SYN-ACK" // answers it
	FIN    Kind = "FIN"     // ends one side of a connection
	RST    Kind = "RST"     // ends it by force, or refuses it
	UDP    Kind = "UDP"     // any datagram

	// Established is the client's first segment with which the server has a
	// connection: the acknowledgement of its SYN-ACK. If it doesn't get there, the
	// next one is Established too, so that each connection has one that is
	// delivered.
	Established Kind = "ESTABLISHED"
)

// icmp is the kind of an ICMP error.
func icmp(s State) Kind { return "ICMP " + Kind(s) }

// Fate is what became of a packet.
type Fate string

// Each packet has one of these; only Underway changes.
const (
	Underway   Fate = "underway"        // it has not arrived yet; it will
	Delivered  Fate = "delivered"       // it has left the link toward its destination
	Lost       Fate = "lost"            // by the path's Loss, or its network refused it
	LostSYN    Fate = "lost by LoseSYN" // one of the path's LoseSYN
	Blackholed Fate = "blackholed"      // it vanished by the path's State
	Rejected   Fate = "rejected"        // it was answered instead of delivered
	Overflowed Fate = "overflowed"      // too much was on its way already
)
