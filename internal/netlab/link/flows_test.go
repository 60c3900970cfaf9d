package link

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
)

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
