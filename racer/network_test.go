package racer

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/admit"
	"github.com/connrace/connrace/internal/connect"
	"github.com/connrace/connrace/internal/netstate"
	"github.com/connrace/connrace/internal/policy"
	"github.com/connrace/connrace/internal/resolve"
	"github.com/connrace/connrace/racer/sched"
)

const ms = time.Millisecond

// network is all that surrounds a Racer in a bubble of virtual time: names,
// hosts and this host's addresses. What it was not told of fails the test.
type network struct {
	t        testing.TB
	names    map[sched.Question]reply
	hosts    map[netip.AddrPort][]host // what each dial in turn meets; the last one stays
	unrouted []netip.Prefix            // this host has no source address for them
	client   []netip.Prefix            // this host's addresses; nil: source4 and source6
	limits   Limits                    // of the racer
	sockets  int                       // descriptors that this process has for races; 0: any number
	panicked []any                     // what Config.Panicked was told

	mu     sync.Mutex
	asked  []sched.Question
	dialed []netip.AddrPort
	starts []departure
	flying int
	peak   int                  // the most that were flying at once
	there  map[netip.Prefix]int // flying to an address, or to a network that admission knows
	most   map[netip.Prefix]int // the most of these at once
	conns  []*conn
	talks  sync.WaitGroup // of the hosts
}

// departure is when something was sent somewhere.
type departure struct {
	to netip.AddrPort
	at time.Time
}

func newNetwork(t testing.TB) *network {
	return &network{
		t: t, names: make(map[sched.Question]reply), hosts: make(map[netip.AddrPort][]host),
		there: make(map[netip.Prefix]int), most: make(map[netip.Prefix]int),
	}
}

// racer returns a Racer that lives in the network.
func (n *network) racer() *Racer {
	return &Racer{
		lookup:   n.lookup,
		source:   n.source,
		room:     admit.New(n.limits, n.sockets),
		panicked: n.panics,
		attempts: func(r connect.Race) connect.Attempts { return connect.Portable(r, n.dial) },
	}
}

func (n *network) panics(value any, _ []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.panicked = append(n.panicked, value)
}

// reply is what a question meets.
type reply struct {
	after  time.Duration
	never  bool
	answer resolve.Answer
}

// resolves scripts a positive answer.
func (n *network) resolves(name string, t sched.RecordType, after time.Duration, addrs ...string) {
	r := reply{after: after}
	for _, a := range addrs {
		r.answer.Addrs = append(r.answer.Addrs, netip.MustParseAddr(a))
	}
	n.names[sched.Question{Name: name, Type: t}] = r
}

// answers scripts an answer without addresses, as package resolve words it.
func (n *network) answers(name string, t sched.RecordType, after time.Duration, status sched.Answer) {
	failure := sched.Failure{Type: "host_not_found", Fault: sched.FaultTarget}
	if status == sched.Broken {
		failure = sched.Failure{Type: "try_again", Fault: sched.FaultPath}
	}
	n.names[sched.Question{Name: name, Type: t}] = reply{
		after: after, answer: resolve.Answer{Status: status, Failure: failure},
	}
}

func (n *network) lookup(ctx context.Context, q sched.Question, sent func()) resolve.Answer {
	n.mu.Lock()
	n.asked = append(n.asked, q)
	r, known := n.names[q]
	n.mu.Unlock()
	sent()
	if !known {
		n.t.Errorf("nobody was to ask for %s of %s", q.Type, q.Name)
	}
	if r.never || !sleep(ctx, r.after) {
		<-ctx.Done()
		return resolve.Answer{Status: sched.Broken, Failure: sched.Failure{Type: "try_again", Fault: sched.FaultPath}}
	}
	r.answer.Addrs = slices.Clone(r.answer.Addrs) // it is the caller's now
	return r.answer
}

// The addresses of this host, outside of what hosts have.
var (
	source4 = netip.MustParseAddr("192.0.2.99")
	source6 = netip.MustParseAddr("2001:db8::99")
)

func (n *network) source(dst netip.Addr, _ netstate.Via) (netip.Addr, int) {
	switch {
	case slices.ContainsFunc(n.unrouted, func(p netip.Prefix) bool { return p.Contains(dst) }):
		return netip.Addr{}, 0
	case n.client != nil:
		i := slices.IndexFunc(n.client, func(p netip.Prefix) bool { return p.Addr().Is4() == dst.Is4() })
		if i < 0 {
			return netip.Addr{}, 0
		}
		return n.client[i].Addr(), n.client[i].Bits()
	case dst.Is4():
		return source4, 24
	}
	return source6, 64
}

// host is what an attempt meets.
type host struct {
	after    time.Duration // from the start to the outcome
	err      error         // the outcome; nil: it connects
	silent   bool          // there is no outcome
	unable   bool          // err comes before the start
	stubborn bool          // connects when it is cancelled
	// talks is what it does with a connection, which it closes at last; nil: there is
	// nothing that can be done with one but to close it.
	talks   func(*wireEnd)
	fragile bool // what is said over its connection panics
}

var silent = host{silent: true}

func connects(after time.Duration) host { return host{after: after} }

func refuses(after time.Duration) host { return fails(syscall.ECONNREFUSED, after) }

func fails(errno syscall.Errno, after time.Duration) host {
	return host{after: after, err: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", errno)}}
}

// unable is a host that is never sent anything: this one is in trouble.
func unable(errno syscall.Errno) host {
	return host{unable: true, err: &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", errno)}}
}

// host puts a host into the network; several are met by one dial after the other.
func (n *network) host(endpoint string, hs ...host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[netip.MustParseAddrPort(endpoint)] = hs
}

var _ connect.DialFunc = (*network)(nil).dial

func (n *network) dial(ctx context.Context, to policy.Allowed, starting func()) (net.Conn, error) {
	h := n.arrive(to.Endpoint())
	defer n.leave(to.Endpoint())
	if h.unable {
		return nil, h.err
	}
	starting()
	n.depart(to.Endpoint())
	if h.silent {
		<-ctx.Done()
	}
	if !h.silent && sleep(ctx, h.after) {
		if h.err != nil {
			return nil, h.err
		}
		return n.connection(to.Endpoint().Addr(), h), nil
	}
	if h.stubborn {
		return n.connection(to.Endpoint().Addr(), h), nil
	}
	return nil, &net.OpError{Op: "dial", Err: context.Canceled}
}

func (n *network) arrive(at netip.AddrPort) host {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dialed = append(n.dialed, at)
	n.flying++
	n.peak = max(n.peak, n.flying)
	for _, p := range placesOf(at) {
		n.there[p]++
		n.most[p] = max(n.most[p], n.there[p])
	}
	hs := n.hosts[at]
	switch len(hs) {
	case 0:
		n.t.Errorf("nobody was to connect to %s", at)
		return silent
	case 1:
	default:
		n.hosts[at] = hs[1:]
	}
	return hs[0]
}

func (n *network) leave(at netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.flying--
	for _, p := range placesOf(at) {
		n.there[p]--
	}
}

// placesOf are an address, and its /24 or /48.
func placesOf(at netip.AddrPort) []netip.Prefix {
	bits := 48
	if at.Addr().Is4() {
		bits = 24
	}
	return []netip.Prefix{
		netip.PrefixFrom(at.Addr(), at.Addr().BitLen()),
		netip.PrefixFrom(at.Addr(), bits).Masked(),
	}
}

func (n *network) depart(to netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.starts = append(n.starts, departure{to, time.Now()})
}

// sleep reports whether ctx has lasted that long.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// conn is a connection. Without a net.Conn in it it can do nothing but be closed.
type conn struct {
	net.Conn

	local   net.Addr
	fragile bool
	closed  atomic.Int32 // times
}

func (n *network) connection(to netip.Addr, h host) net.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	from, _ := n.source(to, netstate.Via{})
	port := 40000 + uint16(to.As16()[15]) // the same on each run
	c := &conn{local: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, port)), fragile: h.fragile}
	n.conns = append(n.conns, c)
	if h.talks != nil {
		near, far := newWire()
		c.Conn = near
		n.talks.Go(func() {
			defer far.Close()
			h.talks(far)
		})
	}
	return c
}

func (c *conn) LocalAddr() net.Addr { return c.local }

func (c *conn) Write(b []byte) (int, error) {
	if c.fragile {
		panic("it is fragile")
	}
	return c.Conn.Write(b)
}

func (c *conn) Close() error {
	c.closed.Add(1)
	if c.Conn != nil {
		return c.Conn.Close()
	}
	return nil
}

// checkClosed holds that every connection but kept was closed, and once if nothing
// could be said over it. Then every host notices: without that the bubble would stand
// still, and say so.
func (n *network) checkClosed(t testing.TB, kept net.Conn) {
	t.Helper()
	if kept == nil {
		n.talks.Wait()
	}
	for _, c := range n.conns {
		want := int32(1)
		if net.Conn(c) == kept {
			want = 0
		}
		got := c.closed.Load()
		if c.Conn != nil || c.fragile {
			got = min(got, 1) // a stage and whoever holds the connection may both close it
		}
		if got != want {
			t.Errorf("the connection from %s was closed %d times, want %d", c.local, got, want)
		}
	}
}
