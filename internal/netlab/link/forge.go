package link

import (
	"net"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// The most that an ICMP error quotes of the packet it is about.
const (
	maxQuote4 = 576 - 20 - 8  // RFC 1812 section 4.3.2.3: the error has up to 576 bytes
	maxQuote6 = 1280 - 40 - 8 // RFC 4443 section 3.1: up to IPv6's least MTU
)

// forger makes answers in the name of a server or a router. What it returns holds
// until the next call.
type forger struct{ buffer gopacket.SerializeBuffer }

// reset is what the closed port does that f was for: RFC 9293 section 3.10.7.1.
func (g forger) reset(f *frame) []byte {
	tcp := layers.TCP{SrcPort: f.tcp.DstPort, DstPort: f.tcp.SrcPort, RST: true}
	if f.tcp.ACK {
		tcp.Seq = f.tcp.Ack
	} else {
		tcp.ACK = true
		tcp.Ack = f.tcp.Seq + segmentLength(&f.tcp)
	}
	ip := header(f, f.dst, layers.IPProtocolTCP)
	_ = tcp.SetNetworkLayerForChecksum(ip) // IPv4 or IPv6: never fails
	return g.seal(f, ip, &tcp)
}

// segmentLength counts SYN and FIN: RFC 9293 section 3.4.
func segmentLength(tcp *layers.TCP) uint32 {
	length := uint32(len(tcp.Payload))
	if tcp.SYN {
		length++
	}
	if tcp.FIN {
		length++
	}
	return length
}

// unreachable is the ICMP error of a kind about f, and who sends it: the host
// itself or, if there is one, the router.
func (g forger) unreachable(f *frame, k icmpKind, router netip.Addr) (raw []byte, src netip.Addr) {
	src = router
	if k.host || !router.IsValid() {
		src = f.dst
	}
	if f.dst.Is4() {
		return g.unreachable4(f, k, src), src
	}
	return g.unreachable6(f, k, src), src
}

func (g forger) unreachable4(f *frame, k icmpKind, src netip.Addr) []byte {
	icmp := &layers.ICMPv4{
		TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeDestinationUnreachable, uint8(k.v4)),
	}
	quote := gopacket.Payload(f.packet[:min(len(f.packet), maxQuote4)])
	return g.seal(f, header(f, src, layers.IPProtocolICMPv4), icmp, quote)
}

func (g forger) unreachable6(f *frame, k icmpKind, src netip.Addr) []byte {
	icmp := &layers.ICMPv6{
		TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeDestinationUnreachable, uint8(k.v6)),
	}
	unused := gopacket.Payload(make([]byte, 4))
	quote := gopacket.Payload(f.packet[:min(len(f.packet), maxQuote6)])
	ip := header(f, src, layers.IPProtocolICMPv6)
	_ = icmp.SetNetworkLayerForChecksum(ip) // IPv4 or IPv6: never fails
	return g.seal(f, ip, icmp, unused, quote)
}

// ipLayer is the header of an IP packet to be.
type ipLayer interface {
	gopacket.NetworkLayer
	gopacket.SerializableLayer
}

// header is the IP header of an answer to f.
func header(f *frame, src netip.Addr, protocol layers.IPProtocol) ipLayer {
	const ttl = 64 // RFC 1700; it is nobody's limit here
	if f.dst.Is4() {
		return &layers.IPv4{
			Version: 4, TTL: ttl, Flags: layers.IPv4DontFragment, Protocol: protocol,
			SrcIP: net.IP(src.AsSlice()), DstIP: net.IP(f.src.AsSlice()),
		}
	}
	return &layers.IPv6{
		Version: 6, HopLimit: ttl, NextHeader: protocol,
		SrcIP: net.IP(src.AsSlice()), DstIP: net.IP(f.src.AsSlice()),
	}
}

// seal puts the parts of an answer to f into a frame, with the lengths and
// checksums they are to have.
func (g forger) seal(f *frame, parts ...gopacket.SerializableLayer) []byte {
	ethernet := &layers.Ethernet{
		SrcMAC: f.ethernet.DstMAC, DstMAC: f.ethernet.SrcMAC, EthernetType: f.ethernet.EthernetType,
	}
	all := append([]gopacket.SerializableLayer{ethernet}, parts...)
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(g.buffer, options, all...); err != nil {
		panic(err) // the addresses are the frame's and have their lengths
	}
	return g.buffer.Bytes()
}
