package sim

import "time"

// Result is how one run went.
type Result struct {
	// Time is from the beginning, DNS included, until the dialer had its connection
	// or gave up; if it did neither, the patience of its caller.
	Time time.Duration

	// Backend is the index of the one that won; -1: none.
	Backend int

	// SYNs is how many left, repeats included.
	SYNs int

	// Established is how many connections were established, the winner's included.
	// The others were in vain.
	Established int

	// HalfOpen is how many attempts were given up while the answer of a backend
	// that accepts was on its way. For that backend it was a connection, ended by a
	// RST.
	HalfOpen int

	// Connected says that the dialer has a connection.
	Connected bool
}

// InVain is the number of connections that were established and of no use.
func (r Result) InVain() int {
	if r.Connected {
		return r.Established - 1
	}
	return r.Established
}
