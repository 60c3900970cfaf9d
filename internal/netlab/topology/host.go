package topology

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/connrace/connrace/internal/netlab/link"
)

// Host is one or several server addresses with the same path and the same ports.
type Host struct {
	// Addresses are at least one, each a routable unicast address outside of the
	// client's networks. The client need not have an address of their family.
	Addresses []netip.Addr

	// Path is how packets travel between the client and each of them, which has a
	// path like this to itself: each loses its own SYNs. Path.Check has nothing
	// against it at any of them. An empty State is link.Up.
	Path link.Path

	// Ports are in the order of the file, each number once. Others refuse.
	Ports []Port
}

// Resolver is the DNS server that the client host asks, on port 53.
type Resolver struct {
	// Address is of a family that the client has. Default [DefaultResolver], or
	// [DefaultResolver6] for a client without IPv4.
	Address netip.Addr

	// Path is that of any host; the default of its Delay is [ResolverDelay].
	Path link.Path
}

// Where the DNS server is that a file says nothing of; the ranges are for
// documentation (RFC 5737, RFC 3849).
const (
	DefaultResolver  = "203.0.113.53"
	DefaultResolver6 = "2001:db8:53::53" // of a client without IPv4
)

// ResolverDelay is the default of the delay between client and resolver, one way.
const ResolverDelay = time.Millisecond

// The keys of a path, beside those of who lies at its end.
var pathKeys = []string{"delay", "jitter", "loss", "lose_syn", "state"}

func readHosts(n node, p *plan) []Host {
	var hosts []Host
	for _, e := range n.list("write a list of hosts, each beginning with - address:") {
		hosts = append(hosts, readHost(e, p))
	}
	return hosts
}

func readHost(n node, p *plan) Host {
	keys := n.keys(append([]string{"address", "addresses", "ports"}, pathKeys...)...)
	var h Host
	h.Addresses = readHostAddresses(n, keys["address"], keys["addresses"], p)
	h.Path = readPath(keys, h.Addresses, 0)
	h.Ports = readPorts(keys["ports"])
	return h
}

// readHostAddresses reads the one key or the other.
func readHostAddresses(host, one, several node, p *plan) []netip.Addr {
	const advice = "write a list of addresses, such as [198.51.100.1, 198.51.100.2]"
	elements := several.list(advice)
	switch {
	case one.given() && several.given():
		several.problemf("stands beside address; put all addresses into one of the two")
	case one.given():
		elements = []node{one}
	case !several.given() && host.isMapping():
		host.problemf("has no address; write address: 198.51.100.1 or addresses: [198.51.100.1, 198.51.100.2]")
	case several.isEmptyList():
		several.problemf("is an empty list; %s", advice)
	}
	var addrs []netip.Addr
	for _, e := range elements {
		if addr, ok := p.server(e); ok {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

func readResolver(n, client node, p *plan) Resolver {
	keys := n.keys(append([]string{"address"}, pathKeys...)...)
	addr, ok := readResolverAddress(keys["address"], client, p)
	var addrs []netip.Addr
	if ok {
		addrs = []netip.Addr{addr}
	}
	return Resolver{Address: addr, Path: readPath(keys, addrs, ResolverDelay)}
}

// readResolverAddress holds that the client can send to it. A default that does
// not fit is the client's problem: it is what the file has.
func readResolverAddress(n, client node, p *plan) (addr netip.Addr, ok bool) {
	if n.given() {
		addr, ok := p.server(n)
		if ok && !p.reaches(addr) {
			n.wrong("the client has no " + family(addr) + " address to ask it from; give it one, or use the other family here")
		}
		return addr, ok
	}
	addr = netip.MustParseAddr(DefaultResolver)
	if !p.reaches(addr) {
		addr = netip.MustParseAddr(DefaultResolver6)
	}
	if own, inside := p.own(addr); inside {
		client.problemf("has the network %v, in which the default resolver %v lies; write resolver: {address: ...} with one outside of it",
			own, addr)
	}
	p.taken[addr] = "resolver (by default)"
	return addr, true
}

// readPath reads the keys of a path; each of addrs is at its end.
func readPath(keys map[string]node, addrs []netip.Addr, delay time.Duration) link.Path {
	known := true
	if n := keys["delay"]; n.given() {
		delay, known = read(n, parseDelay)
	}
	jitter := keys["jitter"]
	p := link.Path{
		Delay:   delay,
		Jitter:  scalar(jitter, 0, parseDelay),
		Loss:    scalar(keys["loss"], 0, parseShare),
		LoseSYN: readList(keys["lose_syn"], "write which SYNs are lost, counted from 1: [1]", parseCount),
		State:   readState(keys["state"], addrs),
	}
	if known && p.Jitter > p.Delay {
		jitter.wrong(fmt.Sprintf("write at most the delay, which is %v", p.Delay))
	}
	return p
}

func parseDelay(text string) (time.Duration, error) { return parseDuration(text, link.MaxDelay) }

// readState reads a state that each of addrs can have.
func readState(n node, addrs []netip.Addr) link.State {
	return scalar(n, "", func(text string) (link.State, error) {
		for _, addr := range addrs {
			if states := link.States(addr); !slices.Contains(states, link.State(text)) {
				return "", fmt.Errorf("for %v write one of %s", addr, joined(states))
			}
		}
		return link.State(text), nil
	})
}

func joined(states []link.State) string {
	words := make([]string, len(states))
	for i, s := range states {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}
