package topology

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/connrace/connrace/internal/netlab/link"
)

// checkSound holds t to what the doc comments promise, by other means than the
// parser's.
func checkSound(t *testing.T, lab *Topology) {
	t.Helper()
	s := sound{t: t, lab: lab, servers: make(map[netip.Addr]bool)}
	s.client()
	s.server(lab.Resolver.Address, lab.Resolver.Path)
	if !slices.ContainsFunc(lab.Client, func(c netip.Prefix) bool { return c.Addr().BitLen() == lab.Resolver.Address.BitLen() }) {
		s.broken("resolver %v is of no family of the client's", lab.Resolver.Address)
	}
	for _, h := range lab.Hosts {
		s.host(h)
	}
	names := make(map[string]bool)
	for _, n := range lab.Names {
		if names[n.Name] {
			s.broken("%s is there twice", n.Name)
		}
		names[n.Name] = true
		s.name(n)
	}
}

type sound struct {
	t       *testing.T
	lab     *Topology
	servers map[netip.Addr]bool
}

func (s sound) broken(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf(format, args...)
}

func (s sound) client() {
	families := make(map[int]bool)
	for _, c := range s.lab.Client {
		last := c.Masked().Addr().AsSlice()
		for bit := c.Bits(); bit < 8*len(last); bit++ {
			last[bit/8] |= 0x80 >> (bit % 8)
		}
		end, _ := netip.AddrFromSlice(last)
		free := 0
		for addr := c.Masked().Addr().Next(); addr != end && free < 2; addr = addr.Next() {
			free++
		}
		if !c.Addr().IsGlobalUnicast() || c.Addr().Is4In6() || free < 2 || c.Addr() == c.Masked().Addr() ||
			c.Addr().Is4() && c.Addr() == end || families[c.Addr().BitLen()] {
			s.broken("client %v of %v", c, s.lab.Client)
		}
		families[c.Addr().BitLen()] = true
	}
	if len(families) == 0 {
		s.broken("no client")
	}
}

func (s sound) server(addr netip.Addr, path link.Path) {
	if !addr.IsGlobalUnicast() || addr.Is4In6() || addr.Zone() != "" || s.servers[addr] {
		s.broken("server %v", addr)
	}
	s.servers[addr] = true
	for _, c := range s.lab.Client {
		if c.Contains(addr) {
			s.broken("server %v inside of %v", addr, c)
		}
	}
	if err := path.Check(addr); err != nil {
		s.broken("path of %v: %v", addr, err)
	}
}

func (s sound) host(h Host) {
	if len(h.Addresses) == 0 {
		s.broken("a host without address")
	}
	for _, addr := range h.Addresses {
		s.server(addr, h.Path)
	}
	ports := make(map[uint16]bool)
	for _, p := range h.Ports {
		if p.Number == 0 || ports[p.Number] {
			s.broken("port %d", p.Number)
		}
		ports[p.Number] = true
		s.port(p)
	}
}

func (s sound) port(p Port) {
	insideTLS := slices.Contains([]string{Accept, Reset, HTTP, Health}, p.Behaviour)
	if !insideTLS && !slices.Contains([]string{Hang, FullQueue, Garbage, StallTLS}, p.Behaviour) {
		s.broken("port %d: behaviour %q", p.Number, p.Behaviour)
	}
	if p.TLS != nil {
		if !insideTLS || len(p.TLS.Names) == 0 || slices.Contains(p.TLS.Names, "") {
			s.broken("port %d: %s in TLS of %q", p.Number, p.Behaviour, p.TLS.Names)
		}
		s.protocols(p.TLS.ALPN)
	}
	if (p.HTTP != nil) != (p.Behaviour == HTTP) || (p.Health != nil) != (p.Behaviour == Health) ||
		p.ResetAfter < 0 || p.ResetAfter > 0 && p.Behaviour != Reset {
		s.broken("port %d: %s with %v, %v, %v", p.Number, p.Behaviour, p.HTTP, p.Health, p.ResetAfter)
	}
	if r := p.HTTP; r != nil && (r.Status < 200 || r.Status > 599 || r.Delay < 0 || !utf8.ValidString(r.Body)) {
		s.broken("port %d: %+v", p.Number, *r)
	}
	for service, state := range p.Health {
		if !slices.Contains(healthStates, state) || !utf8.ValidString(service) {
			s.broken("port %d: %q is %q", p.Number, service, state)
		}
	}
	if _, whole := p.Health[""]; p.Health != nil && !whole {
		s.broken("port %d: no health of the whole server", p.Number)
	}
}

func (s sound) protocols(protocols []string) {
	for _, protocol := range protocols {
		if protocol == "" || len(protocol) > 255 {
			s.broken("protocol %q", protocol)
		}
	}
}

var dnsName = regexp.MustCompile(`^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$`)

func (s sound) dnsName(name string) {
	_, err := netip.ParseAddr(name)
	if !dnsName.MatchString(name) || len(name) > 253 || err == nil {
		s.broken("name %q", name)
	}
}

func (s sound) name(n Name) {
	s.dnsName(n.Name)
	if n.CNAME != "" {
		s.dnsName(n.CNAME)
		if (n != Name{Name: n.Name, CNAME: n.CNAME, CNAMETTL: n.CNAMETTL}) {
			s.broken("%s has more than a CNAME", n.Name)
		}
	} else if n.CNAMETTL != 0 {
		s.broken("%s has a TTL of no CNAME", n.Name)
	}
	for a := n.A; a != nil; a = a.Then {
		s.answer(a, len(a.Services)+len(a.Servers))
		if slices.ContainsFunc(a.Addresses, netip.Addr.Is6) {
			s.broken("A of %s: %v", n.Name, a.Addresses)
		}
	}
	for a := n.AAAA; a != nil; a = a.Then {
		s.answer(a, len(a.Services)+len(a.Servers))
		if slices.ContainsFunc(a.Addresses, func(a netip.Addr) bool { return !a.Is6() || a.Zone() != "" }) {
			s.broken("AAAA of %s: %v", n.Name, a.Addresses)
		}
	}
	for _, first := range []*Answer{n.HTTPS, n.SVCB} {
		for a := first; a != nil; a = a.Then {
			s.answer(a, len(a.Addresses)+len(a.Servers))
		}
	}
	for a := n.SRV; a != nil; a = a.Then {
		s.answer(a, len(a.Addresses)+len(a.Services))
	}
}

func (s sound) answer(a *Answer, foreign int) {
	records := len(a.Addresses) + len(a.Services) + len(a.Servers)
	if a.TTL > 1<<31-1 || a.Delay < 0 || a.RCode > 10 || foreign > 0 ||
		records == 0 && slices.Contains([]string{"cut", "pointer-loop", "short-rdata", "long-rdlength"}, a.Malformed) {
		s.broken("answer %+v", a)
	}
	for _, service := range a.Services {
		s.service(service)
	}
	for _, server := range a.Servers {
		if (server.Target == ".") != (server.Port == 0) {
			s.broken("server %+v", server)
		}
		if server.Target != "." {
			s.dnsName(server.Target)
		}
	}
}

func (s sound) service(v Service) {
	if v.Target != "." {
		s.dnsName(v.Target)
	}
	s.protocols(v.ALPN)
	params := map[uint16]bool{
		1: len(v.ALPN) > 0, 2: v.NoDefaultALPN, 3: v.Port != 0, 4: len(v.IPv4Hint) > 0, 5: len(v.ECH) > 0, 6: len(v.IPv6Hint) > 0,
	}
	for number, given := range params {
		if given && v.Priority == 0 {
			s.broken("alias with parameter %d", number)
		}
	}
	if params[2] && !params[1] || slices.ContainsFunc(v.IPv4Hint, netip.Addr.Is6) || slices.ContainsFunc(v.IPv6Hint, netip.Addr.Is4) {
		s.broken("service %+v", v)
	}
	mandatory := slices.Clone(v.Mandatory)
	slices.Sort(mandatory)
	if len(slices.Compact(mandatory)) != len(v.Mandatory) || slices.ContainsFunc(mandatory, func(number uint16) bool { return !params[number] }) {
		s.broken("mandatory %v of %+v", v.Mandatory, v)
	}
	size := 2 + 255 + len(v.ECH) + 4*len(v.IPv4Hint) + 16*len(v.IPv6Hint) + len(strings.Join(v.ALPN, " "))
	if size > 65535 {
		s.broken("a record of %d bytes", size)
	}
}
