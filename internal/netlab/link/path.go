package link

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// MaxDelay is the longest delay of a path, one way.
const MaxDelay = time.Minute

// Path is how packets travel between the client and one server address. The zero
// value is a path that is up, without delay or loss.
type Path struct {
	// Delay is how long each packet travels, one way, each way. 0 to [MaxDelay].
	Delay time.Duration `json:"delayNs,omitempty"`

	// Jitter is how far a packet's time may be off Delay, to both sides, evenly
	// spread. 0 to Delay. Packets of one direction never overtake each other, so
	// one that would be faster than the one before it arrives together with it.
	Jitter time.Duration `json:"jitterNs,omitempty"`

	// Loss is the probability of each packet to be lost, each way. 0 to 1.
	Loss float64 `json:"loss,omitempty"`

	// LoseSYN are the SYNs to the address that are lost: 1 is the first one since
	// the path was set. Those a kernel sends again count. At least 1, in any order.
	LoseSYN []int `json:"loseSyn,omitempty"`

	// State is what becomes of the packets that aren't lost. Empty is [Up].
	State State `json:"state,omitempty"`
}

// Check returns all that is wrong with p as the path to addr, or nil.
func (p Path) Check(addr netip.Addr) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !addr.IsValid() {
		wrong("the path has no address; give an IPv4 or IPv6 address")
	}
	if p.Delay < 0 || p.Delay > MaxDelay {
		wrong("Delay is %v; it must be 0 to %v", p.Delay, MaxDelay)
	}
	if p.Jitter < 0 || p.Jitter > p.Delay {
		wrong("Jitter is %v; it must be 0 to Delay, which is %v", p.Jitter, p.Delay)
	}
	if !(p.Loss >= 0 && p.Loss <= 1) { // so that NaN is wrong too
		wrong("Loss is %v; it must be 0 to 1", p.Loss)
	}
	for i, n := range p.LoseSYN {
		if n < 1 {
			wrong("LoseSYN[%d] is %d; it must be 1, which is the first SYN, or more", i, n)
		}
	}
	if addr.IsValid() && p.State != "" && !slices.Contains(States(addr), p.State) {
		wrong("State is %q; for %v it must be one of %s", p.State, addr, listStates(addr))
	}
	return errors.Join(errs...)
}

func listStates(addr netip.Addr) string {
	var names []string
	for _, s := range States(addr) {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// settled returns p as the emulator keeps it: with its defaults, and with nothing
// that the caller may change later.
func (p Path) settled() Path {
	if p.State == "" {
		p.State = Up
	}
	p.LoseSYN = slices.Sorted(slices.Values(p.LoseSYN))
	return p
}

// loses reports whether the n-th SYN since p was set is one of LoseSYN.
func (p Path) loses(n int) bool {
	_, found := slices.BinarySearch(p.LoseSYN, n)
	return found
}
