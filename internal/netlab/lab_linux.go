package netlab

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/topology"
)

// Config describes the client host of a lab. The zero value is a host with one
// global address of each family.
type Config struct {
	// Client is the client's address with the length of its network's prefix, at
	// most one for each family; a family that is left out has no route. Nil is
	// [topology.DefaultClient]. There must be room for a gateway: IPv4 up to /30.
	Client []netip.Prefix

	// Seed is the luck of loss and jitter: with the same seed and the same packets
	// the same ones are lost.
	Seed uint64
}

// Lab is a network of this process alone: a client host, which is the process
// itself, a server host with any number of addresses, and the link between
// them. [Start] makes one; the zero value is not usable. All methods may be
// called from several goroutines.
type Lab struct {
	clients []netip.Prefix
	server  *namespace
	wire    *wire
	link    *link.Link
	clock   link.Clock
	release func() error

	mu      sync.Mutex
	servers map[netip.Addr]struct{} // the server host's addresses
	hosts   []io.Closer             // what Close closes first
}

var errNotInside = errors.New("netlab: this process is no client host: call Enter first thing in main or TestMain, and heed its error")

// running holds that a process is the client of one lab at a time: two would
// fight over its default route.
var running sync.Mutex

// Start makes a lab, some 30 ms later. It works in a process that has gone
// through [Enter]; a process has one lab at a time, and Close makes room for the
// next.
func Start(cfg Config) (*Lab, error) {
	if !insider.settled {
		return nil, errNotInside
	}
	clients, err := checkClients(cfg.Client)
	if err != nil {
		return nil, err
	}
	if !running.TryLock() {
		return nil, errors.New("netlab: this process has a lab already: Close that one first")
	}
	l := &Lab{clients: clients, clock: link.NewClock(), servers: make(map[netip.Addr]struct{})}
	l.release = sync.OnceValue(l.shut)
	if err := l.build(cfg.Seed); err != nil {
		return nil, errors.Join(fmt.Errorf("netlab: start: %w", err), l.Close())
	}
	return l, nil
}

// build makes the parts. What it has made when it fails, Close takes away.
func (l *Lab) build(seed uint64) (err error) {
	if l.server, err = newNamespace(); err != nil {
		return err
	}
	if l.wire, err = newWire(l.server); err != nil {
		return err
	}
	if err := l.server.do(func() error { return l.wire.attachServer(l.clients) }); err != nil {
		return err
	}
	if err := l.wire.attachClient(l.clients); err != nil {
		return err
	}
	cfg := link.Config{Seed: seed}
	for _, c := range l.clients {
		if c.Addr().Is4() {
			cfg.Router4 = gateway(c)
		} else {
			cfg.Router6 = gateway(c)
		}
	}
	l.link, err = link.Start(l.wire.clientSocket, l.wire.srvSocket, cfg)
	return err
}

// SetPath sets how packets travel between the client and one address of the
// server host, from now on; packets on their way keep their time. The first call
// for an address makes it exist: before, the link answers for it that there is
// no such host. The zero Path has no delay and no loss. The error says what is
// wrong with addr or p, or that the lab is closed.
func (l *Lab) SetPath(addr netip.Addr, p link.Path) error {
	addr = addr.Unmap()
	if err := errors.Join(l.checkServer(addr), p.Check(addr)); err != nil {
		return fmt.Errorf("netlab: path to %v: %w", addr, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, exists := l.servers[addr]; !exists {
		if err := l.server.do(func() error { return addServer(addr) }); err != nil {
			return fmt.Errorf("netlab: path to %v: %w", addr, err)
		}
		l.servers[addr] = struct{}{}
	}
	if err := l.link.Set(addr, p); err != nil {
		return fmt.Errorf("netlab: path to %v: %w", addr, err)
	}
	return nil
}

// Serve starts a host that listens at one of the addresses of the server host
// and treats its connections as b says. Port 0 takes any free port. A port where
// nobody listens refuses with RST, as on any host.
func (l *Lab) Serve(at netip.AddrPort, b Behaviour) (*Host, error) {
	h, err := l.place().serve(at, b)
	if err != nil {
		return nil, hostError("serve", at, err)
	}
	l.own(h)
	return h, nil
}

// Swallow is [Swallow] in the server host: a full accept queue.
func (l *Lab) Swallow(at netip.AddrPort) (*Host, error) {
	h, err := l.place().swallow(at)
	if err != nil {
		return nil, hostError("swallow", at, err)
	}
	l.own(h)
	return h, nil
}

// StartDNS is [StartDNS] in the server host.
func (l *Lab) StartDNS(at netip.AddrPort) (*DNS, error) {
	d, err := l.place().startDNS(at)
	if err != nil {
		return nil, err
	}
	l.own(d)
	return d, nil
}

// Packets returns what has passed the link so far, or was to: every TCP segment
// that begins or ends a connection, every datagram, every ICMP error, in the
// order in which they entered the link. It does not see the connections' data.
// [Lab.Time] turns their times into the process's own.
func (l *Lab) Packets() ([]link.Packet, error) {
	packets, left, err := l.link.Packets()
	if err == nil && left > 0 {
		err = fmt.Errorf("netlab: the link has logged %d packets and left out %d more: look at them in smaller portions", len(packets), left)
	}
	return packets, err
}

// Time is the time of the process's clock at which the link's clock showed mono.
// Times of the same lab may be subtracted from each other, and from time.Now.
func (l *Lab) Time(mono time.Duration) time.Time { return l.clock.At(mono) }

// Lateness returns by how much the link was late with each packet, at least for
// the newest: how far the lab itself is off its own delays.
func (l *Lab) Lateness() ([]time.Duration, error) { return l.link.Lateness() }

// Close ends the lab with all its hosts. Connections through it hang from then
// on, as through a cable that is pulled. Later calls do nothing and return the
// same.
func (l *Lab) Close() error {
	if err := l.release(); err != nil {
		return fmt.Errorf("netlab: close: %w", err)
	}
	return nil
}

// shut takes away what build has made, however far it came.
func (l *Lab) shut() error {
	defer running.Unlock()
	l.mu.Lock()
	hosts := l.hosts
	l.mu.Unlock()
	var errs []error
	for _, h := range slices.Backward(hosts) {
		errs = append(errs, h.Close())
	}
	if l.link != nil {
		errs = append(errs, l.link.Close())
	}
	if l.wire != nil {
		l.wire.unplug()
	}
	if l.server != nil {
		errs = append(errs, l.server.Close())
	}
	return errors.Join(errs...)
}

// own has Close close part.
func (l *Lab) own(part io.Closer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hosts = append(l.hosts, part)
}

// place is the server host.
func (l *Lab) place() place {
	return place{check: l.checkEndpoint, do: l.server.do}
}

// checkEndpoint holds that somebody listens only where packets can get to.
func (l *Lab) checkEndpoint(at netip.AddrPort) (netip.AddrPort, error) {
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, exists := l.servers[at.Addr()]; !exists {
		return at, errors.New("the lab has no such address; SetPath makes it")
	}
	return at, nil
}

// checkServer holds that packets for addr leave the client host through the link.
func (l *Lab) checkServer(addr netip.Addr) error {
	switch {
	case !addr.IsGlobalUnicast() || addr.Zone() != "":
		return errors.New("not a unicast address that can be routed; use one of the documentation's networks, such as 198.51.100.1 or 2001:db8:80::1")
	case slices.ContainsFunc(l.clients, func(c netip.Prefix) bool { return c.Contains(addr) }):
		return errors.New("inside the client's own network, which the lab does not emulate; use an address of another one")
	}
	return nil
}

// checkClients applies the default and holds the limits of Config.Client.
func checkClients(clients []netip.Prefix) ([]netip.Prefix, error) {
	if clients == nil {
		return topology.DefaultClient(), nil
	}
	families := make(map[bool]bool)
	for _, c := range clients {
		is4 := c.Addr().Is4()
		switch {
		case !c.IsValid() || !c.Addr().IsGlobalUnicast() || c.Addr().Is4In6():
			return nil, fmt.Errorf("netlab: client %v: not a unicast address with a prefix length; write it like 192.0.2.1/24", c)
		case families[is4]:
			return nil, fmt.Errorf("netlab: client %v: a second address of its family; give one of each at most", c)
		case is4 && c.Bits() > 30:
			return nil, fmt.Errorf("netlab: client %v: no room for a gateway; use a prefix of /30 or shorter", c)
		}
		families[is4] = true
	}
	return slices.Clone(clients), nil
}
