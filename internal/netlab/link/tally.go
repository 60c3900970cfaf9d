package link

import (
	"net/netip"
	"time"
)

// Tally is what races have cost one server address.
type Tally struct {
	SYNs        int // sent to it, whatever became of them
	SYNsArrived int // of those
	Established int // connections that came about
	ClientRSTs  int // sent to it, whatever became of them
	ServerRSTs  int // sent by it or in its name, whatever became of them

	// FirstSYN is when the first SYN was sent to it, on the system's monotonic
	// clock; 0 if none was.
	FirstSYN time.Duration
}

// Tallies sums up a log for each server address that TCP has to do with.
func Tallies(packets []Packet) map[netip.Addr]Tally {
	tallies := make(map[netip.Addr]Tally)
	for _, p := range packets {
		if t, ok := tallies[p.server()].plus(p); ok {
			tallies[p.server()] = t
		}
	}
	return tallies
}

// server is the address at the server's end of p.
func (p Packet) server() netip.Addr {
	if p.By == Client {
		return p.To.Addr()
	}
	return p.From.Addr()
}

// plus reports false if p is not among what is counted.
func (t Tally) plus(p Packet) (Tally, bool) {
	switch {
	case p.Kind == SYN && p.By == Client:
		if t.SYNs == 0 || p.Sent < t.FirstSYN {
			t.FirstSYN = p.Sent
		}
		t.SYNs++
		if p.Fate == Delivered {
			t.SYNsArrived++
		}
	case p.Kind == Established && p.Fate == Delivered:
		t.Established++
	case p.Kind == RST && p.By == Client:
		t.ClientRSTs++
	case p.Kind == RST:
		t.ServerRSTs++
	default:
		return t, false
	}
	return t, true
}
