package netlab_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
)

func TestMain(m *testing.M) { os.Exit(netlabtest.Run(m)) }

const ms = time.Millisecond

const slack = netlabtest.Slack

// The server addresses of most tests.
var (
	server4 = netip.MustParseAddr("198.51.100.1")
	server6 = netip.MustParseAddr("2001:db8:80::1")
)

// path gives the lab an address.
func path(t *testing.T, lab *netlab.Lab, addr netip.Addr, p link.Path) {
	t.Helper()
	must(t, lab.SetPath(addr, p))
}

// serve starts a host in the lab, at port 80.
func serve(t *testing.T, lab *netlab.Lab, addr netip.Addr, b netlab.Behaviour) *netlab.Host {
	t.Helper()
	h, err := lab.Serve(netip.AddrPortFrom(addr, 80), b)
	must(t, err)
	return h
}

// timed connects and tells how long it took. It resets the connection: a FIN might
// still be under way when the next lab begins.
func timed(t *testing.T, to netip.AddrPort, limit time.Duration) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	c, err := net.DialTimeout("tcp", to.String(), limit)
	took := time.Since(began)
	if err == nil {
		must(t, c.(*net.TCPConn).SetLinger(0))
		must(t, c.Close())
	}
	return took, err
}

func mustTimeOut(t *testing.T, err error) {
	t.Helper()
	if !os.IsTimeout(err) {
		t.Fatalf("error is %v, want a timeout", err)
	}
}

// Each state gives the errno it promises, both delays later, or silence. The
// kernel's translation is in its icmp_err_convert and icmpv6_err_convert.
func TestStatesAtTheClient(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	const delay = 10 * ms
	for i, c := range []struct {
		state  link.State
		v4, v6 syscall.Errno // 0: no such state in that family
	}{
		{link.TCPReset, syscall.ECONNREFUSED, syscall.ECONNREFUSED},
		{"net-unreachable", syscall.ENETUNREACH, syscall.ENETUNREACH},
		{"host-unreachable", syscall.EHOSTUNREACH, syscall.EHOSTUNREACH},
		{"port-unreachable", syscall.ECONNREFUSED, syscall.ECONNREFUSED},
		{"admin-prohibited", syscall.EHOSTUNREACH, syscall.EACCES},
		{"prot-unreachable", syscall.ENOPROTOOPT, 0},
		{"net-prohibited", syscall.ENETUNREACH, 0},
		{"host-prohibited", syscall.EHOSTUNREACH, 0},
		{"beyond-scope", 0, syscall.EHOSTUNREACH},
		{"policy-fail", 0, syscall.EACCES},
		{"reject-route", 0, syscall.EACCES},
	} {
		for family, want := range []syscall.Errno{c.v4, c.v6} {
			addr := [2]netip.Addr{
				netip.AddrFrom4([4]byte{198, 51, 100, byte(10 + i)}),
				netip.MustParseAddr(fmt.Sprintf("2001:db8:80::%d", 10+i)),
			}[family]
			t.Run(fmt.Sprintf("%s/%v", c.state, addr), func(t *testing.T) {
				p := link.Path{Delay: delay, State: c.state}
				if want == 0 {
					if err := lab.SetPath(addr, p); err == nil {
						t.Fatalf("%v can't be %s, and is", addr, c.state)
					}
					return
				}
				path(t, lab, addr, p)
				netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
					took, err := timed(t, netip.AddrPortFrom(addr, 80), patience)
					mustBe(t, err, want)
					watch.Near("the answer", took, 2*delay)
				})
			})
		}
	}
}

// A blackhole is silent: the dialer's own limit ends it. It swallows data of
// connections that stand, too, and they live on when the path does.
func TestBlackholeComesAndGoes(t *testing.T) {
	netlabtest.Punctually(t, blackholeComesAndGoes)
}

func blackholeComesAndGoes(t *testing.T, watch *netlabtest.Watch) {
	lab := netlabtest.Start(t, netlab.Config{})
	for _, addr := range []netip.Addr{server4, server6} {
		path(t, lab, addr, link.Path{})
		h := serve(t, lab, addr, netlab.HTTP(netlab.HTTPServer{Body: "alive"}))
		client := &http.Client{}
		get := func() {
			t.Helper()
			r, err := client.Get("http://" + h.Addr().String())
			must(t, err)
			body, err := io.ReadAll(r.Body)
			must(t, err)
			must(t, r.Body.Close())
			if string(body) != "alive" {
				t.Errorf("body is %q", body)
			}
		}
		get()
		path(t, lab, addr, link.Path{State: link.Blackhole})
		const limit = 200 * ms
		took, err := timed(t, h.Addr(), limit)
		mustTimeOut(t, err)
		watch.Near("the connect", took, limit)
		time.AfterFunc(100*ms, func() { _ = lab.SetPath(addr, link.Path{}) })
		get() // on the connection that stands: the kernel sends it again
		if h.Accepted() != 1 {
			t.Errorf("%d connections were made, want the one", h.Accepted())
		}
		client.CloseIdleConnections()
	}
}

// An address nobody set is none: the router says so at once.
func TestUnknownAddress(t *testing.T) {
	netlabtest.Punctually(t, unknownAddress)
}

func unknownAddress(t *testing.T, watch *netlabtest.Watch) {
	lab := netlabtest.Start(t, netlab.Config{})
	path(t, lab, server4, link.Path{})
	for _, to := range []string{"198.51.100.99:80", "[2001:db8:80::99]:80", "8.8.8.8:53"} {
		took, err := timed(t, netip.MustParseAddrPort(to), patience)
		mustBe(t, err, syscall.EHOSTUNREACH)
		watch.Near(to, took, 0)
	}
	// A port nobody listens on refuses with a real RST.
	_, err := timed(t, netip.AddrPortFrom(server4, 81), patience)
	mustBe(t, err, syscall.ECONNREFUSED)
}

// One lost SYN costs a plain client a second: its kernel waits that long before
// it sends the next one (RFC 6298 section 2.1). Two cost three, or two from Linux
// 6.5 on, which waits no longer for the third (tcp_syn_linear_timeouts).
func TestLostSYN(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	for i, c := range []struct {
		lose        []int
		least, most time.Duration
	}{
		{nil, 10 * ms, 10*ms + slack},
		{[]int{1}, time.Second, time.Second + 10*ms + 2*slack},
		{[]int{2}, 10 * ms, 10*ms + slack}, // there is no second one
		{[]int{1, 2}, 2 * time.Second, 3*time.Second + 10*ms + 4*slack},
	} {
		addr := netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)})
		path(t, lab, addr, link.Path{})
		serve(t, lab, addr, netlab.Read())
		t.Run(fmt.Sprint(c.lose), func(t *testing.T) {
			t.Parallel()
			netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
				path(t, lab, addr, link.Path{Delay: 5 * ms, LoseSYN: c.lose})
				took, err := timed(t, netip.AddrPortFrom(addr, 80), patience)
				must(t, err)
				watch.Between("the connect", took, c.least, c.most)
			})
		})
	}
}

// The packets' own story of a few connects, in order and with times that agree
// with the client's.
func TestPacketsTellTheStory(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	const delay = 5 * ms
	refused, dead := netip.MustParseAddr("198.51.100.2"), netip.MustParseAddr("198.51.100.3")
	path(t, lab, server4, link.Path{Delay: delay})
	path(t, lab, server6, link.Path{Delay: delay})
	path(t, lab, refused, link.Path{Delay: delay, State: link.TCPReset})
	path(t, lab, dead, link.Path{Delay: delay, State: link.Blackhole})
	began := time.Now()
	for _, addr := range []netip.Addr{server6, server4} {
		h := serve(t, lab, addr, netlab.Read())
		c := mustDial(t, h.Addr())
		must(t, c.(*net.TCPConn).SetLinger(0))
		must(t, c.Close())
		eventually(t, "accepted and gone", func() bool { return h.Accepted() == 1 && h.Open() == 0 })
	}
	_, err := timed(t, netip.AddrPortFrom(refused, 80), patience)
	mustBe(t, err, syscall.ECONNREFUSED)
	_, err = timed(t, netip.AddrPortFrom(dead, 80), 50*ms)
	mustTimeOut(t, err)

	packets, err := lab.Packets()
	must(t, err)
	var story []string
	for _, p := range packets {
		story = append(story, fmt.Sprintf("%s %v>%v %s", p.Kind, p.From.Addr(), p.To.Addr(), p.Fate))
		if at := lab.Time(p.Sent); at.Before(began) || at.After(time.Now()) {
			t.Errorf("%s was sent at %v, %v after the test began", p.Kind, at, at.Sub(began))
		}
		if p.Fate == link.Delivered && p.Arrived-p.Sent < delay {
			t.Errorf("%s took %v through the link", p.Kind, p.Arrived-p.Sent)
		}
	}
	t.Log(strings.Join(story, "\n"))
	tally := link.Tallies(packets)
	for addr, want := range map[netip.Addr]link.Tally{
		server6: {SYNs: 1, SYNsArrived: 1, Established: 1, ClientRSTs: 1},
		server4: {SYNs: 1, SYNsArrived: 1, Established: 1, ClientRSTs: 1},
		refused: {SYNs: 1, ServerRSTs: 1},
		dead:    {SYNs: 1},
	} {
		got := tally[addr]
		got.FirstSYN = 0
		if got != want {
			t.Errorf("%v saw %+v, want %+v", addr, got, want)
		}
	}
}

// A name server in the lab, asked through the system's configuration: that is
// what a program that knows nothing of labs does.
func TestResolverOfTheSystem(t *testing.T) {
	netlabtest.Punctually(t, resolverOfTheSystem)
}

func resolverOfTheSystem(t *testing.T, watch *netlabtest.Watch) {
	lab := netlabtest.Start(t, netlab.Config{})
	dns := netip.MustParseAddr("203.0.113.53")
	const delay = 10 * ms
	path(t, lab, dns, link.Path{Delay: delay})
	path(t, lab, server4, link.Path{})
	d, err := lab.StartDNS(netip.AddrPortFrom(dns, 53))
	must(t, err)
	d.Set("site.example", netlab.Answers{A: netlab.Answer{Addrs: []netip.Addr{server4}}})
	must(t, lab.UseResolver(dns))
	h := serve(t, lab, server4, netlab.Read())
	began := time.Now()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", "site.example:80")
	must(t, err)
	must(t, c.Close())
	watch.Near("name and connect", time.Since(began), 2*delay)
	if got := c.RemoteAddr().String(); got != h.Addr().String() {
		t.Errorf("connected to %s", got)
	}
	_, err = net.DefaultResolver.LookupHost(t.Context(), "nobody.example")
	var notFound *net.DNSError
	if !errors.As(err, &notFound) || !notFound.IsNotFound || notFound.Server != "203.0.113.53:53" {
		t.Errorf("an unknown name: %v", err)
	}
	if log := d.Log(); len(log) < 4 || log[0].Name != "site.example." {
		t.Errorf("asked was %v", log)
	}
}

// A host without IPv6 says so itself; nothing is sent.
func TestOneFamily(t *testing.T) {
	for _, client := range []string{"192.0.2.1/24", "2001:db8:1::1/64"} {
		t.Run(client, func(t *testing.T) {
			lab := netlabtest.Start(t, netlab.Config{Client: []netip.Prefix{netip.MustParsePrefix(client)}})
			path(t, lab, server4, link.Path{})
			path(t, lab, server6, link.Path{})
			for _, addr := range []netip.Addr{server4, server6} {
				serve(t, lab, addr, netlab.Read())
				_, err := timed(t, netip.AddrPortFrom(addr, 80), patience)
				if netip.MustParsePrefix(client).Addr().Is4() == addr.Is4() {
					must(t, err)
				} else {
					mustBe(t, err, syscall.ENETUNREACH)
				}
			}
		})
	}
}

// Bulk data goes through unharmed, whatever the offloads of the interfaces.
func TestBulk(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	const size = 20 << 20
	body := strings.Repeat("0123456789abcdef", size/16)
	for _, addr := range []netip.Addr{server4, server6} {
		path(t, lab, addr, link.Path{Delay: 2 * ms})
		h := serve(t, lab, addr, netlab.HTTP(netlab.HTTPServer{Body: body}))
		began := time.Now()
		r, err := http.Get("http://" + h.Addr().String())
		must(t, err)
		got, err := io.ReadAll(r.Body)
		must(t, err)
		must(t, r.Body.Close())
		http.DefaultClient.CloseIdleConnections()
		if string(got) != body {
			t.Errorf("%d bytes came, and they differ", len(got))
		}
		t.Logf("%d MiB over %v in %v", size>>20, addr, time.Since(began))
	}
}

func TestWrongUse(t *testing.T) {
	netlabtest.Need(t)
	for says, client := range map[string][]netip.Prefix{
		"a second address of its family": {netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("198.51.100.1/24")},
		"no room for a gateway":          {netip.MustParsePrefix("192.0.2.1/31")},
		"not a unicast address":          {netip.MustParsePrefix("127.0.0.1/8")},
		"write it like 192.0.2.1/24":     {{}},
	} {
		if _, err := netlab.Start(netlab.Config{Client: client}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want %q", client, err, says)
		}
	}
	lab := netlabtest.Start(t, netlab.Config{})
	path(t, lab, server4, link.Path{})
	serve(t, lab, server4, netlab.Read())
	for says, err := range map[string]error{
		"has a lab already":                     second(netlab.Start(netlab.Config{})),
		"inside the client's own network":       lab.SetPath(netip.MustParseAddr("192.0.2.9"), link.Path{}),
		"not a unicast address that can":        lab.SetPath(netip.IPv6Loopback(), link.Path{}),
		"path to invalid IP":                    lab.SetPath(netip.Addr{}, link.Path{}),
		"SetPath makes it":                      second(lab.Serve(netip.MustParseAddrPort("198.51.100.9:80"), netlab.Read())),
		"address already in use":                second(lab.Serve(netip.AddrPortFrom(server4, 80), netlab.Read())),
		"resolver 198.51.100.9: the lab has no": lab.UseResolver(netip.MustParseAddr("198.51.100.9")),
	} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// A lab leaves nothing in its process: no descriptor, goroutine, thread or
// interface.
func TestLabLeavesNothing(t *testing.T) {
	netlabtest.Need(t)
	live := func() {
		lab, err := netlab.Start(netlab.Config{})
		must(t, err)
		path(t, lab, server4, link.Path{Delay: ms})
		h := serve(t, lab, server4, netlab.Hang())
		_, err = lab.Swallow(netip.AddrPortFrom(server4, 81))
		must(t, err)
		_, err = lab.StartDNS(netip.AddrPortFrom(server4, 53))
		must(t, err)
		c, err := net.DialTimeout("tcp", h.Addr().String(), patience)
		must(t, err)
		must(t, lab.Close())
		must(t, c.Close())
		must(t, lab.Close())
		if err := lab.SetPath(server4, link.Path{}); err == nil {
			t.Error("a closed lab takes a path")
		}
	}
	live()
	before := footprint(t)
	for range 10 {
		live()
	}
	var after []int
	eventually(t, "nothing is left", func() bool {
		after = footprint(t)
		return !slices.ContainsFunc([]int{0, 1, 2}, func(i int) bool { return after[i] > before[i] })
	})
	t.Logf("descriptors, goroutines, processes before: %v, after: %v", before, after)
	if ifs, err := net.Interfaces(); err != nil || len(ifs) != 1 {
		t.Errorf("interfaces are %v, %v; want lo alone", ifs, err)
	}
}

// footprint is descriptors, goroutines and processes of this lab.
func footprint(t *testing.T) []int {
	t.Helper()
	runtime.GC()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	all, err := os.ReadDir("/proc")
	must(t, err)
	processes := 0
	for _, e := range all {
		if e.Name()[0] >= '1' && e.Name()[0] <= '9' {
			processes++
		}
	}
	return []int{len(fds), runtime.NumGoroutine(), processes}
}

// The server host's sockets are its own: the client can't reach them by its own
// loopback, and the other way round.
func TestHostsAreApart(t *testing.T) {
	lab := netlabtest.Start(t, netlab.Config{})
	path(t, lab, server4, link.Path{})
	h, err := lab.Serve(netip.AddrPortFrom(server4, 0), netlab.Read())
	must(t, err)
	_, err = timed(t, netip.AddrPortFrom(v4, h.Addr().Port()), patience)
	mustBe(t, err, syscall.ECONNREFUSED)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:80") // no root needed in a lab
	must(t, err)
	must(t, ln.Close())
}
