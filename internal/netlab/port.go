package netlab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"
)

// The ports FreePort chooses from lie below the range that Linux (from 32768)
// and the others (from 49152) use for outgoing connections and for port 0, so
// that no client takes the port between the choice and its use.
const (
	firstPort = 12000
	lastPort  = 31999
)

// portTries bounds the search: with half of the ports taken, one search in 10^15
// would fail.
const portTries = 50

// FreePort returns a TCP port that is free on all the given loopback addresses
// at the same time, so that several hosts can share one port. It does not hold
// the port: start the hosts right away, and one that finds it taken after all
// says so. It is an error to give no address, or one this machine lacks.
func FreePort(addrs ...netip.Addr) (uint16, error) {
	if len(addrs) == 0 {
		return 0, errors.New("netlab: free port of no address: name the addresses that will share it")
	}
	for range portTries {
		port := firstPort + rand.N[uint16](lastPort-firstPort+1)
		free, err := freeOnAll(port, addrs)
		if err != nil {
			return 0, err
		}
		if free {
			return port, nil
		}
	}
	return 0, fmt.Errorf("netlab: none of %d ports from %d to %d is free on all of %v: close what listens there",
		portTries, firstPort, lastPort, addrs)
}

// freeOnAll listens on port at all addrs at once and stops again.
func freeOnAll(port uint16, addrs []netip.Addr) (bool, error) {
	for i, addr := range addrs {
		if slices.Contains(addrs[:i], addr) {
			continue
		}
		ln, err := loopback.listen(netip.AddrPortFrom(addr, port))
		if errors.Is(err, syscall.EADDRINUSE) {
			return false, nil
		}
		if err != nil {
			return false, hostError("free port", netip.AddrPortFrom(addr, port), err)
		}
		defer func() { _ = ln.Close() }() // not before all the others have been tried
	}
	return true, nil
}
