package main

import (
	"encoding/json"
	"os"
	"time"

	"github.com/connrace/connrace/internal/netlab/link"
)

// labRecord is what a lab saw while a program ran. As JSON it is what --log
// writes.
type labRecord struct {
	Lab       string              `json:"lab"`             // the file
	About     string              `json:"about,omitempty"` // what the file says of itself
	Command   []string            `json:"command"`
	Began     time.Time           `json:"began"`
	Took      float64             `json:"durationMs"`
	ExitCode  int                 `json:"exitCode"`
	Queries   []labQuery          `json:"queries"`   // in the order in which they came in
	Packets   []labPacket         `json:"packets"`   // in the order in which they entered the link
	Addresses map[string]labTally `json:"addresses"` // what each server address saw

	took time.Duration
}

// labQuery is a question to the lab's name server.
type labQuery struct {
	Offset float64 `json:"offsetMs"` // since the program began
	Name   string  `json:"name"`
	Type   string  `json:"type"`
	Over   string  `json:"over"` // udp or tcp
	From   string  `json:"from"`

	at time.Duration
}

// labPacket is a packet that begins or ends a connection, a datagram, or an ICMP
// error.
type labPacket struct {
	Offset  float64  `json:"offsetMs"`            // when it left its sender, since the program began
	Arrived *float64 `json:"arrivedMs,omitempty"` // when it reached the other end; not there: it did not
	From    string   `json:"from"`
	To      string   `json:"to"`
	About   string   `json:"about,omitempty"` // of a forged ICMP error: whom the packet was meant for
	Kind    string   `json:"kind"`            // SYN, SYN-ACK, ESTABLISHED, FIN, RST, UDP, ICMP and the state
	Fate    string   `json:"fate"`
	Forged  bool     `json:"forged,omitempty"` // made by the link itself

	at   time.Duration
	link *link.Packet
}

// labTally counts what one server address saw.
type labTally struct {
	SYNs        int      `json:"syns"`        // sent to it
	Arrived     int      `json:"synsArrived"` // of those
	Established int      `json:"established"`
	ClientRSTs  int      `json:"clientRsts"`
	ServerRSTs  int      `json:"serverRsts"`
	FirstSYN    *float64 `json:"firstSynMs,omitempty"`
}

// addPackets takes in packets; since turns a time of the link into an offset.
func (r *labRecord) addPackets(packets []link.Packet, since func(time.Duration) time.Duration) {
	r.Took = milliseconds(r.took)
	for i := range packets {
		p := &packets[i]
		at := since(p.Sent)
		lp := labPacket{
			Offset: milliseconds(at),
			From:   p.From.String(),
			To:     p.To.String(),
			Kind:   string(p.Kind),
			Fate:   string(p.Fate),
			Forged: p.Forged,
			at:     at,
			link:   p,
		}
		if p.About.IsValid() {
			lp.About = p.About.String()
		}
		if p.Fate == link.Delivered {
			arrived := milliseconds(since(p.Arrived))
			lp.Arrived = &arrived
		}
		r.Packets = append(r.Packets, lp)
	}
	r.Addresses = make(map[string]labTally)
	for addr, tally := range link.Tallies(packets) {
		t := labTally{
			SYNs:        tally.SYNs,
			Arrived:     tally.SYNsArrived,
			Established: tally.Established,
			ClientRSTs:  tally.ClientRSTs,
			ServerRSTs:  tally.ServerRSTs,
		}
		if tally.SYNs > 0 {
			first := milliseconds(since(tally.FirstSYN))
			t.FirstSYN = &first
		}
		r.Addresses[addr.String()] = t
	}
}

// write writes the record to a file.
func (r *labRecord) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
