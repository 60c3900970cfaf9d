// Package resolve asks DNS for the addresses of a name, one record type at a
// time, so that a race can go on with whichever answer comes first.
//
// It uses Go's own resolver, with or without cgo: by default with the system's
// hosts file and resolv.conf, or with one given server. Names that only modules of
// the C library know (mDNS and the like) are not found.
package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/connrace/connrace/internal/connect"
	"github.com/connrace/connrace/racer/sched"
)

// Resolver asks for addresses. The zero value uses the system's configuration.
type Resolver struct{ server netip.AddrPort }

// Through returns a resolver that asks only the given server, over Go's own
// implementation: the hosts file and the search list of the system still apply.
func Through(server netip.AddrPort) *Resolver { return &Resolver{server: server} }

// Answer is what came back: addresses, or the reason why there is none. Go's
// resolver has sorted the addresses by its reading of RFC 6724, and cannot be told
// not to; what it leaves equal keeps the order of the answer.
type Answer struct {
	Addrs   []netip.Addr  // none unless Status is Positive
	Status  sched.Answer  // how the question ended
	Failure sched.Failure // unless Status is Positive
}

// Lookup asks one question and returns when it is answered or ctx ends. It calls
// sent, perhaps more than once, when a query has left; never when none is needed.
func (r *Resolver) Lookup(ctx context.Context, q sched.Question, sent func()) Answer {
	network := "ip6"
	if q.Type == sched.A {
		network = "ip4"
	}
	via := servers{only: r.server, sent: sent}
	resolver := net.Resolver{PreferGo: true, Dial: via.dial}
	addrs, err := resolver.LookupNetIP(ctx, network, q.Name)
	if err != nil {
		a := negative(err, via.asked())
		if f := via.unable.Load(); f != nil && f.Fault == sched.FaultHost {
			a.Failure = *f // the name server was never asked
		}
		return a
	}
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	return Answer{Addrs: addrs}
}

// servers connects a lookup to its name servers, and knows what Go's errors leave out.
// A lookup that has been given up may still be dialing.
type servers struct {
	only    netip.AddrPort // asked in place of all others, if it is valid
	sent    func()
	address atomic.Pointer[string]        // of the latest
	unable  atomic.Pointer[sched.Failure] // to connect to the latest; nil: able
	reached atomic.Bool                   // one of them could be connected to
}

// asked is the address of the latest name server; "": none was.
func (s *servers) asked() string {
	if address := s.address.Load(); address != nil {
		return *address
	}
	return ""
}

// dial connects to a name server. Left alone, Go's resolver would go on reading
// for seconds after ctx has ended: closing the connection stops it. When the
// lookup ends otherwise, its context ends too, and the second Close does nothing.
func (s *servers) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.only.IsValid() {
		address = s.only.String()
	}
	s.address.Store(&address)
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		failure := s.failed(network, address, err)
		s.unable.Store(&failure)
		return nil, err
	}
	s.unable.Store(nil)
	s.reached.Store(true)
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	if udp, ok := conn.(*net.UDPConn); ok {
		return announced{udp, s, network, address}, nil
	}
	return conn, nil
}

// failed says why a name server could not be connected to. Over UDP nothing is sent for
// that, so a missing route is this host's; but where another server was asked, it is not
// why there is no answer.
func (s *servers) failed(network, address string, err error) sched.Failure {
	f := connect.Classify(err)
	asked := !strings.HasPrefix(network, "udp") || s.reached.Load()
	switch {
	case f.Errno == "ENETUNREACH" && !asked:
		f.Fault, f.Text = sched.FaultHost, "this host has no route to the name server "+address+"; add a route"+orAnother
	case (f.Errno == "EHOSTUNREACH" || f.Errno == "EACCES") && !asked:
		f.Fault, f.Text = sched.FaultHost, "a route of this host forbids the name server "+address+"; `ip route get` shows which"
	case f.Errno == "EAFNOSUPPORT":
		f.Text = "this host does not speak the family of the name server " + address + "; enable it here" + orAnother
	case f.Fault == sched.FaultHost:
		f.Text = "the name server " + address + " cannot be asked: " + f.Text
	}
	return f
}

// announced says when a query has left, or why this host did not let it.
type announced struct {
	*net.UDPConn
	servers          *servers
	network, address string
}

func (a announced) Write(b []byte) (int, error) {
	n, err := a.UDPConn.Write(b)
	if err != nil {
		failure := a.servers.failed(a.network, a.address, err)
		a.servers.unable.Store(&failure)
		return n, err
	}
	a.servers.unable.Store(nil)
	a.servers.sent()
	return n, nil
}

// negative puts an error into OpenTelemetry's words for lookups. Go reports a
// name that does not exist and a name without this type in the same way, and names the
// server of resolv.conf, whoever was asked.
func negative(err error, asked string) Answer {
	var dns *net.DNSError
	errors.As(err, &dns)
	// A hosts file that has the name, but not in this family, comes as AddrError.
	_, otherFamily := errors.AsType[*net.AddrError](err)
	switch {
	case otherFamily, dns != nil && dns.IsNotFound:
		return Answer{Status: sched.NotFound, Failure: sched.Failure{
			Type: "host_not_found", Text: "no such name, or it has no record of this type; if it should have one, check its spelling and its zone", Fault: sched.FaultTarget,
		}}
	case dns != nil && dns.IsTimeout:
		return Answer{Status: sched.Broken, Failure: sched.Failure{
			Type: "try_again", Text: nameServer(asked) + " did not answer in time; see whether it can be reached" + orAnother, Fault: sched.FaultPath,
		}}
	case dns != nil && dns.IsTemporary:
		return Answer{Status: sched.Broken, Failure: sched.Failure{
			Type: "try_again", Text: unanswered(dns, asked), Fault: sched.FaultPath,
		}}
	case dns != nil:
		return Answer{Status: sched.Broken, Failure: sched.Failure{
			Type: "no_recovery", Text: unanswered(dns, asked), Fault: sched.FaultPath,
		}}
	default:
		return Answer{Status: sched.Broken, Failure: sched.Failure{
			Type: "no_recovery", Text: err.Error() + "; please report this", Fault: sched.FaultPath,
		}}
	}
}

// unanswered says which name server had no answer, and why. Where a call failed Go puts
// the call and its sockets before that.
func unanswered(dns *net.DNSError, asked string) string {
	why, next := dns.Err, "see what it logs"
	if i := strings.LastIndex(why, ": "); i >= 0 {
		why, next = why[i+2:], "see whether it runs"
	}
	return nameServer(asked) + " could not answer: " + why + "; " + next + orAnother
}

// orAnother is what can be done with every name server that does not answer.
const orAnother = ", or ask another name server"

// nameServer names one; asked may be "".
func nameServer(asked string) string { return strings.TrimSpace("the name server " + asked) }
