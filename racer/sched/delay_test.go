package sched

import (
	"testing"
	"time"
)

// TestRetransmissionTimeout: RFC 6298 section 2, for the delay of an attempt that
// knows its round-trip time (H2-29, H3-40).
func TestRetransmissionTimeout(t *testing.T) {
	tests := []struct{ rtt, deviation, want time.Duration }{
		{20 * ms, 0, 60 * ms},       // 20 + 4*10: the first measurement
		{20 * ms, 10 * ms, 60 * ms}, // the same, said
		{20 * ms, 5 * ms, 40 * ms},
		{20 * ms, time.Nanosecond, 21 * ms}, // G, of 1 ms
		{20 * ms, 250_001, 21*ms + 4},
		{20 * ms, 100 * ms, 420 * ms},
		{3333333, 0, 10 * ms}, // 9999997 ns: half of an odd number is rounded down
		{ms, 0, 10 * ms},
		{667 * ms, 0, 2 * time.Second},
		{time.Second, 250 * ms, 2 * time.Second},
	}
	cfg := Config{AttemptDelay: 250 * ms}
	for _, tt := range tests {
		got, basis := cfg.learned(&Expectation{RTT: tt.rtt, Deviation: tt.deviation})
		if got != tt.want || basis != BasisRTO {
			t.Errorf("RTT %v, deviation %v: %v (%v), want %v", tt.rtt, tt.deviation, got, basis, tt.want)
		}
	}
}

// TestQuantile: the smallest of the times that so many do not exceed.
func TestQuantile(t *testing.T) {
	times := func(n int) (past []time.Duration) {
		for i := range n {
			past = append(past, time.Duration(i+1)*20*ms)
		}
		return past
	}
	tests := []struct {
		q    float64
		of   int
		want int // which one, the first is 1
	}{
		{0.5, 1, 1},
		{0.01, 1, 1},
		{1, 1, 1},
		{0.5, 2, 1},
		{0.51, 2, 2},
		{0.5, 3, 2},
		{0.9, 10, 9},
		{0.95, 10, 10},
		{0.95, 20, 19},
		{0.95, 21, 20},
		{0.28, 25, 7}, // in binary a little more than 7
		{0.07, 100, 7},
		{0.001, 10, 1},
		{1, 10, 10},
		{0.999, 100, 100},
	}
	for _, tt := range tests {
		want := time.Duration(tt.want) * 20 * ms
		if got := Quantile(times(tt.of), tt.q); got != want {
			t.Errorf("%v of %d: %v, want number %d: %v", tt.q, tt.of, got, tt.want, want)
		}
	}
}
