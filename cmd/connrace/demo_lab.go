package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/connrace/connrace/internal/netlab"
)

// demoName is what the demo's name server knows. The top-level domain is
// reserved for tests (RFC 6761 section 6.2).
const demoName = "demo.connrace.test."

// Where the backends live. All of 127.0.0.0/8 is loopback on Linux.
var (
	demoSilent  = netip.IPv6Loopback()
	demoRefuses = netip.MustParseAddr("127.0.0.2")
	demoHealthy = netip.MustParseAddr("127.0.0.1")
	demoLossy   = netip.MustParseAddr("127.0.0.3")
	// demoSilent4 stands in where the system has no IPv6.
	demoSilent4 = netip.MustParseAddr("127.0.0.4")
)

// demoLab is four backends behind one name, and its name server.
type demoLab struct {
	target    string
	dualStack bool
	backends  []demoBackend // in the order a client tries them
	lossy     *netlab.Host
	dns       *netlab.DNS
	parts     []interface{ Close() error }
}

type demoBackend struct {
	endpoint string
	story    string
}

// newDemoLab starts everything. Its error says what the system lacks.
func newDemoLab() (*demoLab, error) {
	lab, err := startDemoLab(demoSilent)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		// Most likely there is no IPv6 on loopback, as in many containers.
		if lab4, err4 := startDemoLab(demoSilent4); err4 == nil {
			return lab4, nil
		}
	}
	return lab, err
}

func startDemoLab(silent netip.Addr) (lab *demoLab, err error) {
	port, err := netlab.FreePort(silent, demoRefuses, demoHealthy, demoLossy)
	if err != nil {
		return nil, fmt.Errorf("the demo needs the loopback addresses 127.0.0.1 to 127.0.0.4, which every Linux has: %w", err)
	}
	lab = &demoLab{target: fmt.Sprintf("%s:%d", demoName, port), dualStack: silent.Is6()}
	defer func() {
		if err != nil {
			lab.Close()
		}
	}()
	if _, err = lab.add(netlab.Swallow, silent, port, "swallows every SYN, as a dead address does"); err != nil {
		return nil, err
	}
	if _, err = lab.add(netlab.Refuse, demoRefuses, port, "refuses"); err != nil {
		return nil, err
	}
	if _, err = lab.add(netlab.Accept, demoHealthy, port, "is healthy"); err != nil {
		return nil, err
	}
	if lab.lossy, err = lab.add(netlab.Swallow, demoLossy, port, "is healthy, but loses the first SYN"); err != nil {
		return nil, err
	}
	return lab, lab.name(silent)
}

func (l *demoLab) add(start func(netip.AddrPort) (*netlab.Host, error), addr netip.Addr, port uint16, story string) (*netlab.Host, error) {
	host, err := start(netip.AddrPortFrom(addr, port))
	if err != nil {
		return nil, err
	}
	l.parts = append(l.parts, host)
	l.backends = append(l.backends, demoBackend{endpoint: host.Addr().String(), story: story})
	return host, nil
}

// name starts the name server.
func (l *demoLab) name(silent netip.Addr) (err error) {
	if l.dns, err = netlab.StartDNS(netip.AddrPortFrom(demoHealthy, 0)); err != nil {
		return err
	}
	l.parts = append(l.parts, l.dns)
	var answers netlab.Answers
	for _, addr := range []netip.Addr{silent, demoRefuses, demoHealthy, demoLossy} {
		if addr.Is4() {
			answers.A.Addrs = append(answers.A.Addrs, addr)
		} else {
			answers.AAAA.Addrs = append(answers.AAAA.Addrs, addr)
		}
	}
	l.dns.Set(demoName, answers)
	return nil
}

// wakeLossy makes the lossy backend answer from now on.
func (l *demoLab) wakeLossy() {
	_ = l.lossy.Drain() // without it the probe shows a dead address, which is no harm
}

// Close ends all of it.
func (l *demoLab) Close() {
	for _, part := range l.parts {
		_ = part.Close() // the process ends next
	}
}
