package netlab_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connrace/connrace/internal/netlab"
)

func TestDNSKeepsTheOrderOfAddresses(t *testing.T) {
	t.Parallel()
	for _, at := range []netip.Addr{v4, v6} {
		t.Run(at.String(), func(t *testing.T) {
			t.Parallel()
			d := startDNS(t, any0(t, at))
			a := addrs("192.0.2.3", "192.0.2.1", "192.0.2.2")
			aaaa := addrs("2001:db8::3", "2001:db8::1", "2001:db8::2")
			d.Set("two.example", netlab.Answers{A: netlab.Answer{Addrs: a}, AAAA: netlab.Answer{Addrs: aaaa}})
			wantAddrs(t, d, "ip4", "two.example.", a)
			wantAddrs(t, d, "ip6", "two.example.", aaaa)
			wantAddrs(t, d, "ip4", "TWO.Example.", a)

			d.Set("TWO.example.", netlab.Answers{A: netlab.Answer{Addrs: a[:1]}})
			wantAddrs(t, d, "ip4", "two.example.", a[:1])
		})
	}
}

func TestDNSScriptIsItsOwn(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	script := addrs("192.0.2.1")
	d.Set("copied.example", netlab.Answers{A: netlab.Answer{Addrs: script}})
	script[0] = netip.MustParseAddr("192.0.2.99")
	wantAddrs(t, d, "ip4", "copied.example.", addrs("192.0.2.1"))
}

func TestDNSSixtyAddresses(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("many.example", netlab.Answers{A: netlab.Answer{Addrs: sixty()}})
	wantAddrs(t, d, "ip4", "many.example.", sixty())
}

func TestDNSNegativeAnswers(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("empty.example", netlab.Answers{})
	d.Set("broken.example", netlab.Answers{
		A:    netlab.Answer{RCode: dnsmessage.RCodeServerFailure},
		AAAA: netlab.Answer{RCode: dnsmessage.RCodeNameError},
	})
	for _, c := range []struct {
		network, name       string
		notFound, temporary bool
	}{
		{"ip4", "unknown.example.", true, false},
		{"ip6", "unknown.example.", true, false},
		{"ip4", "empty.example.", true, false},
		{"ip6", "empty.example.", true, false},
		{"ip4", "broken.example.", false, true},
		{"ip6", "broken.example.", true, false},
	} {
		_, err := resolver(d).LookupNetIP(t.Context(), c.network, c.name)
		var dns *net.DNSError
		if !errors.As(err, &dns) {
			t.Fatalf("%s %s: %v, want a DNSError", c.network, c.name, err)
		}
		if dns.IsNotFound != c.notFound || dns.IsTemporary != c.temporary {
			t.Errorf("%s %s: not found %v, temporary %v; want %v, %v",
				c.network, c.name, dns.IsNotFound, dns.IsTemporary, c.notFound, c.temporary)
		}
	}
}

// A delay belongs to one answer: it is kept, and others don't wait for it.
func TestDNSDelay(t *testing.T) {
	t.Parallel()
	const delay = 150 * time.Millisecond
	d := startDNS(t, any0(t, v4))
	a, aaaa := addrs("192.0.2.1"), addrs("2001:db8::1")
	d.Set("slow.example", netlab.Answers{
		A:    netlab.Answer{Addrs: a},
		AAAA: netlab.Answer{Addrs: aaaa, Delay: delay},
	})
	d.Set("later.example", netlab.Answers{A: netlab.Answer{Addrs: a, Delay: time.Hour}})
	later := message("later.example.", dnsmessage.TypeA)
	packet, err := later.Pack()
	must(t, err)
	_, err = dialDNS(t, d).Write(packet)
	must(t, err)
	eventually(t, "asked for what comes later", func() bool { return len(d.Log()) == 1 })
	wantAddrs(t, d, "ip4", "slow.example.", a)
	began := time.Now()
	wantAddrs(t, d, "ip6", "slow.example.", aaaa)
	if took := time.Since(began); took < delay {
		t.Errorf("the answer took %v, less than its delay of %v", took, delay)
	}
}

func TestDNSDropEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("lost.example", netlab.Answers{A: netlab.Answer{Drop: true}})
	ctx := expiring{t.Context(), make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		_, err := resolver(d).LookupNetIP(ctx, "ip4", "lost.example.")
		ended <- err
	}()
	eventually(t, "asked", func() bool { return len(d.Log()) == 1 })
	close(ctx.over)
	err := <-ended
	var dns *net.DNSError
	if !errors.As(err, &dns) || !dns.IsTimeout || ctx.Err() == nil {
		t.Errorf("lookup ended with %v, context %v; want a timeout by the context", err, ctx.Err())
	}
	if log := d.Log(); len(log) != 1 {
		t.Errorf("log is %v, want the one query that was dropped", log)
	}
}

// expiring is a context whose deadline has passed when the test says so: a real one
// might pass before a late machine has asked.
type expiring struct {
	context.Context

	over chan struct{}
}

func (e expiring) Done() <-chan struct{} { return e.over }

func (e expiring) Err() error {
	select {
	case <-e.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestDNSLog(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	c := dialDNS(t, d)
	began := time.Now()
	asked := []struct {
		name string
		kind dnsmessage.Type
		want string
	}{
		{"one.example.", dnsmessage.TypeAAAA, "AAAA"},
		{"One.Example.", dnsmessage.TypeA, "A"},
		{"one.example.", dnsmessage.TypeHTTPS, "HTTPS"},
		{"_x._tcp.example.", dnsmessage.TypeSRV, "SRV"},
		{"one.example.", dnsmessage.Type(65280), "TYPE65280"},
		{".", dnsmessage.TypeNS, "NS"},
	}
	for _, a := range asked {
		exchange(t, c, message(a.name, a.kind))
	}
	log := d.Log()
	if len(log) != len(asked) {
		t.Fatalf("log has %d queries, want %d: %v", len(log), len(asked), log)
	}
	for i, a := range asked {
		if log[i].Name != a.name || log[i].Type != a.want {
			t.Errorf("query %d is %v, want %s %s", i, log[i], a.name, a.want)
		}
		if log[i].At.Before(began) {
			t.Errorf("query %d came at %v, before %v", i, log[i].At, began)
		}
		began = log[i].At
	}
}

func TestDNSOnTheWire(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("wire.example", netlab.Answers{A: netlab.Answer{Addrs: addrs("192.0.2.1"), TTL: 300}})
	d.Set("many.example", netlab.Answers{A: netlab.Answer{Addrs: sixty()}})
	c := dialDNS(t, d)

	r := exchange(t, c, message("Wire.example.", dnsmessage.TypeA))
	if !r.Authoritative || !r.RecursionAvailable || !r.RecursionDesired || r.Truncated || r.RCode != 0 {
		t.Errorf("header is %+v", r.Header)
	}
	if len(r.Questions) != 1 || r.Questions[0].Name.String() != "Wire.example." {
		t.Errorf("questions are %v, want the one asked, in its case", r.Questions)
	}
	if len(r.Answers) != 1 || r.Answers[0].Header.TTL != 300 || len(r.Additionals) != 0 {
		t.Errorf("answers %v and additionals %v, want one record of 300 s and no OPT", r.Answers, r.Additionals)
	}

	for _, size := range []struct {
		name      string
		edns      int
		truncated bool
	}{
		{"without EDNS", 0, true},
		{"EDNS below its minimum", 100, true},
		{"EDNS 1232", 1232, false},
	} {
		m := message("many.example.", dnsmessage.TypeA)
		if size.edns > 0 {
			m.Additionals = []dnsmessage.Resource{option(t, size.edns)}
		}
		r := exchange(t, c, m)
		if r.Truncated != size.truncated || (len(r.Answers) == 0) != size.truncated {
			t.Errorf("%s: truncated %v with %d records, want truncated %v", size.name, r.Truncated, len(r.Answers), size.truncated)
		}
		if want := min(size.edns, 1); len(r.Additionals) != want {
			t.Errorf("%s: %d OPT records, want %d", size.name, len(r.Additionals), want)
		}
	}

	r = exchange(t, c, message("wire.example.", dnsmessage.TypeHTTPS))
	if r.RCode != dnsmessage.RCodeSuccess || len(r.Answers) != 0 {
		t.Errorf("HTTPS of a known name: %v, %v; want NODATA", r.RCode, r.Answers)
	}
}

// The server takes no harm from what is no query: the next one has its answer.
func TestDNSIgnoresWhatIsNoQuery(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	c := dialDNS(t, d)
	good := message("good.example.", dnsmessage.TypeA)
	query, err := good.Pack()
	must(t, err)
	reply, none := good, good
	reply.Response = true
	none.Questions = nil
	junk := [][]byte{{}, {1}, []byte("not DNS at all"), make([]byte, 5000)}
	for i := range query {
		junk = append(junk, query[:i])
	}
	for _, m := range []dnsmessage.Message{reply, none} {
		packet, err := m.Pack()
		must(t, err)
		junk = append(junk, packet)
	}
	for _, packet := range junk {
		_, err := c.Write(packet)
		must(t, err)
	}
	exchange(t, c, good)
	if log := d.Log(); len(log) != 1 {
		t.Errorf("log is %v, want the one query", log)
	}
}

func TestDNSConcurrentQueries(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	const names, askers = 8, 4
	for i := range names {
		d.Set(fmt.Sprintf("n%d.example", i), netlab.Answers{
			A: netlab.Answer{Addrs: []netip.Addr{numbered(i)}, Delay: time.Duration(i) * time.Millisecond},
		})
	}
	var all sync.WaitGroup
	for i := range names * askers {
		all.Go(func() {
			wantAddrs(t, d, "ip4", fmt.Sprintf("n%d.example.", i%names), []netip.Addr{numbered(i % names)})
			d.Log()
			d.Set(fmt.Sprintf("other%d.example", i), netlab.Answers{})
		})
	}
	all.Wait()
	if n := len(d.Log()); n != names*askers {
		t.Errorf("log has %d queries, want %d", n, names*askers)
	}
}

func TestDNSSetPanicsOnWhatNoRecordCarries(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	for says, a := range map[string]netlab.Answers{
		"put IPv6 addresses into AAAA": {A: netlab.Answer{Addrs: addrs("::ffff:192.0.2.1")}},
		"put IPv4 addresses into A":    {AAAA: netlab.Answer{Addrs: addrs("192.0.2.1")}},
		"drop zones":                   {AAAA: netlab.Answer{Addrs: addrs("fe80::1%lo")}},
		"use 0 to 15":                  {AAAA: netlab.Answer{RCode: 16}},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, says) {
					t.Errorf("panic says %q, want %q", got, says)
				}
			}()
			d.Set("wrong.example", a)
		}()
	}
}

// Not parallel, so that nobody else starts a goroutine.
func TestDNSCloseDuringADelay(t *testing.T) {
	before := runtime.NumGoroutine()
	d := startDNS(t, any0(t, v4))
	d.Set("late.example", netlab.Answers{A: netlab.Answer{Addrs: addrs("192.0.2.1"), Delay: time.Hour}})
	d.Set("soon.example", netlab.Answers{A: netlab.Answer{Addrs: addrs("192.0.2.1"), Delay: time.Millisecond}})
	c := dialDNS(t, d)
	const queries = 20
	for i := range queries {
		m := message([]string{"late.example.", "soon.example."}[i%2], dnsmessage.TypeA)
		packet, err := m.Pack()
		must(t, err)
		_, err = c.Write(packet)
		must(t, err)
	}
	eventually(t, "all asked", func() bool { return len(d.Log()) == queries })
	must(t, d.Close())
	must(t, d.Close())
	eventually(t, "no goroutine left", func() bool { return runtime.NumGoroutine() <= before })
}

func startDNS(t *testing.T, at netip.AddrPort) *netlab.DNS {
	t.Helper()
	d, err := netlab.StartDNS(at)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

// resolver is Go's own, asking d.
func resolver(d *netlab.DNS) *net.Resolver {
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, d.Addr().String())
		},
	}
}

// wantAddrs may run in any goroutine.
func wantAddrs(t *testing.T, d *netlab.DNS, network, name string, want []netip.Addr) {
	t.Helper()
	got, err := resolver(d).LookupNetIP(t.Context(), network, name)
	for i := range got {
		got[i] = got[i].Unmap()
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s %s: %v, %v; want %v", network, name, got, err, want)
	}
}

func dialDNS(t *testing.T, d *netlab.DNS) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", d.Addr().String())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

func message(name string, kind dnsmessage.Type) dnsmessage.Message {
	return dnsmessage.Message{
		Header: dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions: []dnsmessage.Question{
			{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET},
		},
	}
}

func option(t *testing.T, size int) dnsmessage.Resource {
	t.Helper()
	r := dnsmessage.Resource{Body: &dnsmessage.OPTResource{}}
	must(t, r.Header.SetEDNS0(size, 0, false))
	return r
}

func exchange(t *testing.T, c net.Conn, m dnsmessage.Message) dnsmessage.Message {
	t.Helper()
	packet, err := m.Pack()
	must(t, err)
	_, err = c.Write(packet)
	must(t, err)
	buf := make([]byte, 65535)
	n, err := c.Read(buf)
	must(t, err)
	var r dnsmessage.Message
	must(t, r.Unpack(buf[:n]))
	if !r.Response || r.ID != m.ID {
		t.Fatalf("reply has header %+v, want a response to ID %d", r.Header, m.ID)
	}
	return r
}

func addrs(s ...string) []netip.Addr {
	all := make([]netip.Addr, len(s))
	for i := range s {
		all[i] = netip.MustParseAddr(s[i])
	}
	return all
}

func numbered(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}) }

func sixty() []netip.Addr {
	all := make([]netip.Addr, 60)
	for i := range all {
		all[i] = numbered(59 - i)
	}
	return all
}
