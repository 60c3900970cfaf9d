package topology

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab/link"
)

// Every lab that the values can hold can be said in a file.
func TestEveryLabHasAFile(t *testing.T) {
	const seeds = 300
	for seed := range uint64(seeds) {
		lab := maker{rand.New(rand.NewPCG(seed, 1))}.lab()
		checkSound(t, lab)
		checkAgain(t, lab)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// maker makes up what a file could say.
type maker struct{ *rand.Rand }

func (m maker) lab() *Topology {
	lab := &Topology{
		About:    m.text(),
		Seed:     m.Uint64(),
		Client:   DefaultClient(),
		Resolver: Resolver{Address: netip.MustParseAddr("203.0.113.53")},
	}
	switch m.IntN(3) {
	case 0:
		lab.Client = lab.Client[:1]
	case 1:
		lab.Client = lab.Client[1:]
		lab.Resolver.Address = netip.MustParseAddr("2001:db8:53::")
	}
	lab.Resolver.Path = m.path(lab.Resolver.Address)
	for i := range m.IntN(4) {
		lab.Hosts = append(lab.Hosts, m.host(byte(i)))
	}
	for i := range m.IntN(4) {
		lab.Names = append(lab.Names, m.name(i))
	}
	return lab
}

func (m maker) host(number byte) Host {
	four := netip.AddrFrom4([4]byte{198, 51, 100, number})
	six := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0x80, 14: number})
	h := Host{Addresses: pick(m, []netip.Addr{four}, []netip.Addr{six}, []netip.Addr{six, four})}
	h.Path = m.path(h.Addresses...)
	for i := range m.IntN(4) {
		h.Ports = append(h.Ports, m.port(uint16(i*20000+1)))
	}
	return h
}

func (m maker) path(addrs ...netip.Addr) link.Path {
	p := link.Path{Delay: m.duration(link.MaxDelay), Loss: pick(m, 0, 1, m.Float64()), LoseSYN: m.counts()}
	p.Jitter = m.duration(p.Delay)
	states := append(link.States(addrs[0]), "")
	for _, addr := range addrs {
		states = slices.DeleteFunc(states, func(s link.State) bool {
			return s != "" && !slices.Contains(link.States(addr), s)
		})
	}
	p.State = pick(m, states...)
	return p
}

func (m maker) duration(most time.Duration) time.Duration {
	d := time.Duration(m.Int64N(int64(most) + 1))
	return pick(m, 0, most, d, d.Truncate(time.Millisecond))
}

func (m maker) counts() (counts []int) {
	for range m.IntN(3) {
		counts = append(counts, 1+m.IntN(1_000_000))
	}
	return counts
}

func (m maker) port(number uint16) Port {
	p := Port{Number: number, Behaviour: pick(m, Accept, Hang, FullQueue, Reset, Garbage, StallTLS, HTTP, Health)}
	switch p.Behaviour {
	case Reset:
		p.ResetAfter = m.duration(maxWait)
	case HTTP:
		p.HTTP = &HTTPReply{Status: 200 + m.IntN(400), Delay: m.duration(maxWait), Body: m.text() + "\n\x00\r"}
		if p.HTTP.Status == 204 || p.HTTP.Status == 304 {
			p.HTTP.Body = ""
		}
	case Health:
		p.Health = map[string]string{"": pick(m, healthStates...), m.text() + "x": pick(m, healthStates...)}
	case Accept:
	default:
		return p
	}
	if m.IntN(2) == 0 {
		names := []string{pick(m, "site.example", "*.example", "198.51.100.1", "2001:db8::")}
		p.TLS = &TLS{Names: names, ALPN: m.protocols(), Expired: m.flag()}
	}
	return p
}

func (m maker) protocols() []string {
	return pick(m, nil, []string{"h2"}, []string{"h3", m.text() + "x", strings.Repeat("é", 127)})
}

func (m maker) name(number int) Name {
	n := Name{Name: fmt.Sprint(pick(m, "site.example", "null", "true", "_x._tcp.example", "0x", "1e"), number)}
	if m.IntN(4) == 0 {
		n.CNAME, n.CNAMETTL = "site.example", m.ttl()
		return n
	}
	n.A = m.answer(func(a *Answer) { a.Addresses = m.addresses("198.51.100.1", "0.0.0.0", "127.0.0.1") })
	n.AAAA = m.answer(func(a *Answer) { a.Addresses = m.addresses("2001:db8::1", "::", "::ffff:1.2.3.4", "1::") })
	n.HTTPS = m.answer(m.services)
	n.SVCB = m.answer(m.services)
	n.SRV = m.answer(m.servers)
	return n
}

func (m maker) addresses(some ...string) (addrs []netip.Addr) {
	for range m.IntN(4) {
		addrs = append(addrs, netip.MustParseAddr(pick(m, some...)))
	}
	return addrs
}

func (m maker) answer(fill func(*Answer)) *Answer {
	if m.IntN(3) == 0 {
		return nil
	}
	a := &Answer{
		TTL: m.ttl(), Delay: m.duration(maxWait), RCode: uint16(m.IntN(11)),
		Drop: m.flag(), Truncate: m.flag(),
	}
	fill(a)
	a.Malformed = pick(m, append(slices.Clone(spoiledReplies), "")...)
	if len(a.Addresses)+len(a.Services)+len(a.Servers) > 0 && m.flag() {
		a.Malformed = pick(m, spoiledRecords...)
	}
	a.Then = m.answer(fill)
	return a
}

func (m maker) services(a *Answer) {
	for range m.IntN(3) {
		s := Service{Priority: uint16(m.IntN(1 << 16)), Target: pick(m, ".", "_x.example")}
		if s.Priority == 0 {
			a.Services = append(a.Services, s)
			continue
		}
		s.ALPN = m.protocols()
		s.NoDefaultALPN = s.ALPN != nil && m.flag()
		s.Port = uint16(pick(m, 0, 1+m.IntN(65535)))
		s.IPv4Hint = m.addresses("198.51.100.1")
		s.IPv6Hint = m.addresses("2001:db8::1", "::1")
		s.ECH = pick(m, nil, []byte{byte(m.IntN(256)), 1, 2, 3})
		for number, given := range []bool{false, s.ALPN != nil, s.NoDefaultALPN, s.Port > 0, s.IPv4Hint != nil, s.ECH != nil, s.IPv6Hint != nil} {
			if given && m.flag() {
				s.Mandatory = append(s.Mandatory, uint16(number))
			}
		}
		m.Shuffle(len(s.Mandatory), func(i, j int) { s.Mandatory[i], s.Mandatory[j] = s.Mandatory[j], s.Mandatory[i] })
		a.Services = append(a.Services, s)
	}
}

func (m maker) servers(a *Answer) {
	for range m.IntN(3) {
		s := Server{Priority: uint16(m.IntN(1 << 16)), Weight: uint16(m.IntN(1 << 16)), Target: "."}
		if m.flag() {
			s.Target, s.Port = "site.example", uint16(1+m.IntN(65535))
		}
		a.Servers = append(a.Servers, s)
	}
}

func (m maker) ttl() uint32 { return pick(m, 0, DefaultTTL, m.Uint32N(1<<31)) }

func (m maker) flag() bool { return m.IntN(2) == 0 }

// text is one that YAML could take for something else.
func (m maker) text() string {
	return pick(m, "", "a: b", "# no comment", "- ", "'", `"\`, "*x", "&x", "!x", "%", "@", "null", "~", "{}", "[]", "on", " x ", "über", "😀", ":", "<<", "...", "---")
}

func pick[T any](m maker, from ...T) T { return from[m.IntN(len(from))] }
