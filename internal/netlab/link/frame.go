package link

import (
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// frame is an Ethernet frame with an IP packet, taken apart. It is used again for
// each, so that taking apart costs no memory; what it holds is of the last frame
// and points into it.
//
// gopacket's parser, which would go from layer to layer by itself, is not used:
// it takes a packet inside of a packet for the next layer, in the same place as
// the outer one.
type frame struct {
	ethernet  layers.Ethernet
	ip4       layers.IPv4
	ip6       layers.IPv6
	extension layers.IPv6ExtensionSkipper
	fragment  layers.IPv6Fragment
	tcp       layers.TCP
	udp       layers.UDP
	icmp4     layers.ICMPv4
	icmp6     layers.ICMPv6

	packet    []byte // the IP packet, without what fills up a short frame
	src, dst  netip.Addr
	piece     bool               // a fragment of a packet
	later     bool               // and not the first one
	protocol  layers.IPProtocol  // of what it carries, if that is to be seen
	transport gopacket.LayerType // TCP, UDP, ICMPv4 or ICMPv6 if it is that and long enough
}

// decode reports false for what the link drops without a word: what is not IP,
// garbage, and what never leaves a network (multicast, broadcast, neighbour and
// router discovery).
func (f *frame) decode(raw []byte) bool {
	if f.ethernet.DecodeFromBytes(raw, gopacket.NilDecodeFeedback) != nil {
		return false
	}
	f.piece, f.later = false, false
	f.protocol, f.transport = layers.IPProtocolNoNextHeader, gopacket.LayerTypeZero
	switch f.ethernet.EthernetType {
	case layers.EthernetTypeIPv4:
		return f.decode4(f.ethernet.Payload) && f.travels()
	case layers.EthernetTypeIPv6:
		return f.decode6(f.ethernet.Payload) && f.travels()
	}
	return false
}

func (f *frame) decode4(data []byte) bool {
	ip := &f.ip4
	if ip.DecodeFromBytes(data, gopacket.NilDecodeFeedback) != nil || ip.Version != 4 || int(ip.Length) > len(data) {
		return false
	}
	f.packet = data[:ip.Length]
	f.src, f.dst = netip.AddrFrom4([4]byte(ip.SrcIP)), netip.AddrFrom4([4]byte(ip.DstIP))
	f.later = ip.FragOffset != 0
	f.piece = f.later || ip.Flags&layers.IPv4MoreFragments != 0
	if !f.later {
		f.decodeTransport(ip.Protocol, ip.Payload)
	}
	return true
}

// decode6 leaves a packet behind extension headers that it doesn't know without a
// transport.
func (f *frame) decode6(data []byte) bool {
	const headerSize = 40
	ip := &f.ip6
	if ip.DecodeFromBytes(data, gopacket.NilDecodeFeedback) != nil || ip.Version != 6 ||
		ip.Length == 0 || headerSize+int(ip.Length) > len(data) {
		return false
	}
	f.packet = data[:headerSize+int(ip.Length)]
	f.src, f.dst = netip.AddrFrom16([16]byte(ip.SrcIP)), netip.AddrFrom16([16]byte(ip.DstIP))
	next, rest := ip.NextHeader, ip.Payload
	if ip.HopByHop != nil { // gopacket has taken it off already
		next = ip.HopByHop.NextHeader
	}
	for {
		switch next {
		case layers.IPProtocolIPv6Routing, layers.IPProtocolIPv6Destination:
			if f.extension.DecodeFromBytes(rest, gopacket.NilDecodeFeedback) != nil {
				return true
			}
			next, rest = f.extension.NextHeader, f.extension.Payload
		case layers.IPProtocolIPv6Fragment:
			if f.fragment.DecodeFromBytes(rest, gopacket.NilDecodeFeedback) != nil {
				return true
			}
			next, rest = f.fragment.NextHeader, f.fragment.Payload
			f.piece = f.piece || f.fragment.FragmentOffset != 0 || f.fragment.MoreFragments
			if f.later = f.fragment.FragmentOffset != 0; f.later {
				return true
			}
		default:
			f.decodeTransport(next, rest)
			return true
		}
	}
}

func (f *frame) decodeTransport(protocol layers.IPProtocol, data []byte) {
	feedback := gopacket.NilDecodeFeedback
	f.protocol = protocol
	switch {
	case protocol == layers.IPProtocolTCP && f.tcp.DecodeFromBytes(data, feedback) == nil:
		f.transport = layers.LayerTypeTCP
	case protocol == layers.IPProtocolUDP && f.udp.DecodeFromBytes(data, feedback) == nil:
		f.transport = layers.LayerTypeUDP
	case protocol == layers.IPProtocolICMPv4 && f.dst.Is4() && f.icmp4.DecodeFromBytes(data, feedback) == nil:
		f.transport = layers.LayerTypeICMPv4
	case protocol == layers.IPProtocolICMPv6 && f.dst.Is6() && f.icmp6.DecodeFromBytes(data, feedback) == nil:
		f.transport = layers.LayerTypeICMPv6
	}
}

// travels reports whether f may leave its network.
func (f *frame) travels() bool {
	toGroup := f.ethernet.DstMAC[0]&1 != 0 // the bit that broadcast has too
	return !toGroup && !f.dst.IsMulticast() && f.dst != broadcast && !f.isDiscovery()
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// isDiscovery: neighbours and routers (RFC 4861) and multicast listeners (RFC
// 2710, RFC 3810).
func (f *frame) isDiscovery() bool {
	if f.transport != layers.LayerTypeICMPv6 {
		return false
	}
	t := f.icmp6.TypeCode.Type()
	return t >= layers.ICMPv6TypeMLDv1MulticastListenerQueryMessage && t <= layers.ICMPv6TypeRedirect ||
		t == layers.ICMPv6TypeMLDv2MulticastListenerReportMessageV2
}

func (f *frame) isSYN() bool {
	return f.transport == layers.LayerTypeTCP && f.tcp.SYN && !f.tcp.ACK && !f.tcp.RST
}

// resettable reports whether a host without a connection answers f with RST: TCP
// from one host, but never a RST itself. It would put fragments together first;
// they vanish.
func (f *frame) resettable() bool {
	return f.fromOne() && f.transport == layers.LayerTypeTCP && !f.tcp.RST && !f.piece
}

// answerable reports whether f may be answered with an ICMP error: not an ICMP
// error, nor a fragment other than the first, nor something from nobody in
// particular (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e). Multicast and
// broadcast don't get here.
func (f *frame) answerable() bool { return f.fromOne() && !f.later && !f.isICMPError() }

// fromOne reports whether an answer to f would go to one host.
func (f *frame) fromOne() bool {
	return !f.src.IsUnspecified() && !f.src.IsMulticast() && f.src != broadcast && f.ethernet.SrcMAC[0]&1 == 0
}

// isICMPError takes what is too short to tell for an error.
func (f *frame) isICMPError() bool {
	switch f.transport {
	case layers.LayerTypeICMPv4:
		switch f.icmp4.TypeCode.Type() {
		case layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4TypeSourceQuench, layers.ICMPv4TypeRedirect,
			layers.ICMPv4TypeTimeExceeded, layers.ICMPv4TypeParameterProblem:
			return true
		}
		return false
	case layers.LayerTypeICMPv6:
		const lastError = 127 // RFC 4443 section 2.1
		return f.icmp6.TypeCode.Type() <= lastError
	}
	return f.protocol == layers.IPProtocolICMPv4 || f.protocol == layers.IPProtocolICMPv6
}

// unreachable returns the state that an ICMP error tells of, if f is such a one.
func (f *frame) unreachable() (State, bool) {
	switch f.transport {
	case layers.LayerTypeICMPv4:
		if f.icmp4.TypeCode.Type() == layers.ICMPv4TypeDestinationUnreachable {
			return stateOfCode(true, f.icmp4.TypeCode.Code())
		}
	case layers.LayerTypeICMPv6:
		if f.icmp6.TypeCode.Type() == layers.ICMPv6TypeDestinationUnreachable {
			return stateOfCode(false, f.icmp6.TypeCode.Code())
		}
	}
	return "", false
}

// from and to are the packet's ends, with port 0 where it has no ports.
func (f *frame) from() netip.AddrPort {
	src, _ := f.ports()
	return netip.AddrPortFrom(f.src, src)
}

func (f *frame) to() netip.AddrPort {
	_, dst := f.ports()
	return netip.AddrPortFrom(f.dst, dst)
}

func (f *frame) ports() (src, dst uint16) {
	switch f.transport {
	case layers.LayerTypeTCP:
		return uint16(f.tcp.SrcPort), uint16(f.tcp.DstPort)
	case layers.LayerTypeUDP:
		return uint16(f.udp.SrcPort), uint16(f.udp.DstPort)
	}
	return 0, 0
}

// flow is the connection of a TCP segment that one side has sent.
func (f *frame) flow(from Side) flow {
	if from == Client {
		return flow{f.from(), f.to()}
	}
	return flow{f.to(), f.from()}
}
