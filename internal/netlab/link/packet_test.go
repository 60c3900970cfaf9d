package link

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"
)

func TestPacketAsJSON(t *testing.T) {
	for want, p := range map[string]Packet{
		`{"sentNs":1000000,"arrivedNs":2000000,"by":"client","from":"192.0.2.1:40000","to":"198.51.100.1:80","kind":"SYN","fate":"delivered"}`: {
			Sent: ms, Arrived: 2 * ms, By: Client, Kind: SYN, Fate: Delivered,
			From: netip.AddrPortFrom(client4, 40000), To: netip.AddrPortFrom(server4, 80),
		},
		`{"sentNs":0,"by":"server","from":"[2001:db8:1::ffff]:0","to":"[2001:db8:1::1]:0","about":"[2001:db8:80::1]:80","kind":"ICMP policy-fail","fate":"lost","forged":true}`: {
			By: Server, About: netip.MustParseAddrPort("[2001:db8:80::1]:80"), Kind: icmp(PolicyFail), Fate: Lost, Forged: true,
			From: netip.AddrPortFrom(router6, 0), To: netip.AddrPortFrom(client6, 0),
		},
	} {
		text, err := json.Marshal(p)
		if err != nil || string(text) != want {
			t.Errorf("%v\n%s\nwant\n%s", err, text, want)
		}
		var again Packet
		if err := json.Unmarshal(text, &again); err != nil || again != p {
			t.Errorf("%v: %+v came back as %+v", err, p, again)
		}
	}
	var s Side
	if err := s.UnmarshalText([]byte("router")); err == nil {
		t.Error("a link has a third side")
	}
}

func TestTallies(t *testing.T) {
	to := func(server netip.Addr, kind Kind, fate Fate, sent time.Duration) Packet {
		return Packet{By: Client, From: netip.AddrPortFrom(clientOf(server), 4), To: netip.AddrPortFrom(server, 80), Kind: kind, Fate: fate, Sent: sent}
	}
	from := func(server netip.Addr, kind Kind, fate Fate) Packet {
		return Packet{By: Server, To: netip.AddrPortFrom(clientOf(server), 4), From: netip.AddrPortFrom(server, 80), Kind: kind, Fate: fate}
	}
	got := Tallies([]Packet{
		to(server4, SYN, LostSYN, 30*ms),
		to(server4, SYN, Delivered, 20*ms),
		to(server4, SYN, Underway, 40*ms),
		from(server4, SYNACK, Delivered),
		from(server4, SYN, Delivered), // of the server's own
		to(server4, Established, Lost, 0),
		to(server4, Established, Delivered, 0),
		to(server4, Established, Underway, 0),
		to(server4, FIN, Delivered, 0),
		to(server4, RST, Lost, 0),
		to(server4, RST, Delivered, 0),
		from(server4, RST, Delivered),
		to(server6, SYN, Blackholed, 0),
		to(server6, SYN, Blackholed, 5*ms),
		to(other4, UDP, Delivered, 0),
		from(other4, icmp(PortUnreachable), Delivered),
	})
	want := map[netip.Addr]Tally{
		server4: {SYNs: 3, SYNsArrived: 1, Established: 1, ClientRSTs: 2, ServerRSTs: 1, FirstSYN: 20 * ms},
		server6: {SYNs: 2},
	}
	if len(got) != len(want) || got[server4] != want[server4] || got[server6] != want[server6] {
		t.Errorf("the tallies are %+v", got)
	}
}

// The tallies of races as the emulator logs them.
func TestTalliesOfTheLog(t *testing.T) {
	h := newHarness(t, Config{})
	h.set(server4, Path{LoseSYN: []int{1}})
	h.set(server6, Path{State: TCPReset, Delay: 5 * ms})
	h.connect(3*ms, server4)
	h.connect(4*ms, server4) // the same again: a new SYN-ACK with the same number is no new connection
	h.arrive(5*ms, Client, tcp(server6, "S").frame())
	h.arrive(6*ms, Client, tcp(other4, "S").frame())
	h.arrive(7*ms, Client, tcp(server4, "R").frame())
	h.end()
	got := Tallies(h.packets())
	want := map[netip.Addr]Tally{
		server4: {SYNs: 2, SYNsArrived: 1, Established: 1, ClientRSTs: 1, FirstSYN: 3 * ms},
		server6: {SYNs: 1, ServerRSTs: 1, FirstSYN: 5 * ms},
		other4:  {SYNs: 1, FirstSYN: 6 * ms},
	}
	for addr, w := range want {
		if got[addr] != w {
			t.Errorf("%v: %+v, want %+v", addr, got[addr], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the tallies are %+v", got)
	}
}
