package link

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// wantError holds an ICMP error to the RFCs.
func wantError(t *testing.T, raw, about []byte, server netip.Addr, state State, byRouter bool) {
	t.Helper()
	s := look(t, raw)
	from := server
	header, protocol, kind, names, most, router := 14, uint8(1), uint8(3), named4, 576, router4
	if server.Is6() {
		protocol, kind, names, most, router = 58, 1, named6, 1280, router6
	}
	if byRouter {
		from = router
	}
	if s.src != from || s.dst != clientOf(server) || s.protocol != protocol {
		t.Errorf("the error is protocol %d from %v to %v, want %d from %v", s.protocol, s.src, s.dst, protocol, from)
	}
	if s.payload[0] != kind || names[s.payload[1]] != state {
		t.Errorf("type %d code %d, want %s", s.payload[0], s.payload[1], state)
	}
	if unused := binary.BigEndian.Uint32(s.payload[4:]); unused != 0 {
		t.Errorf("the unused field is %#x", unused)
	}
	quote, original := s.payload[8:], about[header:]
	if server.Is4() { // a short frame is filled up behind the packet
		original = original[:binary.BigEndian.Uint16(original[2:])]
	}
	space := most - (len(raw) - header - len(s.payload)) - 8
	if server.Is4() {
		space = most - 20 - 8
	}
	if want := original[:min(len(original), space)]; !bytes.Equal(quote, want) {
		t.Errorf("it quotes %d bytes, want the first %d of %d", len(quote), len(want), len(original))
	}
	if !bytes.Equal(raw[:6], about[6:12]) || !bytes.Equal(raw[6:12], about[:6]) {
		t.Errorf("the frame goes from % x to % x", raw[6:12], raw[:6])
	}
}

// Each ICMP state, with packets below and above what is quoted.
func TestICMPStates(t *testing.T) {
	for name, server := range families {
		for _, state := range States(server)[3:] {
			t.Run(fmt.Sprint(name, " ", state), func(t *testing.T) {
				for _, about := range []packet{
					tcp(server, "S"), udp(server, 0), udp(server, 1),
					udp(server, 548-28), udp(server, 549-28), udp(server, 1232-48), udp(server, 1233-48), udp(server, 1400),
					tcp(server, "R"),
				} {
					h := newHarness(t, Config{})
					h.set(server, Path{Delay: 10 * ms, State: state})
					raw := about.frame()
					h.arrive(5*ms, Client, raw)
					got := h.end()
					if len(got) != 1 || got[0].at != 25*ms || got[0].to != Client {
						t.Fatalf("what left is %+v", got)
					}
					byHost := state == PortUnreachable || state == ProtUnreachable
					wantError(t, got[0].raw, raw, server, state, !byHost)
					packets := h.packets()
					want := Packet{
						Sent: 15 * ms, Arrived: 25 * ms, By: Server, Kind: "ICMP " + Kind(state), Fate: Delivered, Forged: true,
						From: netip.AddrPortFrom(look(t, got[0].raw).src, 0), To: netip.AddrPortFrom(clientOf(server), 0),
						About: packets[0].To,
					}
					if len(packets) != 2 || packets[0].Fate != Rejected || packets[0].Arrived != 0 || packets[1] != want {
						t.Errorf("the log is %+v", packets)
					}
				}
			})
		}
	}
}

// A router that is missing is stood in for.
func TestNoRouter(t *testing.T) {
	for _, server := range families {
		h := newHarness(t, Config{Seed: 1})
		h.arrive(0, Client, tcp(server, "S").frame())
		if got := look(t, h.end()[0].raw).src; got != server {
			t.Errorf("the error comes from %v", got)
		}
	}
}

// What must not be answered with an ICMP error vanishes.
func TestNeverAnswered(t *testing.T) {
	fragment4 := func(offset uint16) packet {
		return udp(server4, 64).with(func(p *packet) {
			p.edit = func(_ *layers.Ethernet, ip *layers.IPv4, _ *layers.IPv6) {
				ip.FragOffset, ip.Flags = offset, layers.IPv4MoreFragments
			}
		})
	}
	from := func(p packet, src string) packet {
		p.src = netip.MustParseAddr(src)
		return p
	}
	fromGroup := func(p packet) packet {
		p.edit = func(e *layers.Ethernet, _ *layers.IPv4, _ *layers.IPv6) { e.SrcMAC = []byte{3, 0, 0, 0, 0, 1} }
		return p
	}
	for name, c := range map[string]struct {
		p        packet
		answered bool
	}{
		"first fragment":                {fragment4(0), true},
		"later fragment":                {fragment4(8), false},
		"IPv6, first fragment":          {fragment6(0, true), true},
		"IPv6, later fragment":          {fragment6(8, true), false},
		"IPv6, last fragment":           {fragment6(8, false), false},
		"IPv6, atomic fragment":         {fragment6(0, false), true},
		"echo":                          {icmp4(server4, 8, 0), true},
		"echo reply":                    {icmp4(server4, 0, 0), true},
		"timestamp":                     {icmp4(server4, 13, 0), true},
		"destination unreachable":       {icmp4(server4, 3, 3), false},
		"source quench":                 {icmp4(server4, 4, 0), false},
		"redirect":                      {icmp4(server4, 5, 0), false},
		"time exceeded":                 {icmp4(server4, 11, 0), false},
		"parameter problem":             {icmp4(server4, 12, 0), false},
		"ICMP of 4 bytes":               {tcp(server4, "").upper(gopacket.Payload([]byte{8, 0, 0, 0})).with(protocol(1)), false},
		"IPv6, echo":                    {icmp6(server6, 128, 0), true},
		"IPv6, destination unreachable": {icmp6(server6, 1, 4), false},
		"IPv6, unknown error":           {icmp6(server6, 127, 0), false},
		"IPv6, time exceeded":           {icmp6(server6, 3, 0), false},
		"IPv6, ICMP of 3 bytes":         {tcp(server6, "").upper(gopacket.Payload([]byte{128, 0, 0})).with(protocol(58)), false},
		"from nobody":                   {from(udp(server4, 1), "0.0.0.0"), false},
		"from a group":                  {from(udp(server4, 1), "224.0.0.1"), false},
		"from everybody":                {from(udp(server4, 1), "255.255.255.255"), false},
		"IPv6, from nobody":             {from(udp(server6, 1), "::"), false},
		"IPv6, from a group":            {from(udp(server6, 1), "ff02::1"), false},
		"from a group of cards":         {fromGroup(udp(server4, 1)), false},
		"an unknown protocol":           {tcp(server4, "").upper(gopacket.Payload("unknown")).with(protocol(253)), true},
		"IPv6, an unknown protocol":     {tcp(server6, "").upper(gopacket.Payload("unknown")).with(protocol(253)), true},
		"a tunnel":                      {tcp(server4, "").upper(gopacket.Payload(tcp(other4, "S").frame()[14:])).with(protocol(4)), true},
		"TCP of 10 bytes":               {tcp(server4, "").upper(gopacket.Payload("0123456789")).with(protocol(6)), true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, set := range []bool{false, true} { // of an unknown address too
				h := newHarness(t, Config{})
				if set {
					h.set(c.p.dst, Path{State: AdminProhibited})
				}
				h.arrive(0, Client, c.p.frame())
				if got := len(h.end()) == 1; got != c.answered {
					t.Errorf("set %v: it is answered: %v", set, got)
				}
			}
		})
	}
}

// protocol is what the IP header says there is inside.
func protocol(n layers.IPProtocol) func(*packet) {
	return func(p *packet) {
		p.edit = func(_ *layers.Ethernet, ip4 *layers.IPv4, ip6 *layers.IPv6) { ip4.Protocol, ip6.NextHeader = n, n }
	}
}

// fragment6 is a piece of a datagram.
func fragment6(offset uint16, more bool) packet {
	whole := udp(server6, 64).frame()
	piece := &layers.IPv6Fragment{NextHeader: layers.IPProtocolUDP, FragmentOffset: offset, MoreFragments: more}
	return tcp(server6, "").upper(piece, gopacket.Payload(whole[14+40:])).with(protocol(layers.IPProtocolIPv6Fragment))
}

// Extension headers hide nothing: a SYN behind them is one.
func TestExtensionHeaders(t *testing.T) {
	segment := tcp(server6, "S").frame()[14+40:]
	extension := func(next byte, more int) gopacket.Payload {
		b := make([]byte, 8+8*more)
		b[0], b[1] = next, byte(more)
		b[2], b[3] = 1, byte(len(b)-4) // PadN
		return b
	}
	for name, c := range map[string]struct {
		first layers.IPProtocol
		then  []gopacket.SerializableLayer
		syn   bool
	}{
		"hop by hop":              {0, []gopacket.SerializableLayer{extension(6, 0)}, true},
		"destination":             {60, []gopacket.SerializableLayer{extension(6, 2)}, true},
		"hop by hop, destination": {0, []gopacket.SerializableLayer{extension(60, 1), extension(6, 0)}, true},
		"routing":                 {43, []gopacket.SerializableLayer{gopacket.Payload{6, 0, 253, 0, 0, 0, 0, 0}}, true},
		"longer than the packet":  {60, []gopacket.SerializableLayer{gopacket.Payload{6, 200, 1, 4, 0, 0, 0, 0}}, false},
		"unknown":                 {51, []gopacket.SerializableLayer{extension(6, 0)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, Config{})
			h.set(server6, Path{})
			raw := tcp(server6, "").upper(append(c.then, gopacket.Payload(segment))...).with(protocol(c.first)).frame()
			h.arrive(0, Client, raw)
			if got := len(h.packets()) == 1 && h.packets()[0].Kind == SYN; got != c.syn {
				t.Errorf("the log is %q", h.story())
			}
			if got := h.end(); len(got) != 1 || !bytes.Equal(got[0].raw, raw) {
				t.Error("it was not carried as it is")
			}
		})
	}
}

// RFC 9293 section 3.10.7.1: what a closed port answers.
func TestTCPReset(t *testing.T) {
	for name, server := range families {
		for _, c := range []struct {
			flags    string
			payload  int
			answered bool
			seq, ack uint32
			bits     byte
		}{
			{"S", 0, true, 0, 1001, 0x14},
			{"S", 100, true, 0, 1101, 0x14}, // Fast Open
			{"SF", 0, true, 0, 1002, 0x14},
			{"", 7, true, 0, 1007, 0x14},
			{"A", 0, true, 5001, 0, 0x04},
			{"A", 1400, true, 5001, 0, 0x04},
			{"SA", 0, true, 5001, 0, 0x04},
			{"FA", 0, true, 5001, 0, 0x04},
			{"R", 0, false, 0, 0, 0},
			{"RA", 0, false, 0, 0, 0},
		} {
			t.Run(fmt.Sprintf("%s %s %d", name, c.flags, c.payload), func(t *testing.T) {
				h := newHarness(t, Config{})
				h.set(server, Path{Delay: 10 * ms, State: TCPReset})
				h.arrive(1*ms, Client, tcp(server, c.flags).with(func(p *packet) { p.payload = c.payload }).frame())
				got := h.end()
				if !c.answered {
					if len(got) != 0 {
						t.Error("a RST is answered")
					}
					return
				}
				if len(got) != 1 || got[0].at != 21*ms || got[0].to != Client {
					t.Fatalf("what left is %+v", got)
				}
				s := look(t, got[0].raw)
				if s.src != server || s.dst != clientOf(server) || s.protocol != 6 || len(s.payload) != 20 {
					t.Errorf("the answer is %+v", s)
				}
				if sport, dport := binary.BigEndian.Uint16(s.payload), binary.BigEndian.Uint16(s.payload[2:]); sport != 80 || dport != 40000 {
					t.Errorf("ports %d to %d", sport, dport)
				}
				if seq, ack := binary.BigEndian.Uint32(s.payload[4:]), binary.BigEndian.Uint32(s.payload[8:]); seq != c.seq || ack != c.ack {
					t.Errorf("seq %d ack %d, want %d %d", seq, ack, c.seq, c.ack)
				}
				if s.payload[13] != c.bits {
					t.Errorf("flags %#x, want %#x", s.payload[13], c.bits)
				}
				packets := h.packets()
				want := Packet{
					Sent: 11 * ms, Arrived: 21 * ms, By: Server, Kind: RST, Fate: Delivered, Forged: true,
					From: netip.AddrPortFrom(server, 80), To: netip.AddrPortFrom(clientOf(server), 40000),
				}
				if packets[len(packets)-1] != want {
					t.Errorf("the log is %+v", packets)
				}
			})
		}
	}
}

// Other protocols vanish where TCP is refused, and so do fragments of it and what
// comes from no one host.
func TestTCPResetIsForTCP(t *testing.T) {
	h := newHarness(t, Config{})
	h.set(server4, Path{State: TCPReset})
	h.arrive(0, Client, udp(server4, 1).frame())
	h.arrive(0, Client, icmp4(server4, 8, 0).frame())
	h.arrive(0, Client, tcp(server4, "A").with(func(p *packet) {
		p.payload = 8
		p.edit = func(_ *layers.Ethernet, ip *layers.IPv4, _ *layers.IPv6) { ip.Flags = layers.IPv4MoreFragments }
	}).frame())
	h.arrive(0, Client, tcp(server4, "S").with(func(p *packet) { p.src = netip.MustParseAddr("224.0.0.1") }).frame())
	h.arrive(0, Server, tcp(server4, "SA").reversed().frame())
	if got := h.end(); len(got) != 0 {
		t.Errorf("%d frames came out", len(got))
	}
	h.want("0s client UDP: blackholed", "0s client SYN: blackholed", "0s server SYN-ACK: blackholed")
}

// What never leaves a network is dropped without a word, whatever the address.
func TestSilence(t *testing.T) {
	to := func(p packet, dst string) packet {
		p.dst = netip.MustParseAddr(dst)
		return p
	}
	toGroup := udp(server4, 1).with(func(p *packet) {
		p.edit = func(e *layers.Ethernet, _ *layers.IPv4, _ *layers.IPv6) { e.DstMAC = layers.EthernetBroadcast }
	})
	arp := make([]byte, 60)
	copy(arp[12:], "\x08\x06")
	silent := map[string][]byte{
		"ARP":                  arp,
		"multicast":            to(udp(server4, 1), "224.0.0.251").frame(),
		"broadcast":            to(udp(server4, 1), "255.255.255.255").frame(),
		"IPv6 multicast":       to(udp(server6, 1), "ff02::fb").frame(),
		"to all cards":         toGroup.frame(),
		"version 5":            mangle(tcp(server4, "S").frame(), 14, 0x55),
		"IPv6 in version 4":    mangle(tcp(server6, "S").frame(), 14, 0x40),
		"IPv4 too long":        mangle(tcp(server4, "S").frame(), 16, 0x7f),
		"IPv4 header too long": mangle(tcp(server4, "S").frame(), 14, 0x4f),
		"IPv6 too long":        mangle(tcp(server6, "S").frame(), 18, 0x7f),
		"nothing":              {},
		"13 bytes":             make([]byte, 13),
		"LLC":                  make([]byte, 60),
	}
	for kind := range uint8(255) {
		if kind >= 130 && kind <= 137 || kind == 143 {
			silent[fmt.Sprint("ICMPv6 ", kind)] = icmp6(server6, kind, 0).frame()
		}
	}
	for _, state := range []State{"", Up, HostUnreachable} {
		for name, raw := range silent {
			h := newHarness(t, Config{})
			if state != "" {
				h.set(server4, Path{State: state})
				h.set(server6, Path{State: state})
			}
			h.arrive(0, Client, raw)
			h.arrive(0, Server, raw)
			if len(h.end()) != 0 || len(h.packets()) != 0 {
				t.Errorf("%q, %s: %d frames left, the log is %q", state, name, len(h.out), h.story())
			}
		}
	}
	h := newHarness(t, Config{})
	h.set(server6, Path{})
	for _, kind := range []uint8{1, 2, 3, 4, 128, 129, 138, 142, 144} {
		h.arrive(0, Client, icmp6(server6, kind, 0).frame())
	}
	if got := h.end(); len(got) != 9 {
		t.Errorf("of 9 other ICMPv6 messages %d get through", len(got))
	}
}

func mangle(raw []byte, at int, value byte) []byte {
	raw[at] = value
	return raw
}
