package link

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

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
