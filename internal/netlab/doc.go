// Package netlab runs the networks and hosts that a race is tried against. It
// needs no privileges.
//
// # A lab
//
// A lab is a network of one process alone, with real TCP stacks on both ends:
//
//	client host: this process      link: a process of its own      server host
//	192.0.2.1          c0 ======== c1  delay, loss, state  s1 ======== s0    any addresses
//	2001:db8:1::1                                                    names, listeners
//
// [Enter] runs the program again as the client host, in namespaces of its own,
// and [Start] makes the rest:
//
//	code, inside, err := netlab.Enter()  // first thing in main
//	...
//	lab, err := netlab.Start(netlab.Config{})
//	err = lab.SetPath(good, link.Path{Delay: 10 * time.Millisecond})
//	err = lab.SetPath(dead, link.Path{State: link.Blackhole})
//	host, err := lab.Serve(netip.AddrPortFrom(good, 80), netlab.HTTP(netlab.HTTPServer{}))
//	dns, err := lab.StartDNS(netip.AddrPortFrom(resolver, 53))
//	dns.Set("two.example", netlab.Answers{A: netlab.Answer{Addrs: []netip.Addr{dead, good}}})
//	...
//	packets, err := lab.Packets() // what the wire saw
//
// Paths may change at any time. Tests use package netlabtest for the first steps;
// package topology reads a lab from a file, and `connrace lab` runs any program
// in it.
//
// # On loopback
//
// [Accept], [Serve], [Refuse], [Swallow] and [StartDNS] start hosts on plain
// loopback, for those who may not make namespaces, the demo above all:
//
//	port, err := netlab.FreePort(good, hole)            // both hosts behind one port
//	fast, err := netlab.Accept(netip.AddrPortFrom(good, port))
//	slow, err := netlab.Swallow(netip.AddrPortFrom(hole, port))
//
// There a lost SYN is made in three steps: connect to a [Swallow] host, call
// [Host.Drain] when the SYN has gone (100 ms later is plenty), and let the
// client's kernel send it again, about 1 s after the first. A second attempt
// that starts after the drain connects at once.
//
// # Rules
//
// Every host works until its Close, or its lab's, which the caller owes it. Close
// waits for the host's goroutines and leaves no descriptor, connection or timer
// behind. All methods may be called from several goroutines. Time is the real
// clock, so nothing here works inside a testing/synctest bubble. Nothing is sent
// to any other machine.
//
// Labs need Linux. On loopback, Linux has all of 127.0.0.0/8 and ::1; other
// systems usually have 127.0.0.1 and ::1 only, and there [Swallow] and [Refuse]
// return an error that wraps [errors.ErrUnsupported].
package netlab
