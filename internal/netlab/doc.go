// Package netlab runs the hosts that a race is tried against: TCP endpoints
// that accept, refuse or swallow connections, and a DNS server that answers by
// script. It needs no privileges and nothing but loopback.
//
//	port, err := netlab.FreePort(good, hole)            // both hosts behind one port
//	fast, err := netlab.Accept(netip.AddrPortFrom(good, port))
//	slow, err := netlab.Swallow(netip.AddrPortFrom(hole, port))
//	dns, err := netlab.StartDNS(netip.AddrPortFrom(good, 0))
//	dns.Set("two.example", netlab.Answers{A: netlab.Answer{Addrs: []netip.Addr{hole, good}}})
//
// A lost SYN is made in three steps: connect to a [Swallow] host, call
// [Host.Drain] when the SYN has gone (100 ms later is plenty), and let the
// client's kernel send it again, about 1 s after the first. A second attempt
// that starts after the drain connects at once. Nothing here has a timer for
// this: whoever sent the SYN knows when.
//
// Every host works until its Close, which the caller owes it. Close waits for
// the host's goroutines and leaves no descriptor, connection or timer behind.
// All methods may be called from several goroutines. Time is the real clock, so
// nothing here works inside a testing/synctest bubble.
//
// Hosts live on loopback and send nothing anywhere else: other addresses are
// refused. Linux has all of 127.0.0.0/8 and ::1; other systems usually have
// 127.0.0.1 and ::1 only, and there [Swallow] and [Refuse] return an error that
// wraps [errors.ErrUnsupported].
package netlab
