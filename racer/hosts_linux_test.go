package racer

import (
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
)

// patience is how long a test waits for what must happen on a busy machine.
const patience = 20 * time.Second

type behaviour func(netip.AddrPort) (*netlab.Host, error)

// start makes a host that is closed when the test ends.
func start(t *testing.T, behave behaviour, at netip.AddrPort) *netlab.Host {
	t.Helper()
	h, err := behave(at)
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	return h
}

// onePort starts a host at each address, all behind one port, and returns their
// endpoints in the order of the addresses.
func onePort(t *testing.T, addrs []string, behave ...behaviour) (hosts []*netlab.Host, target Target) {
	t.Helper()
	parsed := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		parsed[i] = netip.MustParseAddr(a)
	}
	port, err := netlab.FreePort(parsed...)
	must(t, err)
	for i, addr := range parsed {
		h := start(t, behave[i], netip.AddrPortFrom(addr, port))
		hosts = append(hosts, h)
		target.Candidates = append(target.Candidates, CandidateSpec{Endpoint: h.Addr().String()})
	}
	return hosts, target
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// usage is what a leak would raise.
type usage struct{ descriptors, goroutines int }

func resources(t *testing.T) usage {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return usage{descriptors: len(entries), goroutines: runtime.NumGoroutine()}
}

// checkNothingLeft waits until everything is as it was.
func checkNothingLeft(t *testing.T, before usage, hosts []*netlab.Host) {
	t.Helper()
	for _, h := range hosts {
		eventually(t, "no connection is open at "+h.Addr().String(), func() bool { return h.Open() == 0 })
	}
	var now usage
	defer func() { t.Logf("before: %+v, after: %+v", before, now) }()
	eventually(t, "no more descriptors and goroutines than before", func() bool {
		now = resources(t)
		return now.descriptors <= before.descriptors && now.goroutines <= before.goroutines
	})
}
