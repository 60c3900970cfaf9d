package link

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// The hosts of the tests.
var (
	client4 = netip.MustParseAddr("192.0.2.1")
	client6 = netip.MustParseAddr("2001:db8:1::1")
	server4 = netip.MustParseAddr("198.51.100.1")
	server6 = netip.MustParseAddr("2001:db8:80::1")
	other4  = netip.MustParseAddr("198.51.100.2")
	router4 = netip.MustParseAddr("192.0.2.254")
	router6 = netip.MustParseAddr("2001:db8:1::ffff")

	clientMAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	serverMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

// The fields of a packet that tests choose. The zero value of each is right.
type packet struct {
	src, dst     netip.Addr
	sport, dport uint16
	flags        string // of TCP: S A F R
	seq, ack     uint32
	payload      int

	edit func(*layers.Ethernet, *layers.IPv4, *layers.IPv6) // before the lengths are made
	then []gopacket.SerializableLayer                       // instead of a TCP segment
}

// clientOf is the client of an address's family.
func clientOf(server netip.Addr) netip.Addr {
	if server.Is4() {
		return client4
	}
	return client6
}

// tcp is a segment from the client to a server.
func tcp(server netip.Addr, flags string) packet {
	return packet{src: clientOf(server), dst: server, sport: 40000, dport: 80, flags: flags, seq: 1000, ack: 5001}
}

// reversed is from the server to the client.
func (p packet) reversed() packet {
	p.src, p.dst, p.sport, p.dport = p.dst, p.src, p.dport, p.sport
	return p
}

func (p packet) with(change func(*packet)) packet {
	change(&p)
	return p
}

// upper replaces the TCP segment.
func (p packet) upper(all ...gopacket.SerializableLayer) packet {
	p.then = all
	return p
}

func (p packet) ip(protocol layers.IPProtocol) (*layers.Ethernet, *layers.IPv4, *layers.IPv6) {
	ethernet := &layers.Ethernet{SrcMAC: clientMAC, DstMAC: serverMAC, EthernetType: layers.EthernetTypeIPv4}
	ip4 := &layers.IPv4{
		Version: 4, TTL: 64, Protocol: protocol, Flags: layers.IPv4DontFragment,
		SrcIP: p.src.AsSlice(), DstIP: p.dst.AsSlice(),
	}
	ip6 := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protocol, SrcIP: p.src.AsSlice(), DstIP: p.dst.AsSlice()}
	if p.dst.Is6() {
		ethernet.EthernetType = layers.EthernetTypeIPv6
	}
	if p.edit != nil {
		p.edit(ethernet, ip4, ip6)
	}
	return ethernet, ip4, ip6
}

func (p packet) frame() []byte {
	upper, protocol := p.then, layers.IPProtocolTCP
	if upper != nil {
		switch upper[0].(type) {
		case *layers.UDP:
			protocol = layers.IPProtocolUDP
		case *layers.ICMPv4:
			protocol = layers.IPProtocolICMPv4
		case *layers.ICMPv6:
			protocol = layers.IPProtocolICMPv6
		}
	} else {
		upper = []gopacket.SerializableLayer{p.segment(), gopacket.Payload(make([]byte, p.payload))}
	}
	ethernet, ip4, ip6 := p.ip(protocol)
	var network ipLayer = ip4
	if p.dst.Is6() {
		network = ip6
	}
	for _, u := range upper {
		if u, summed := u.(interface {
			SetNetworkLayerForChecksum(l gopacket.NetworkLayer) error
		}); summed {
			must(u.SetNetworkLayerForChecksum(network))
		}
	}
	buffer := gopacket.NewSerializeBuffer()
	all := append([]gopacket.SerializableLayer{ethernet, network}, upper...)
	must(gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...))
	return buffer.Bytes()
}

func (p packet) segment() *layers.TCP {
	return &layers.TCP{
		SrcPort: layers.TCPPort(p.sport), DstPort: layers.TCPPort(p.dport), Seq: p.seq, Ack: p.ack, Window: 65535,
		SYN: strings.Contains(p.flags, "S"), ACK: strings.Contains(p.flags, "A"),
		FIN: strings.Contains(p.flags, "F"), RST: strings.Contains(p.flags, "R"),
	}
}

// udp is a datagram from the client to a server.
func udp(server netip.Addr, payload int) packet {
	u := &layers.UDP{SrcPort: 40000, DstPort: 53}
	return tcp(server, "").upper(u, gopacket.Payload(make([]byte, payload)))
}

// icmp4 and icmp6 are messages from the client to a server.
func icmp4(server netip.Addr, kind, code uint8) packet {
	m := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(kind, code)}
	return tcp(server, "").upper(m, gopacket.Payload(make([]byte, 28)))
}

func icmp6(server netip.Addr, kind, code uint8) packet {
	m := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, code)}
	return tcp(server, "").upper(m, gopacket.Payload(make([]byte, 52)))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// The tests' own eyes for what the link sends: offsets and sums from the RFCs,
// nothing of the code under test and nothing of gopacket.
type seen struct {
	src, dst netip.Addr
	protocol uint8
	payload  []byte // of the IP packet
}

// look fails on wrong lengths and checksums.
func look(t testing.TB, raw []byte) seen {
	t.Helper()
	if len(raw) < 14 {
		t.Fatalf("a frame of %d bytes", len(raw))
	}
	var s seen
	ip := raw[14:]
	switch kind := binary.BigEndian.Uint16(raw[12:]); kind {
	case 0x0800:
		header := int(ip[0]&15) * 4
		length := int(binary.BigEndian.Uint16(ip[2:]))
		if ip[0]>>4 != 4 || length > len(ip) || header > length {
			t.Fatalf("IPv4 header % x over %d bytes", ip[:20], len(ip))
		}
		if sum(ip[:header]) != 0xffff {
			t.Errorf("wrong checksum in the IPv4 header % x", ip[:header])
		}
		s = seen{netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20])), ip[9], ip[header:length]}
	case 0x86dd:
		length := int(binary.BigEndian.Uint16(ip[4:]))
		if ip[0]>>4 != 6 || length > len(ip)-40 {
			t.Fatalf("IPv6 header % x over %d bytes", ip[:40], len(ip))
		}
		s = seen{netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40])), ip[6], ip[40 : 40+length]}
	default:
		t.Fatalf("EtherType %#x", kind)
	}
	s.check(t)
	return s
}

func (s seen) check(t testing.TB) {
	t.Helper()
	covered := s.payload
	if s.protocol != 1 { // all but ICMP for IPv4 have a pseudo header
		covered = slices.Concat(s.src.AsSlice(), s.dst.AsSlice(), []byte{0, s.protocol},
			binary.BigEndian.AppendUint16(nil, uint16(len(s.payload))), s.payload)
	}
	if sum(covered) != 0xffff {
		t.Errorf("wrong checksum of protocol %d, %v to %v: % x", s.protocol, s.src, s.dst, s.payload)
	}
}

// sum is RFC 1071's.
func sum(b []byte) uint16 {
	var total uint32
	for i, x := range b {
		total += uint32(x) << (8 * (1 - i%2))
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}
