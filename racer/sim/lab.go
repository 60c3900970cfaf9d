package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/topology"
	"github.com/connrace/connrace/racer/sched"
)

// FromLab makes a world of the file that describes a lab: what a client on its
// client host meets when it connects to a TCP port of a name. The World's Name is
// the name.
//
// All that decides a TCP connect is taken over: addresses, paths with delay,
// jitter, loss, lost SYNs and state, ports that refuse or whose queue is full, the
// answers of DNS with delay, code and drops, aliases. What a port does after it has
// accepted is left out, for a simulated race ends there. An error says what else
// the file has that no world can show: answers that are truncated, malformed, or
// that change, and a resolver whose path has luck.
//
// Two things are a little different. The luck of jitter and loss is another one
// with the same odds. And a lab has a resolver of flesh and blood on its client
// host: it may ask again, sort the addresses, or answer from a hosts file.
func FromLab(t *topology.Topology, name string, port uint16) (World, error) {
	w := World{Name: name, Seed: t.Seed, Client: t.Client}
	for _, h := range t.Hosts {
		for _, addr := range h.Addresses {
			w.Backends = append(w.Backends, labBackend(h, addr, port))
		}
	}
	var err error
	if w.AAAA, err = labResolution(t, name, sched.AAAA); err != nil {
		return World{}, err
	}
	if w.A, err = labResolution(t, name, sched.A); err != nil {
		return World{}, err
	}
	w.addNobodies()
	return w, nil
}

// addNobodies adds the addresses that DNS has and no host: a lab answers for them
// at once that they are unreachable.
func (w *World) addNobodies() {
	for _, addr := range slices.Concat(w.AAAA.Addrs, w.A.Addrs) {
		if addr = addr.Unmap(); w.backend(addr) == nobody {
			w.Backends = append(w.Backends, Backend{Addr: addr, State: Unreachable})
		}
	}
}

func labBackend(h topology.Host, addr netip.Addr, port uint16) Backend {
	b := Backend{
		Addr: addr, RTT: 2 * h.Path.Delay, Jitter: h.Path.Jitter,
		Loss: h.Path.Loss, LoseSYN: h.Path.LoseSYN,
	}
	b.State, b.Errno = labState(h.Path.State, addr)
	if b.State == Up {
		b.State = portState(h.Ports, port)
	}
	return b
}

// portState is what a host that is up does with SYNs to its port.
func portState(ports []topology.Port, number uint16) State {
	i := slices.IndexFunc(ports, func(p topology.Port) bool { return p.Number == number })
	switch {
	case i < 0:
		return Refusing
	case ports[i].Behaviour == topology.FullQueue:
		return Silent
	default:
		return Up
	}
}

// labState is what becomes of SYNs on a path in that state, and the error that
// Linux makes of the ICMP message if there is one.
func labState(s link.State, addr netip.Addr) (State, syscall.Errno) {
	switch s {
	case link.Up, "":
		return Up, 0
	case link.Blackhole:
		return Silent, 0
	case link.TCPReset:
		return Refusing, 0
	}
	errnos, listed := icmpErrnos[s]
	switch {
	case !listed:
		return Unreachable, syscall.EHOSTUNREACH
	case addr.Is4():
		return Unreachable, errnos.v4
	default:
		return Unreachable, errnos.v6
	}
}

// icmpErrnos are what a connect fails with on Linux (icmp_err_convert in its
// net/ipv4/icmp.c, icmpv6_err_convert in net/ipv6/icmp.c), where that is not
// EHOSTUNREACH in both families. Its ENONET for source-isolated does not exist
// everywhere.
var icmpErrnos = map[link.State]struct{ v4, v6 syscall.Errno }{
	link.NetUnreachable:    {v4: syscall.ENETUNREACH, v6: syscall.ENETUNREACH},
	link.PortUnreachable:   {v4: syscall.ECONNREFUSED, v6: syscall.ECONNREFUSED},
	link.AdminProhibited:   {v4: syscall.EHOSTUNREACH, v6: syscall.EACCES},
	link.ProtUnreachable:   {v4: syscall.ENOPROTOOPT},
	link.SourceRouteFailed: {v4: syscall.EOPNOTSUPP},
	link.NetUnknown:        {v4: syscall.ENETUNREACH},
	link.HostUnknown:       {v4: syscall.EHOSTDOWN},
	link.NetProhibited:     {v4: syscall.ENETUNREACH},
	link.NetTOS:            {v4: syscall.ENETUNREACH},
	link.PolicyFail:        {v6: syscall.EACCES},
	link.RejectRoute:       {v6: syscall.EACCES},
}

// labResolution is what the lab's DNS says of a name.
func labResolution(t *topology.Topology, name string, kind sched.RecordType) (Resolution, error) {
	path := t.Resolver.Path
	if path.Jitter > 0 || path.Loss > 0 || len(path.LoseSYN) > 0 {
		return Resolution{}, errors.New("the path to the resolver has jitter or loss; the DNS of a simulated world has no luck")
	}
	if path.State != link.Up && path.State != "" {
		return Resolution{Dropped: true}, nil
	}
	roundTrip := 2 * path.Delay
	answer, known := labAnswer(t, name, kind)
	switch {
	case !known || answer == nil:
		return Resolution{Status: sched.NotFound, Delay: roundTrip}, nil
	case answer.Then != nil:
		return Resolution{}, fmt.Errorf("the %s answer for %s changes (then); a simulated world answers each question alike", kind, name)
	case answer.Truncate:
		return Resolution{}, fmt.Errorf("the %s answer for %s is truncated (truncate); a simulated world has no TCP to ask again by", kind, name)
	case answer.Malformed != "":
		return Resolution{}, fmt.Errorf("the %s answer for %s is malformed (malformed: %s); say what a resolver makes of it, such as rcode: SERVFAIL", kind, name, answer.Malformed)
	case answer.Drop:
		return Resolution{Dropped: true}, nil
	}
	r := Resolution{Delay: roundTrip + answer.Delay, Status: labStatus(answer)}
	if r.Status == sched.Positive {
		r.Addrs = answer.Addresses
	}
	return r, nil
}

// The codes of an answer that are not errors of the server: RFC 1035 section 4.1.1.
const (
	noError = 0
	noName  = 3
)

func labStatus(a *topology.Answer) sched.Answer {
	switch {
	case a.RCode == noName, a.RCode == noError && len(a.Addresses) == 0:
		return sched.NotFound
	case a.RCode == noError:
		return sched.Positive
	default:
		return sched.Broken
	}
}

// labAnswer follows aliases to the answer; known is false where they lead nowhere.
func labAnswer(t *topology.Topology, name string, kind sched.RecordType) (answer *topology.Answer, known bool) {
	for range len(t.Names) {
		i := slices.IndexFunc(t.Names, func(n topology.Name) bool { return n.Name == name })
		switch {
		case i < 0:
			return nil, false
		case t.Names[i].CNAME != "":
			name = t.Names[i].CNAME
		case kind == sched.A:
			return t.Names[i].A, true
		default:
			return t.Names[i].AAAA, true
		}
	}
	return nil, false // they go round in circles
}
