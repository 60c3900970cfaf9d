package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// harness drives an emulator through time.
type harness struct {
	t   testing.TB
	e   *Emulator
	now time.Duration
	out []left
}

// left is a frame that has left the link.
type left struct {
	at  time.Duration
	to  Side
	raw []byte
}

func newHarness(t testing.TB, cfg Config) *harness {
	if cfg == (Config{}) {
		cfg = Config{Router4: router4, Router6: router6}
	}
	return &harness{t: t, e: New(cfg)}
}

func (h *harness) set(addr netip.Addr, p Path) {
	h.t.Helper()
	if err := h.e.Set(addr, p); err != nil {
		h.t.Fatal(err)
	}
}

// arrive lets time pass until at, and has a frame arrive.
func (h *harness) arrive(at time.Duration, from Side, raw []byte) {
	h.t.Helper()
	h.until(at)
	h.e.Arrive(at, from, raw)
}

// until takes out what leaves by then, each at its time.
func (h *harness) until(at time.Duration) {
	h.t.Helper()
	for {
		due, ok := h.e.Next()
		if !ok || due > at {
			break
		}
		h.now = max(h.now, due)
		if due > 0 && h.e.Leave(due-1, h.send) {
			h.t.Fatalf("a frame due at %v leaves before", due)
		}
		if !h.e.Leave(h.now, h.send) {
			h.t.Fatalf("a frame due at %v stays at %v", due, h.now)
		}
	}
	h.now = max(h.now, at)
}

func (h *harness) send(to Side, raw []byte) error {
	h.out = append(h.out, left{h.now, to, bytes.Clone(raw)})
	return nil
}

// end lets everything arrive and returns what has left since the beginning.
func (h *harness) end() []left {
	h.until(h.now + 10*time.Minute)
	return h.out
}

func (h *harness) packets() []Packet {
	h.t.Helper()
	packets, leftOut := h.e.Packets(h.now)
	if leftOut != 0 {
		h.t.Errorf("%d packets are not in the log", leftOut)
	}
	return packets
}

// story is the log as a person would tell it.
func (h *harness) story() []string {
	var lines []string
	for _, p := range h.packets() {
		line := fmt.Sprintf("%v %s %s: %s", p.Sent, p.By, p.Kind, p.Fate)
		if p.Fate == Delivered {
			line += fmt.Sprintf(" %v", p.Arrived)
		}
		if p.Forged {
			line += " forged"
		}
		lines = append(lines, line)
	}
	return lines
}

func (h *harness) want(story ...string) {
	h.t.Helper()
	if got := h.story(); !slices.Equal(got, story) {
		h.t.Errorf("the log is\n%q\nwant\n%q", got, story)
	}
}

// connect has a client and a server shake hands.
func (h *harness) connect(at time.Duration, server netip.Addr) {
	h.t.Helper()
	h.arrive(at, Client, tcp(server, "S").frame())
	h.arrive(at, Server, tcp(server, "SA").reversed().with(func(p *packet) { p.seq, p.ack = 5000, 1001 }).frame())
	h.arrive(at, Client, tcp(server, "A").with(func(p *packet) { p.seq, p.ack = 1001, 5001 }).frame())
}

var families = map[string]netip.Addr{"IPv4": server4, "IPv6": server6}

// A path that is up carries what there is, unchanged, each way after its delay.
func TestUp(t *testing.T) {
	for name, server := range families {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, Config{})
			h.set(server, Path{Delay: 10 * ms})
			there := [][]byte{
				tcp(server, "S").frame(), udp(server, 100).frame(), tcp(server, "A").with(func(p *packet) { p.payload = 1400 }).frame(),
			}
			for i, raw := range there {
				h.arrive(time.Duration(i)*ms, Client, raw)
			}
			back := tcp(server, "SA").reversed().frame()
			h.arrive(15*ms, Server, back)
			got := h.end()
			if len(got) != 4 {
				t.Fatalf("%d frames have left", len(got))
			}
			for i, raw := range there {
				want := left{time.Duration(i)*ms + 10*ms, Server, raw}
				if got[i].at != want.at || got[i].to != want.to || !bytes.Equal(got[i].raw, want.raw) {
					t.Errorf("frame %d left at %v to the %v, changed: %v", i, got[i].at, got[i].to, !bytes.Equal(got[i].raw, raw))
				}
			}
			if last := got[3]; last.at != 25*ms || last.to != Client || !bytes.Equal(last.raw, back) {
				t.Errorf("the answer left at %v to the %v", last.at, last.to)
			}
			h.want(
				"0s client SYN: delivered 10ms",
				"1ms client UDP: delivered 11ms",
				"15ms server SYN-ACK: delivered 25ms",
			)
		})
	}
}

// What a log says while packets are on their way.
func TestUnderway(t *testing.T) {
	h := newHarness(t, Config{})
	h.set(server4, Path{Delay: 10 * ms, State: TCPReset})
	h.set(server6, Path{Delay: 10 * ms})
	h.arrive(0, Client, tcp(server4, "S").frame())
	h.arrive(1*ms, Client, tcp(server6, "S").frame())
	h.want("0s client SYN: rejected", "1ms client SYN: underway")
	h.until(10 * ms) // the reset has been sent
	h.want("0s client SYN: rejected", "1ms client SYN: underway", "10ms server RST: underway forged")
	h.until(11 * ms)
	h.want("0s client SYN: rejected", "1ms client SYN: delivered 11ms", "10ms server RST: underway forged")
	h.until(20 * ms)
	h.want("0s client SYN: rejected", "1ms client SYN: delivered 11ms", "10ms server RST: delivered 20ms forged")
}

func TestBlackhole(t *testing.T) {
	h := newHarness(t, Config{})
	h.set(server4, Path{State: Blackhole, LoseSYN: []int{1}, Loss: 0.5})
	h.arrive(0, Client, tcp(server4, "S").frame())
	h.arrive(1, Client, udp(server4, 1).frame())
	h.arrive(2, Server, tcp(server4, "SA").reversed().frame())
	if got := h.end(); len(got) != 0 {
		t.Errorf("%d frames came out", len(got))
	}
	h.want("0s client SYN: blackholed", "1ns client UDP: blackholed", "2ns server SYN-ACK: blackholed")
}

// An address nobody has set is answered for at once by the router.
func TestUnknownAddress(t *testing.T) {
	for name, server := range families {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, Config{})
			raw := tcp(server, "S").frame()
			h.arrive(5*ms, Client, raw)
			h.arrive(6*ms, Server, tcp(server, "SA").reversed().frame()) // a host that nobody set
			got := h.end()
			if len(got) != 1 || got[0].at != 5*ms || got[0].to != Client {
				t.Fatalf("what left is %+v", got)
			}
			wantError(t, got[0].raw, raw, server, HostUnreachable, true)
			h.want("5ms client SYN: rejected", "5ms server ICMP host-unreachable: delivered 5ms forged", "6ms server SYN-ACK: blackholed")
		})
	}
}

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

// Exactly the SYNs that are listed are lost, whatever else is sent, and a new
// path counts anew.
func TestLoseSYN(t *testing.T) {
	for _, state := range []State{Up, TCPReset, HostUnreachable} {
		h := newHarness(t, Config{})
		for round := range 2 {
			h.set(server4, Path{LoseSYN: []int{5, 1, 2}, State: state})
			h.set(other4, Path{})
			for n := 1; n <= 7; n++ {
				before := len(h.packets())
				at := time.Duration(10*round + n)
				h.arrive(at, Client, tcp(server4, "S").frame()) // the same again: a retransmission
				want := map[int]bool{1: true, 2: true, 5: true}[n]
				if got := h.packets()[before].Fate == LostSYN; got != want {
					t.Errorf("%s: SYN %d of round %d is lost: %v", state, n, round, got)
				}
				h.arrive(at, Client, tcp(server4, "A").frame())
				h.arrive(at, Client, tcp(server4, "SA").frame())
				h.arrive(at, Client, tcp(server4, "SR").frame())
				h.arrive(at, Client, udp(server4, 1).frame())
				h.arrive(at, Client, tcp(other4, "S").frame())
				h.arrive(at, Server, tcp(server4, "S").reversed().frame())
			}
		}
		h.end()
		lost := 0
		for _, p := range h.packets() {
			if p.Fate == LostSYN {
				lost++
			}
		}
		if lost != 6 {
			t.Errorf("%s: %d packets are lost by LoseSYN, want 6", state, lost)
		}
	}
}

// Packets on their way keep their time and their fate; new ones have the new path
// and may be there first.
func TestChangeUnderway(t *testing.T) {
	for _, c := range []struct {
		path Path
		says string
	}{
		{Path{State: Blackhole}, "40ms client UDP: blackholed"},
		{Path{Delay: time.Second}, "40ms client UDP: delivered 1.04s"},
		{Path{Delay: ms}, "40ms client UDP: delivered 41ms"},
		{Path{Loss: 1}, "40ms client UDP: lost"},
	} {
		h := newHarness(t, Config{})
		h.set(server4, Path{Delay: 50 * ms})
		h.arrive(0, Client, tcp(server4, "S").frame())
		h.arrive(1*ms, Server, tcp(server4, "SA").reversed().frame())
		h.until(30 * ms)
		h.set(server4, c.path)
		h.arrive(40*ms, Client, udp(server4, 1).frame())
		h.end()
		h.want("0s client SYN: delivered 50ms", "1ms server SYN-ACK: delivered 51ms", c.says)
	}
}

// A refusal that is on its way arrives though the path is up again.
func TestChangeWithAnAnswerUnderway(t *testing.T) {
	h := newHarness(t, Config{})
	h.set(server4, Path{Delay: 50 * ms, State: TCPReset})
	h.arrive(0, Client, tcp(server4, "S").frame())
	h.until(10 * ms)
	h.set(server4, Path{})
	h.end()
	h.want("0s client SYN: rejected", "50ms server RST: delivered 100ms forged")
}

// Each connection is logged by what begins and ends it.
func TestHandshake(t *testing.T) {
	for name, server := range families {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, Config{})
			h.set(server, Path{})
			fromServer := func(flags string, seq, ack uint32, payload int) []byte {
				return tcp(server, flags).reversed().with(func(p *packet) { p.seq, p.ack, p.payload = seq, ack, payload }).frame()
			}
			fromClient := func(flags string, seq, ack uint32, payload int) []byte {
				return tcp(server, flags).with(func(p *packet) { p.seq, p.ack, p.payload = seq, ack, payload }).frame()
			}
			const isn = 0xffffffff // its acknowledgement is 0
			for i, s := range []struct {
				from Side
				raw  []byte
			}{
				{Client, fromClient("A", 77, 5, 0)}, // of a connection nobody has seen
				{Client, fromClient("S", 1000, 0, 0)},
				{Client, fromClient("S", 1000, 0, 0)}, // again
				{Server, fromServer("SA", isn, 1001, 0)},
				{Client, fromClient("A", 1001, isn, 0)}, // acknowledges too little
				{Client, fromClient("A", 1001, 0, 0)},
				{Server, fromServer("SA", isn, 1001, 0)}, // again, as if the last one had come late
				{Client, fromClient("A", 1001, 0, 0)},
				{Client, fromClient("A", 1001, 0, 500)},
				{Server, fromServer("A", 0, 1501, 0)},
				{Server, fromServer("A", 0, 1501, 1400)},
				{Client, fromClient("A", 1501, 1400, 0)},
				{Client, fromClient("FA", 1501, 1400, 0)},
				{Server, fromServer("FA", 1400, 1502, 0)},
				{Client, fromClient("A", 1502, 1401, 0)},
				{Client, fromClient("S", 9000, 0, 0)}, // the same ports again
				{Server, fromServer("SA", 40, 9001, 0)},
				{Client, fromClient("A", 9001, 41, 30)}, // with data at once
				{Client, fromClient("RA", 9031, 41, 0)},
				{Client, fromClient("A", 9031, 41, 0)}, // of nothing any more
			} {
				h.arrive(time.Duration(i)*ms, s.from, s.raw)
			}
			h.end()
			h.want(
				"1ms client SYN: delivered 1ms",
				"2ms client SYN: delivered 2ms",
				"3ms server SYN-ACK: delivered 3ms",
				"5ms client ESTABLISHED: delivered 5ms",
				"6ms server SYN-ACK: delivered 6ms",
				"12ms client FIN: delivered 12ms",
				"13ms server FIN: delivered 13ms",
				"15ms client SYN: delivered 15ms",
				"16ms server SYN-ACK: delivered 16ms",
				"17ms client ESTABLISHED: delivered 17ms",
				"18ms client RST: delivered 18ms",
			)
			if got, want := h.packets()[0].To, netip.AddrPortFrom(server, 80); got != want {
				t.Errorf("the first SYN goes to %v", got)
			}
		})
	}
}

// A connection is established when the server can know.
func TestHandshakeLost(t *testing.T) {
	h := newHarness(t, Config{})
	h.set(server4, Path{})
	h.arrive(0, Client, tcp(server4, "S").frame())
	h.arrive(1, Server, tcp(server4, "SA").reversed().with(func(p *packet) { p.seq = 5000 }).frame())
	h.set(server4, Path{Loss: 1})
	h.arrive(2, Client, tcp(server4, "A").frame())
	h.set(server4, Path{})
	h.arrive(3, Client, tcp(server4, "A").frame())
	h.arrive(4, Client, tcp(server4, "A").frame())
	h.end()
	h.want("0s client SYN: delivered 0s", "1ns server SYN-ACK: delivered 1ns",
		"2ns client ESTABLISHED: lost", "3ns client ESTABLISHED: delivered 3ns")
	if got := Tallies(h.packets())[server4].Established; got != 1 {
		t.Errorf("%d are established", got)
	}
}

// ICMP errors of the hosts themselves are in the log, other ICMP is not.
func TestICMPOfHosts(t *testing.T) {
	h := newHarness(t, Config{})
	h.set(server4, Path{})
	h.set(server6, Path{})
	h.arrive(0, Server, icmp4(server4, 3, 3).reversed().frame())
	h.arrive(1, Client, icmp4(server4, 3, 13).frame())
	h.arrive(2, Client, icmp4(server4, 3, 4).frame()) // fragmentation needed
	h.arrive(3, Client, icmp4(server4, 8, 0).frame())
	h.arrive(4, Server, icmp6(server6, 1, 6).reversed().frame())
	h.arrive(5, Server, icmp6(server6, 128, 0).reversed().frame())
	h.arrive(6, Server, icmp6(server6, 1, 7).reversed().frame())
	if got := h.end(); len(got) != 7 {
		t.Errorf("of 7 frames %d left", len(got))
	}
	h.want("0s server ICMP port-unreachable: delivered 0s", "1ns client ICMP admin-prohibited: delivered 1ns",
		"4ns server ICMP reject-route: delivered 4ns")
	if got, want := h.packets()[0].From, netip.AddrPortFrom(server4, 0); got != want {
		t.Errorf("it comes from %v", got)
	}
}

// Only the first piece of a datagram has its ports.
func TestFragmentsInTheLog(t *testing.T) {
	h := newHarness(t, Config{})
	h.set(server6, Path{})
	h.arrive(0, Client, fragment6(0, true).frame())
	h.arrive(1, Client, fragment6(8, false).frame())
	if got := h.end(); len(got) != 2 {
		t.Errorf("of 2 frames %d left", len(got))
	}
	h.want("0s client UDP: delivered 0s")
}

// What is inside a tunnel is no packet of the link.
func TestTunnel(t *testing.T) {
	h := newHarness(t, Config{})
	h.set(server4, Path{Delay: 10 * ms})
	h.set(other4, Path{State: Blackhole})
	raw := tcp(server4, "").upper(gopacket.Payload(tcp(other4, "S").frame()[14:])).with(protocol(4)).frame()
	h.arrive(0, Client, raw)
	if got := h.end(); len(got) != 1 || got[0].at != 10*ms || !bytes.Equal(got[0].raw, raw) {
		t.Errorf("what left is %+v", got)
	}
	h.want()
}

// Loss is what it says, each way for itself, and of answers too.
func TestLoss(t *testing.T) {
	const n = 8000
	for _, loss := range []float64{0, 0.01, 0.3, 1} {
		for _, state := range []State{Up, TCPReset} {
			h := newHarness(t, Config{Seed: 5})
			h.set(server4, Path{Loss: loss, State: state})
			for i := range n {
				h.arrive(time.Duration(i), Client, tcp(server4, "S").frame())
				if state == Up {
					h.arrive(time.Duration(i), Server, tcp(server4, "SA").reversed().frame())
				}
			}
			h.end()
			fates := make(map[Side]map[Fate]int)
			for _, p := range h.packets() {
				if fates[p.By] == nil {
					fates[p.By] = make(map[Fate]int)
				}
				fates[p.By][p.Fate]++
			}
			sent := map[Side]int{Client: n, Server: n}
			if state == TCPReset {
				sent[Server] = fates[Client][Rejected]
			}
			for side, of := range sent {
				if got := float64(fates[side][Lost]); got < (loss-0.02)*float64(of) || got > (loss+0.02)*float64(of) {
					t.Errorf("%s, loss %v: of %d by the %v %v are lost", state, loss, of, side, got)
				}
				if loss == 0 && fates[side][Lost] > 0 || loss == 1 && fates[side][Lost] < of {
					t.Errorf("%s, loss %v: of %d by the %v %v are lost", state, loss, of, side, fates[side][Lost])
				}
			}
			if got := len(h.out); got != fates[Client][Delivered]+fates[Server][Delivered] {
				t.Errorf("%s, loss %v: %d left, the log has %v", state, loss, got, fates)
			}
		}
	}
}

// Times are within Delay ± Jitter, evenly, except where a packet waits for the
// one before it; nothing is overtaken. What arrives at the same time leaves in
// the order it came.
func TestJitter(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		delay := time.Duration(random.Int64N(int64(100 * ms)))
		jitter := time.Duration(random.Int64N(int64(delay) + 1))
		h := newHarness(t, Config{Seed: seed})
		h.set(server4, Path{Delay: delay, Jitter: jitter, Loss: 0.1})
		const n = 300
		sent := make(map[uint32]time.Duration)
		now := time.Duration(0)
		for i := range uint32(n) {
			if random.IntN(3) > 0 {
				now += time.Duration(random.Int64N(int64(20 * ms)))
			}
			sent[i] = now
			side, p := Client, tcp(server4, "A").with(func(p *packet) { p.seq = i })
			if i%2 == 1 {
				side, p = Server, p.reversed()
			}
			h.arrive(now, side, p.frame())
		}
		last := map[Side]int{Client: -1, Server: -1}
		latest := make(map[Side]time.Duration)
		for _, l := range h.end() {
			i := binary.BigEndian.Uint32(look(t, l.raw).payload[4:])
			if int(i) <= last[l.to] {
				t.Fatalf("seed %d: packet %d leaves after %d", seed, i, last[l.to])
			}
			if l.at < sent[i]+delay-jitter {
				t.Fatalf("seed %d: packet %d took %v of %v ± %v", seed, i, l.at-sent[i], delay, jitter)
			}
			if most := max(sent[i]+delay+jitter, latest[l.to]); l.at > most {
				t.Fatalf("seed %d: packet %d took %v of %v ± %v", seed, i, l.at-sent[i], delay, jitter)
			}
			last[l.to], latest[l.to] = int(i), l.at
		}
		for _, late := range h.e.Lateness() {
			if late != 0 {
				t.Fatalf("seed %d: %v late in virtual time", seed, late)
			}
		}
	}
}

func TestJitterIsEven(t *testing.T) {
	h := newHarness(t, Config{Seed: 7})
	h.set(server4, Path{Delay: 10 * ms, Jitter: 10 * ms})
	const n, bins = 10000, 10
	for i := range n { // far apart: none waits for another
		h.arrive(time.Duration(i)*time.Second, Client, tcp(server4, "A").frame())
	}
	var count [bins]int
	for i, l := range h.end() {
		took := l.at - time.Duration(i)*time.Second
		count[min(int(took*bins/(20*ms)), bins-1)]++
	}
	for bin, got := range count {
		if got < n/bins*8/10 || got > n/bins*12/10 {
			t.Errorf("%d of %d took %v to %v", got, n, time.Duration(bin)*2*ms, time.Duration(bin+1)*2*ms)
		}
	}
}

// fates sends packets to addresses and returns what became of those of the first.
func fates(t *testing.T, seed uint64, loss float64, others int) (all []Packet) {
	h := newHarness(t, Config{Seed: seed})
	h.set(server4, Path{Delay: 10 * ms, Jitter: 10 * ms, Loss: loss})
	h.set(other4, Path{Delay: 10 * ms, Jitter: 10 * ms, Loss: 0.5})
	for i := range 200 {
		at := time.Duration(i) * 100 * ms
		for range others {
			h.arrive(at, Client, tcp(other4, "S").frame())
			h.arrive(at, Server, tcp(other4, "S").reversed().frame())
		}
		h.arrive(at, Client, tcp(server4, "S").frame())
	}
	h.end()
	for _, p := range h.packets() {
		if p.To.Addr() == server4 {
			all = append(all, p)
		}
	}
	return all
}

// The same seed is the same luck, another one is not, and one address's packets
// do not change another's. More loss takes more packets, and the same ones.
func TestLuck(t *testing.T) {
	for seed := range uint64(20) {
		once := fates(t, seed, 0.3, 0)
		if !slices.Equal(once, fates(t, seed, 0.3, 0)) {
			t.Fatalf("seed %d has luck of its own each time", seed)
		}
		if !slices.Equal(once, fates(t, seed, 0.3, 3)) {
			t.Fatalf("seed %d: other addresses change the luck", seed)
		}
		if slices.Equal(once, fates(t, seed+1, 0.3, 0)) {
			t.Fatalf("seeds %d and %d have the same luck", seed, seed+1)
		}
		for i, p := range fates(t, seed, 0.6, 0) {
			if once[i].Fate == Lost && p.Fate != Lost {
				t.Fatalf("seed %d: packet %d gets through with more loss", seed, i)
			}
			if p.Fate == Delivered && p.Arrived != once[i].Arrived {
				t.Fatalf("seed %d: packet %d changes its time with the loss", seed, i)
			}
		}
	}
}

// Neither addresses nor directions share their luck.
func TestLuckDiffers(t *testing.T) {
	const n = 2000
	var all [][]bool
	for i := range 10 {
		for _, from := range []Side{Client, Server} {
			w := way{random: newRandom(1, netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), from)}
			lost := make([]bool, n)
			for j := range lost {
				lost[j] = w.draw().loses(Path{Loss: 0.5})
			}
			all = append(all, lost)
		}
	}
	for i, a := range all {
		for j, b := range all[:i] {
			same := 0
			for k := range a {
				if a[k] == b[k] {
					same++
				}
			}
			if same < n*4/10 || same > n*6/10 {
				t.Errorf("ways %d and %d agree in %d of %d", i, j, same, n)
			}
		}
	}
}

// A side without room keeps its frame at the head; one that is refused is lost.
func TestSendFails(t *testing.T) {
	h := newHarness(t, Config{})
	h.set(server4, Path{})
	h.e.Arrive(0, Client, tcp(server4, "S").frame())
	h.e.Arrive(1, Client, udp(server4, 1).frame())
	busy := func(Side, []byte) error { return fmt.Errorf("sendmsg: %w", ErrBusy) }
	if h.e.Leave(5, busy) {
		t.Error("a frame left though there is no room")
	}
	if due, ok := h.e.Next(); !ok || due != 0 {
		t.Errorf("next is %v, %v", due, ok)
	}
	if !h.e.Leave(7, func(Side, []byte) error { return errors.New("network is down") }) {
		t.Error("a frame stays though it is refused")
	}
	if !h.e.Leave(9, h.send) {
		t.Error("the second frame stays")
	}
	h.now = 9
	h.want("0s client SYN: lost", "1ns client UDP: delivered 9ns")
	if got := h.e.Lateness(); !slices.Equal(got, []time.Duration{8}) {
		t.Errorf("lateness is %v", got)
	}
}

// A side without room doesn't hold up the other.
func TestOneSideBusy(t *testing.T) {
	for _, side := range []Side{Client, Server} {
		h := newHarness(t, Config{})
		h.set(server4, Path{})
		for at := range 3 * time.Nanosecond {
			h.e.Arrive(at, Client, udp(server4, 1).frame())
			h.e.Arrive(at, Server, udp(server4, 1).reversed().frame())
		}
		tries := 0
		for h.e.Leave(5, func(to Side, raw []byte) error {
			if tries++; to == side {
				return ErrBusy
			}
			return h.send(to, raw)
		}) {
		}
		if len(h.out) != 3 || tries > 7 {
			t.Errorf("with the %v busy %d frames left, in %d tries", side, len(h.out), tries)
		}
		if due, ok := h.e.Next(); !ok || due != 0 {
			t.Errorf("next is %v, %v", due, ok)
		}
	}
}

// The address that is meant may be written in several ways.
func TestAddressForms(t *testing.T) {
	h := newHarness(t, Config{})
	h.set(netip.MustParseAddr("::ffff:198.51.100.1"), Path{Delay: ms})
	h.set(server6.WithZone("c0"), Path{Delay: ms})
	h.arrive(0, Client, tcp(server4, "S").frame())
	h.arrive(0, Client, tcp(server6, "S").frame())
	h.end()
	h.want("0s client SYN: delivered 1ms", "0s client SYN: delivered 1ms")
}

// More than a machine can hold is not kept.
func TestOverflow(t *testing.T) {
	h := newHarness(t, Config{})
	h.set(server4, Path{Delay: time.Minute})
	h.set(other4, Path{State: HostUnreachable})
	raw := udp(server4, 60000).frame()
	room := maxWaiting / len(raw)
	for i := range room + 10 {
		h.e.Arrive(time.Duration(i), Client, raw)
	}
	for h.e.queues[Client].bytes+600 < maxWaiting {
		h.e.Arrive(ms, Server, udp(server4, 60000).reversed().frame())
		if h.e.queues[Client].full(60100) {
			h.e.Arrive(ms, Server, tcp(server4, "A").reversed().frame())
		}
	}
	h.e.Arrive(time.Second, Client, udp(other4, 1000).frame())
	packets, _ := h.e.Packets(time.Hour)
	for i, p := range packets[:room+10] {
		if want := map[bool]Fate{true: Underway, false: Overflowed}[i < room]; p.Fate != want {
			t.Fatalf("packet %d of %d is %s", i, room, p.Fate)
		}
	}
	if p := packets[len(packets)-1]; p.Kind != "ICMP host-unreachable" || p.Fate != Overflowed {
		t.Errorf("the answer is %+v", p)
	}
	for side := range h.e.queues {
		if got := h.e.queues[side].bytes; got > maxWaiting {
			t.Errorf("%d bytes wait for the %v", got, Side(side))
		}
	}
	h.end()
	for side := range h.e.queues {
		if got := h.e.queues[side].bytes; got != 0 {
			t.Errorf("%d bytes wait for the %v when all have left", got, Side(side))
		}
	}
}
