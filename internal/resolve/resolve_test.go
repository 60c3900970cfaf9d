package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/racer/sched"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// startDNS starts a scripted server and returns a resolver that asks it.
func startDNS(t *testing.T, at string) (*netlab.DNS, *Resolver) {
	t.Helper()
	d, err := netlab.StartDNS(netip.MustParseAddrPort(at))
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d, Through(d.Addr())
}

// loopbacks are where a server can be. A container may lack IPv6.
func loopbacks(t *testing.T) []string {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Logf("without IPv6, as this machine has no ::1: %v", err)
		return []string{"127.0.0.1:0"}
	}
	must(t, conn.Close())
	return []string{"127.0.0.1:0", "[::1]:0"}
}

func lookup(t *testing.T, r *Resolver, kind sched.RecordType, name string) Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return r.Lookup(ctx, sched.Question{Name: name, Type: kind}, func() {})
}

func addrs(texts ...string) []netip.Addr {
	list := make([]netip.Addr, len(texts))
	for i, s := range texts {
		list[i] = netip.MustParseAddr(s)
	}
	return list
}

func wantAddrs(t *testing.T, got Answer, want []netip.Addr) {
	t.Helper()
	if got.Status != sched.Positive || got.Failure != (sched.Failure{}) || !slices.Equal(got.Addrs, want) {
		t.Errorf("answer is %+v, want %v", got, want)
	}
}

func wantFailure(t *testing.T, got Answer, status sched.Answer, kind string, fault sched.Fault) {
	t.Helper()
	f := got.Failure
	if got.Status != status || f.Type != kind || f.Fault != fault || !saysWhatToDo(f.Text) || len(got.Addrs) > 0 {
		t.Errorf("answer is %+v, want %s: %s, fault of %s, what it is; and what to do", got, status, kind, fault)
	}
}

// saysWhatToDo says whether a text has two halves: what it is; and what to do next.
func saysWhatToDo(text string) bool {
	what, next, _ := strings.Cut(text, "; ")
	return what != "" && next != ""
}

// Addresses that nothing tells apart come in the order of the answer, over either
// transport, and the name may end with a dot or not.
func TestOrderOfEqualsIsKept(t *testing.T) {
	for _, at := range loopbacks(t) {
		d, r := startDNS(t, at)
		four := addrs("192.0.2.3", "192.0.2.1", "192.0.2.2")
		six := addrs("2001:db8::3", "2001:db8::1", "2001:db8::2")
		d.Set("two.example", netlab.Answers{A: netlab.Answer{Addrs: four}, AAAA: netlab.Answer{Addrs: six}})
		for _, name := range []string{"two.example", "two.example.", "TWO.Example."} {
			wantAddrs(t, lookup(t, r, sched.A, name), four)
			wantAddrs(t, lookup(t, r, sched.AAAA, name), six)
		}
	}
}

// What is not equal Go sorts, and this package cannot help it: nothing is lost.
func TestAddressesAreAllThere(t *testing.T) {
	d, r := startDNS(t, "127.0.0.1:0")
	four, six := addrs("192.0.2.1", "127.0.0.1", "10.0.0.1"), addrs("2001:db8::1", "::1", "fd00::1")
	d.Set("mixed.example", netlab.Answers{A: netlab.Answer{Addrs: four}, AAAA: netlab.Answer{Addrs: six}})
	for kind, want := range map[sched.RecordType][]netip.Addr{sched.A: four, sched.AAAA: six} {
		got := lookup(t, r, kind, "mixed.example.")
		slices.SortFunc(got.Addrs, netip.Addr.Compare)
		slices.SortFunc(want, netip.Addr.Compare)
		wantAddrs(t, got, want)
	}
}

// Sixty addresses fit into one answer.
func TestManyAddresses(t *testing.T) {
	d, r := startDNS(t, "127.0.0.1:0")
	var many []netip.Addr
	for i := range 60 {
		many = append(many, netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}))
	}
	d.Set("many.example", netlab.Answers{A: netlab.Answer{Addrs: many}})
	wantAddrs(t, lookup(t, r, sched.A, "many.example."), many)
}

// An IPv4 address comes as one, never in its IPv4-mapped form, which an AAAA
// record can hold.
func TestNoAddressIsMapped(t *testing.T) {
	d, r := startDNS(t, "127.0.0.1:0")
	d.Set("odd.example", netlab.Answers{
		A:    netlab.Answer{Addrs: addrs("192.0.2.1")},
		AAAA: netlab.Answer{Addrs: addrs("::ffff:192.0.2.7", "2001:db8::1")},
	})
	for _, kind := range []sched.RecordType{sched.A, sched.AAAA} {
		got := lookup(t, r, kind, "odd.example.")
		if len(got.Addrs) == 0 || slices.ContainsFunc(got.Addrs, netip.Addr.Is4In6) {
			t.Errorf("%s: answer is %+v", kind, got)
		}
	}
}

// A name that does not exist and one without records of the type are the same to
// Go's resolver.
func TestNotFound(t *testing.T) {
	d, r := startDNS(t, "127.0.0.1:0")
	d.Set("four.example", netlab.Answers{A: netlab.Answer{Addrs: addrs("192.0.2.1")}})
	wantFailure(t, lookup(t, r, sched.AAAA, "four.example."), sched.NotFound, "host_not_found", sched.FaultTarget)
	wantFailure(t, lookup(t, r, sched.A, "gone.example."), sched.NotFound, "host_not_found", sched.FaultTarget)
	wantFailure(t, lookup(t, r, sched.AAAA, "gone.example."), sched.NotFound, "host_not_found", sched.FaultTarget)
}

// wantServer holds that a failure names the name server that was asked, and no other.
func wantServer(t *testing.T, got Answer, asked netip.AddrPort) {
	t.Helper()
	if want := "the name server " + asked.String() + " could not answer: "; !strings.HasPrefix(got.Failure.Text, want) ||
		strings.Contains(got.Failure.Text, "lookup") {
		t.Errorf("answer is %+v, want %q", got, want)
	}
}

func TestServerFailure(t *testing.T) {
	d, r := startDNS(t, "127.0.0.1:0")
	d.Set("broken.example", netlab.Answers{
		A: netlab.Answer{RCode: dnsmessage.RCodeServerFailure}, AAAA: netlab.Answer{Addrs: addrs("2001:db8::1")},
	})
	got := lookup(t, r, sched.A, "broken.example.")
	wantFailure(t, got, sched.Broken, "try_again", sched.FaultPath)
	wantServer(t, got, d.Addr())
	wantAddrs(t, lookup(t, r, sched.AAAA, "broken.example."), addrs("2001:db8::1"))
}

func TestRefusedByTheServer(t *testing.T) {
	d, r := startDNS(t, "127.0.0.1:0")
	d.Set("private.example", netlab.Answers{A: netlab.Answer{RCode: dnsmessage.RCodeRefused}})
	got := lookup(t, r, sched.A, "private.example.")
	wantFailure(t, got, sched.Broken, "no_recovery", sched.FaultPath)
	wantServer(t, got, d.Addr())
}

// Nothing listens there: the packet that says so comes from the server's host, after it
// was asked.
func TestNobodyListens(t *testing.T) {
	d, r := startDNS(t, "127.0.0.1:0")
	must(t, d.Close())
	got := lookup(t, r, sched.A, "private.example.")
	wantFailure(t, got, sched.Broken, "try_again", sched.FaultPath)
	want := "the name server " + d.Addr().String() + " could not answer: connection refused; see whether it runs, or ask another name server"
	if got.Failure.Text != want {
		t.Errorf("it is %q, want %q", got.Failure.Text, want)
	}
}

// What keeps this host from asking at all is its own trouble. Over UDP a connect sends
// nothing, so a missing route is that too; over TCP a router may have said it, and where
// another server was asked it explains nothing.
func TestUnableToAsk(t *testing.T) {
	const server = "192.0.2.53:53"
	for _, c := range []struct {
		network string
		errno   syscall.Errno
		reached bool
		fault   sched.Fault
		says    string
	}{
		{"udp", syscall.ENETUNREACH, false, sched.FaultHost, "this host has no route to the name server 192.0.2.53:53"},
		{"udp4", syscall.ENETUNREACH, false, sched.FaultHost, "this host has no route to the name server 192.0.2.53:53"},
		{"udp", syscall.EHOSTUNREACH, false, sched.FaultHost, "a route of this host forbids the name server 192.0.2.53:53"},
		{"udp", syscall.EACCES, false, sched.FaultHost, "a route of this host forbids the name server 192.0.2.53:53"},
		{"udp", syscall.EMFILE, false, sched.FaultHost, "out of file descriptors"},
		{"udp", syscall.ENETUNREACH, true, sched.FaultPath, "no route to this network"},
		{"udp", syscall.EMFILE, true, sched.FaultHost, "the name server 192.0.2.53:53 cannot be asked: this process is out of file descriptors"},
		{"udp", syscall.EPERM, true, sched.FaultHost, "cannot be asked: forbidden by a firewall of this host"},
		{"udp", syscall.EAFNOSUPPORT, false, sched.FaultHost, "family of the name server 192.0.2.53:53; enable it here, or ask another name server"},
		{"tcp", syscall.ENETUNREACH, false, sched.FaultPath, "no route to this network"},
		{"tcp", syscall.ECONNREFUSED, false, sched.FaultTarget, "nothing listens"},
		{"tcp", syscall.EMFILE, false, sched.FaultHost, "out of file descriptors"},
	} {
		var s servers
		s.reached.Store(c.reached)
		f := s.failed(c.network, server, &net.OpError{Op: "dial", Net: c.network, Err: os.NewSyscallError("connect", c.errno)})
		if f.Fault != c.fault || !strings.Contains(f.Text, c.says) || !saysWhatToDo(f.Text) {
			t.Errorf("%s, %v, another asked: %t: %+v, want %q, fault of %s", c.network, c.errno, c.reached, f, c.says, c.fault)
		}
	}
}

// A query that this host does not let out has not been asked, and says why; one that
// leaves after it has, and is all there is to say.
func TestQueriesThatDoNotLeave(t *testing.T) {
	d, _ := startDNS(t, "127.0.0.1:0")
	asked := 0
	s := servers{sent: func() { asked++ }}
	closed, err := s.dial(t.Context(), "udp", d.Addr().String())
	must(t, err)
	must(t, closed.Close())
	if _, err := closed.Write([]byte("query")); err == nil || asked != 0 || s.unable.Load() == nil {
		t.Errorf("%v, asked %d times, unable: %+v", err, asked, s.unable.Load())
	}
	open, err := s.dial(t.Context(), "udp", d.Addr().String())
	must(t, err)
	defer func() { _ = open.Close() }()
	if _, err := open.Write([]byte("query")); err != nil || asked != 1 || s.unable.Load() != nil {
		t.Errorf("%v, asked %d times, unable: %+v", err, asked, s.unable.Load())
	}
}

// A server that could not be reached is forgotten once another one is.
func TestAnotherServerIsAsked(t *testing.T) {
	d, _ := startDNS(t, "127.0.0.1:0")
	s := servers{sent: func() {}}
	if _, err := s.dial(t.Context(), "udp", "no address"); err == nil || s.unable.Load() == nil || s.reached.Load() {
		t.Errorf("no address is dialed: %v", err)
	}
	conn, err := s.dial(t.Context(), "udp", d.Addr().String())
	must(t, err)
	must(t, conn.Close())
	if s.unable.Load() != nil || !s.reached.Load() || s.asked() != d.Addr().String() {
		t.Errorf("after that one was reached: %+v, asked was %q", s.unable.Load(), s.asked())
	}
}

// Nobody answers: the caller's time is up, and no earlier.
func TestSilenceEndsWithTheContext(t *testing.T) {
	d, r := startDNS(t, "127.0.0.1:0")
	d.Set("lost.example", netlab.Answers{A: netlab.Answer{Drop: true}})
	const limit = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	got := r.Lookup(ctx, sched.Question{Name: "lost.example.", Type: sched.A}, func() {})
	if took := time.Since(began); took < limit || took > patience {
		t.Errorf("it took %v", took)
	}
	wantFailure(t, got, sched.Broken, "try_again", sched.FaultPath)
}

// Each type is a question of its own (H2-01): one does not wait for the other.
func TestTypesAreAskedSeparately(t *testing.T) {
	d, r := startDNS(t, "127.0.0.1:0")
	d.Set("half.example", netlab.Answers{
		A: netlab.Answer{Drop: true}, AAAA: netlab.Answer{Addrs: addrs("2001:db8::1")},
	})
	wantAddrs(t, lookup(t, r, sched.AAAA, "half.example."), addrs("2001:db8::1"))
	wantLog(t, d, "AAAA")
	d.Set("half.example", netlab.Answers{
		A: netlab.Answer{Addrs: addrs("192.0.2.1")}, AAAA: netlab.Answer{Drop: true},
	})
	wantAddrs(t, lookup(t, r, sched.A, "half.example."), addrs("192.0.2.1"))
	wantLog(t, d, "AAAA", "A")
}

func wantLog(t *testing.T, d *netlab.DNS, types ...string) {
	t.Helper()
	var got []string
	for _, q := range d.Log() {
		got = append(got, q.Type)
	}
	if !slices.Equal(got, types) {
		t.Errorf("asked were %v, want %v", got, types)
	}
}

// A caller who wants to ask something else next learns when the query has left,
// long before the answer, and nothing when none was needed.
func TestSaysWhenAQueryHasLeft(t *testing.T) {
	for _, at := range loopbacks(t) {
		d, r := startDNS(t, at)
		d.Set("lost.example", netlab.Answers{A: netlab.Answer{Drop: true}})
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		left := false
		got := r.Lookup(ctx, sched.Question{Name: "lost.example.", Type: sched.A}, func() {
			left = true
			cancel()
		})
		if !left || got.Status != sched.Broken {
			t.Errorf("the query had left: %t, the answer is %+v", left, got)
		}
		r.Lookup(t.Context(), sched.Question{Name: "192.0.2.1", Type: sched.A}, func() { t.Error("a query has left for an address") })
	}
}

// What Go's resolver reports, in our words. A hosts file that has a name, but not
// in this family, comes as an AddrError; this machine's own may have such a name
// or not, so the error is made here.
func TestErrorsInOurWords(t *testing.T) {
	for _, c := range []struct {
		err    error
		status sched.Answer
		kind   string
		fault  sched.Fault
	}{
		{&net.AddrError{Err: "no suitable address found", Addr: "localhost"}, sched.NotFound, "host_not_found", sched.FaultTarget},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, sched.NotFound, "host_not_found", sched.FaultTarget},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true}, sched.Broken, "try_again", sched.FaultPath},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, sched.Broken, "try_again", sched.FaultPath},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true, IsTemporary: true}, sched.Broken, "try_again", sched.FaultPath},
		{&net.DNSError{Err: "server misbehaving", Name: "one.example", Server: "192.0.2.99:53"}, sched.Broken, "no_recovery", sched.FaultPath},
		{errors.New("out of luck"), sched.Broken, "no_recovery", sched.FaultPath},
	} {
		for _, err := range []error{c.err, fmt.Errorf("wrapped: %w", c.err)} {
			for _, asked := range []string{"", "192.0.2.53:53"} {
				got := negative(err, asked)
				wantFailure(t, got, c.status, c.kind, c.fault)
				if strings.Contains(got.Failure.Text, "lookup") || strings.Contains(got.Failure.Text, "192.0.2.99") {
					t.Errorf("%v becomes %q", err, got.Failure.Text)
				}
			}
		}
	}
}

// The zero value asks as the system is configured: an address in place of a name
// needs no server.
func TestZeroValue(t *testing.T) {
	wantAddrs(t, lookup(t, new(Resolver), sched.A, "192.0.2.1"), addrs("192.0.2.1"))
	wantAddrs(t, lookup(t, new(Resolver), sched.AAAA, "2001:db8::1"), addrs("2001:db8::1"))
	wantFailure(t, lookup(t, new(Resolver), sched.AAAA, "192.0.2.1"), sched.NotFound, "host_not_found", sched.FaultTarget)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
