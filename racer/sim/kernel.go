package sim

import "time"

// Kernel says when the client's kernel sends a SYN again that nobody answers, and
// when it gives up. The zero value is today's.
type Kernel uint8

const (
	// LinearSYN is Linux from 6.5 on: net.ipv4.tcp_syn_linear_timeouts is 4, so
	// the first four repeats follow a second apart and the time doubles after that.
	LinearSYN Kernel = iota
	// DoublingSYN is Linux before 6.5, and RFC 6298 section 5.5 to the letter: one
	// second, and twice as long each time.
	DoublingSYN
)

var kernelNames = []string{"linear_syn", "doubling_syn"}

// String returns a stable word such as "linear_syn".
func (k Kernel) String() string { return word(kernelNames, int(k)) }

// repeats are the times of the SYNs after the first one, counted from that. All
// follow from an initial timeout of 1 s (RFC 6298 section 2.1) and from
// net.ipv4.tcp_syn_retries being 6, to which the linear ones come on top.
func (k Kernel) repeats() []time.Duration {
	if k == DoublingSYN {
		return doubling
	}
	return linear
}

// giveUp is when the connect fails with ETIMEDOUT, counted from the first SYN.
func (k Kernel) giveUp() time.Duration {
	if k == DoublingSYN {
		return 127 * time.Second
	}
	return 131 * time.Second
}

var (
	doubling = seconds(1, 3, 7, 15, 31, 63)
	linear   = seconds(1, 2, 3, 4, 5, 7, 11, 19, 35, 67)
)

func seconds(numbers ...int) []time.Duration {
	times := make([]time.Duration, len(numbers))
	for i, n := range numbers {
		times[i] = time.Duration(n) * time.Second
	}
	return times
}

func word(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return "?"
	}
	return names[i]
}
