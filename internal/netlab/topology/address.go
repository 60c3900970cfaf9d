package topology

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// DefaultClient is the client of a file that names none: one address of each
// family, of the ranges for documentation (RFC 5737, RFC 3849).
func DefaultClient() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("192.0.2.1/24"),
		netip.MustParsePrefix("2001:db8:1::1/64"),
	}
}

// readClient reads the client's addresses.
func readClient(n node) *plan {
	p := &plan{client: DefaultClient(), taken: make(map[netip.Addr]string)}
	if n.given() {
		p.client, p.partial = readPrefixes(n)
	}
	return p
}

// readPrefixes returns what can be read, and whether something can't.
func readPrefixes(n node) (client []netip.Prefix, partial bool) {
	const advice = "write one or two addresses with their prefix lengths: [192.0.2.1/24, 2001:db8:1::1/64]"
	elements := n.list(advice)
	if n.isEmptyList() {
		n.problemf("is an empty list; %s", advice)
	}
	for _, e := range elements {
		p, ok := read(e, parseClient)
		if !ok {
			continue
		}
		sameFamily := func(c netip.Prefix) bool { return c.Addr().Is4() == p.Addr().Is4() }
		if slices.ContainsFunc(client, sameFamily) {
			e.wrong("the client has an " + family(p.Addr()) + " address already; keep one of them")
			continue
		}
		client = append(client, p)
	}
	return client, len(client) == 0 || len(client) < len(elements)
}

// The longest prefixes that leave room for a gateway beside the client.
const (
	maxBits4 = 30
	maxBits6 = 126
)

func parseClient(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, errors.New("write an address with its prefix length, such as 192.0.2.1/24 or 2001:db8:1::1/64")
	}
	addr := p.Addr()
	maxBits, usual := maxBits4, "192.0.2.1/24"
	if addr.Is6() {
		maxBits, usual = maxBits6, "2001:db8:1::1/64"
	}
	if err := checkRoutable(addr, usual); err != nil {
		return p, err
	}
	switch {
	case p.Bits() > maxBits:
		return p, fmt.Errorf("it leaves no room for a gateway; write a prefix length up to /%d", maxBits)
	case p.Bits() == 0:
		return p, errors.New("all addresses would be the client's own network; write a prefix length from /1 on")
	case addr == p.Masked().Addr():
		return p, fmt.Errorf("this is the network, not a host in it; write the client's own address too, such as %s", usual)
	case addr.Is4() && !p.Contains(addr.Next()):
		return p, fmt.Errorf("this is the broadcast address of the network; write another one of it, such as %s", addr.Prev())
	}
	return p, nil
}

// plan is which addresses are free for servers.
type plan struct {
	client  []netip.Prefix
	partial bool                  // client lacks what is wrong in the file
	taken   map[netip.Addr]string // by the key at this path
}

// server reads the address of a server, and takes it.
func (p *plan) server(n node) (netip.Addr, bool) {
	addr, ok := read(n, func(text string) (netip.Addr, error) {
		addr, err := parseAddr(text)
		if err != nil {
			return addr, err
		}
		return addr, p.check(addr)
	})
	if ok {
		p.taken[addr] = n.path
	}
	return addr, ok
}

// check says why no server can be at addr.
func (p *plan) check(addr netip.Addr) error {
	if err := checkRoutable(addr, example(addr)); err != nil {
		return err
	}
	if own, inside := p.own(addr); inside {
		return fmt.Errorf("it lies in the client's own network %v, which the lab does not emulate; use an address outside of it, such as %s",
			own, example(addr))
	}
	if by, taken := p.taken[addr]; taken {
		return fmt.Errorf("%s has this address already; use another one", by)
	}
	return nil
}

// own is the client's network that addr lies in, if it does.
func (p *plan) own(addr netip.Addr) (netip.Prefix, bool) {
	for _, c := range p.client {
		if c.Contains(addr) {
			return c.Masked(), true
		}
	}
	return netip.Prefix{}, false
}

// reaches reports whether the client has an address of addr's family, as far as
// can be said.
func (p *plan) reaches(addr netip.Addr) bool {
	return p.partial || slices.ContainsFunc(p.client, func(c netip.Prefix) bool { return c.Addr().Is4() == addr.Is4() })
}

// parseAddr reads an address of either family.
func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, errors.New("write an IP address, such as 198.51.100.1 or 2001:db8:80::1")
	}
	if addr.Zone() != "" {
		return netip.Addr{}, errors.New("write the address without its zone, which is all from the % on")
	}
	return addr, nil
}

// parseAddr4 and parseAddr6 read what an A and an AAAA record hold. Any address
// will do, as in DNS: one that no host has, or loopback, may be what a client is
// tested with. An IPv4-mapped one is IPv6.
func parseAddr4(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is4() {
		return netip.Addr{}, errors.New("write an IPv4 address, such as 198.51.100.1")
	}
	return addr, nil
}

func parseAddr6(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return netip.Addr{}, errors.New("write an IPv6 address without a zone, such as 2001:db8:80::1")
	}
	return addr, nil
}

var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8") // RFC 1122 section 3.2.1.3
	broadcast   = netip.MustParseAddr("255.255.255.255")
)

// checkRoutable says why a packet to addr would never get onto the link, and what
// would be usual instead.
func checkRoutable(addr netip.Addr, usual string) error {
	var kind string
	switch {
	case addr.Is4In6():
		return fmt.Errorf("write the IPv4 address inside it: %v", addr.Unmap())
	case addr.IsUnspecified() || thisNetwork.Contains(addr):
		kind = "an unspecified address"
	case addr.IsLoopback():
		kind = "a loopback address"
	case addr.IsLinkLocalUnicast():
		kind = "a link-local address"
	case addr.IsMulticast():
		kind = "a multicast address"
	case addr == broadcast:
		kind = "the broadcast address"
	default:
		return nil
	}
	return fmt.Errorf("%s is not routed; use one such as %s", kind, usual)
}

// example is an address of addr's family that may stand in a file.
func example(addr netip.Addr) string {
	if addr.Is4() {
		return "198.51.100.1"
	}
	return "2001:db8:80::1"
}

func family(addr netip.Addr) string {
	if addr.Is4() {
		return "IPv4"
	}
	return "IPv6"
}
