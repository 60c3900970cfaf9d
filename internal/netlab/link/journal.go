package link

import (
	"cmp"
	"slices"
	"time"
)

const (
	// maxPackets is how many entries the log has room for: some 150 MB.
	maxPackets = 1_000_000

	// chunkSize is how many entries are made room for at once: growing one large
	// slice would stop the link while it is copied.
	chunkSize = 1024
)

// journal is the log, in the order in which packets were seen.
type journal struct {
	chunks  [][]Packet
	length  int
	leftOut int // how many came after it was full
}

// unlogged is the place of a packet that has none in the journal.
const unlogged = -1

// add returns the entry's place.
func (j *journal) add(p Packet) int {
	if p.Kind == "" {
		return unlogged
	}
	if j.length == maxPackets {
		j.leftOut++
		return unlogged
	}
	if j.length%chunkSize == 0 {
		j.chunks = append(j.chunks, make([]Packet, chunkSize))
	}
	j.length++
	*j.at(j.length - 1) = p
	return j.length - 1
}

// settle gives the entry at a place its fate.
func (j *journal) settle(place int, fate Fate, arrived time.Duration) {
	if place == unlogged {
		return
	}
	p := j.at(place)
	p.Fate, p.Arrived = fate, arrived
}

// page returns what is at the places from up to end and was sent by now. What the
// link answers is logged before it is sent.
func (j *journal) page(from, end int, now time.Duration) []Packet {
	var packets []Packet
	for place := max(from, 0); place < min(end, j.length); place++ {
		if p := j.at(place); p.Sent <= now {
			packets = append(packets, *p)
		}
	}
	return packets
}

func (j *journal) at(place int) *Packet { return &j.chunks[place/chunkSize][place%chunkSize] }

// sortBySent puts packets into the order in which they entered the link.
func sortBySent(packets []Packet) {
	slices.SortStableFunc(packets, func(a, b Packet) int { return cmp.Compare(a.Sent, b.Sent) })
}
