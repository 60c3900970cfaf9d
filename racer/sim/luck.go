package sim

import (
	"slices"
	"time"
)

// luck is where the fate of packets comes from. It is a pure function: what
// happens to the n-th SYN to a backend hangs on nothing else, so that all dialers
// meet the same luck in the same world.
type luck uint64

// What is drawn for one SYN.
const (
	lossThere uint64 = iota + 1
	lossBack
	jitterThere
	jitterBack
	holding // of the connection
)

// lost says whether the n-th SYN to a backend, counted from 1, or its answer is
// lost.
func (l luck) lost(b *Backend, backend, n int) bool {
	if slices.Contains(b.LoseSYN, n) {
		return true
	}
	return b.Loss > 0 &&
		(l.draw(backend, n, lossThere) < b.Loss || l.draw(backend, n, lossBack) < b.Loss)
}

// roundTrip is the time from the n-th SYN to its answer.
func (l luck) roundTrip(b *Backend, backend, n int) time.Duration {
	if b.Jitter <= 0 {
		return max(0, b.RTT)
	}
	there, back := l.draw(backend, n, jitterThere), l.draw(backend, n, jitterBack)
	off := 2 * (there + back - 1) * float64(b.Jitter)
	return max(b.floor(), b.RTT+time.Duration(off))
}

// floor is the shortest round trip there can be.
func (b *Backend) floor() time.Duration { return max(0, b.RTT-2*max(0, b.Jitter)) }

// draw returns an evenly spread number of [0, 1).
func (l luck) draw(backend, n int, what uint64) float64 {
	x := mix(uint64(l)) ^ uint64(backend)<<40 ^ uint64(n)<<8 ^ what
	return float64(mix(mix(x))>>11) / (1 << 53)
}

// mix is the output function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014):
// it turns neighbouring numbers into unrelated ones.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
