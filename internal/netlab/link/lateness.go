package link

import "time"

// maxLateness is how many values are kept: the newest.
const maxLateness = 100_000

// lateness keeps by how much frames left after they were due.
type lateness struct {
	ring  []time.Duration
	total int // how many there have been; the newest is at (total-1) % maxLateness
}

func (l *lateness) add(late time.Duration) {
	if len(l.ring) < maxLateness {
		l.ring = append(l.ring, late)
	} else {
		l.ring[l.total%maxLateness] = late
	}
	l.total++
}

// page returns up to most values from the one with number from on, below end, and
// where the next page begins. The first value ever has number 0; those no longer
// kept are left out.
func (l *lateness) page(from, end, most int) (values []time.Duration, next int) {
	from = max(from, l.total-len(l.ring))
	next = min(max(from+most, 0), end, l.total)
	for i := from; i < next; i++ {
		values = append(values, l.ring[i%maxLateness])
	}
	return values, max(next, from)
}
