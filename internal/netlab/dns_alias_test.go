package netlab_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connrace/connrace/internal/netlab"
)

func TestDNSAliases(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("www.example", netlab.Answers{CNAME: "Web.example", CNAMETTL: 60})
	d.Set("web.example", netlab.Answers{CNAME: "cdn.test.", CNAMETTL: 5})
	d.Set("cdn.test", netlab.Answers{
		A:     netlab.Answer{Addrs: addrs("192.0.2.1", "192.0.2.2"), TTL: 7},
		AAAA:  netlab.Answer{RCode: dnsmessage.RCodeServerFailure},
		HTTPS: netlab.Answer{Services: []netlab.Service{{Priority: 0, Target: "svc.test"}}, TTL: 8},
	})
	d.Set("lost.example", netlab.Answers{CNAME: "nobody.example", CNAMETTL: 1})
	d.Set("root.example", netlab.Answers{CNAME: "."})
	d.Set("self.example", netlab.Answers{CNAME: "SELF.example"})
	d.Set("ping.example", netlab.Answers{CNAME: "pong.example"})
	d.Set("pong.example", netlab.Answers{CNAME: "ping.example"})
	for _, c := range []struct {
		name  string
		kind  dnsmessage.Type
		rcode dnsmessage.RCode
		want  []string
	}{
		{"WWW.example.", dnsmessage.TypeA, 0, []string{
			"WWW.example. 60 CNAME Web.example.", "Web.example. 5 CNAME cdn.test.",
			"cdn.test. 7 A 192.0.2.1", "cdn.test. 7 A 192.0.2.2",
		}},
		{"web.example.", dnsmessage.TypeA, 0, []string{
			"web.example. 5 CNAME cdn.test.", "cdn.test. 7 A 192.0.2.1", "cdn.test. 7 A 192.0.2.2",
		}},
		{"web.example.", dnsmessage.TypeAAAA, dnsmessage.RCodeServerFailure, []string{"web.example. 5 CNAME cdn.test."}},
		{"web.example.", dnsmessage.TypeHTTPS, 0, []string{"web.example. 5 CNAME cdn.test.", "cdn.test. 8 HTTPS 0 svc.test."}},
		{"web.example.", dnsmessage.TypeTXT, 0, []string{"web.example. 5 CNAME cdn.test."}},
		{"www.example.", dnsmessage.TypeCNAME, 0, []string{"www.example. 60 CNAME Web.example."}},
		{"www.example.", dnsmessage.TypeALL, 0, []string{"www.example. 60 CNAME Web.example."}},
		{"lost.example.", dnsmessage.TypeA, dnsmessage.RCodeNameError, []string{"lost.example. 1 CNAME nobody.example."}},
		{"lost.example.", dnsmessage.TypeCNAME, 0, []string{"lost.example. 1 CNAME nobody.example."}},
		{"root.example.", dnsmessage.TypeA, dnsmessage.RCodeNameError, []string{"root.example. 0 CNAME ."}},
		{"self.example.", dnsmessage.TypeA, 0, []string{"self.example. 0 CNAME SELF.example."}},
		{"ping.example.", dnsmessage.TypeA, 0, []string{
			"ping.example. 0 CNAME pong.example.", "pong.example. 0 CNAME ping.example.",
		}},
	} {
		wantReply(t, ask(t, d, c.name, c.kind), c.rcode, c.want)
	}
}

// After sixteen aliases the server stops, unless the next name has the answer.
func TestDNSLongChainOfAliases(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	const names = 20
	for i := range names {
		d.Set(fmt.Sprintf("n%d.example", i), netlab.Answers{CNAME: fmt.Sprintf("n%d.example", i+1)})
	}
	d.Set(fmt.Sprintf("n%d.example", names), netlab.Answers{A: netlab.Answer{Addrs: addrs("192.0.2.1")}})
	for first := range names {
		r := ask(t, d, fmt.Sprintf("n%d.example.", first), dnsmessage.TypeA)
		want := names - first + 1
		if want > 17 {
			want = 16
		}
		if len(r.Answers) != want || r.RCode != 0 {
			t.Errorf("from n%d: %d records and %v, want %d and success", first, len(r.Answers), r.RCode, want)
		}
	}
}

// Whatever the script says, the reply is what a naive reader of it would say.
func TestDNSAliasesOfManyScripts(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 1))
		names := 1 + random.IntN(25)
		name := func(i int) string { return fmt.Sprintf("s%d-n%d.example.", seed, i) }
		alias := make(map[int]int)
		for i := range names {
			switch random.IntN(10) {
			case 0: // not in the script
				alias[i] = -1
			case 1:
				d.Set(name(i), netlab.Answers{A: netlab.Answer{Addrs: []netip.Addr{numbered(i)}}})
			default:
				alias[i] = random.IntN(names)
				d.Set(name(i), netlab.Answers{CNAME: name(alias[i])})
			}
		}
		at, rcode, seen, want := 0, dnsmessage.RCodeSuccess, []int{}, []string{}
		for {
			to, isAlias := alias[at]
			if !isAlias {
				want = append(want, fmt.Sprintf("%s 0 A %v", name(at), numbered(at)))
				break
			}
			if to < 0 {
				rcode = dnsmessage.RCodeNameError
				break
			}
			if slices.Contains(seen, at) || len(seen) == 16 {
				break
			}
			want = append(want, fmt.Sprintf("%s 0 CNAME %s", name(at), name(to)))
			seen, at = append(seen, at), to
		}
		wantReply(t, ask(t, d, name(0), dnsmessage.TypeA), rcode, want)
	}
}

func TestDNSAliasHasTheMannersOfItsTarget(t *testing.T) {
	t.Parallel()
	const delay = 100 * time.Millisecond
	d := startDNS(t, any0(t, v4))
	d.Set("www.example", netlab.Answers{CNAME: "cdn.example"})
	d.Set("cdn.example", netlab.Answers{
		A:     netlab.Answer{Addrs: addrs("192.0.2.1"), Delay: delay},
		AAAA:  netlab.Answer{Drop: true, Then: &netlab.Answer{Addrs: addrs("2001:db8::1")}},
		HTTPS: netlab.Answer{Services: []netlab.Service{{Priority: 1}}, Truncate: true},
	})
	began := time.Now()
	if r := ask(t, d, "www.example.", dnsmessage.TypeA); len(r.Answers) != 2 || time.Since(began) < delay {
		t.Errorf("%d records after %v, want 2 after %v", len(r.Answers), time.Since(began), delay)
	}

	c := dialDNS(t, d)
	dropped := message("www.example.", dnsmessage.TypeAAAA)
	dropped.ID = 1
	packet, err := dropped.Pack()
	must(t, err)
	_, err = c.Write(packet)
	must(t, err)
	if r := exchange(t, c, message("cdn.example.", dnsmessage.TypeAAAA)); len(r.Answers) != 1 {
		t.Errorf("the target's own query gets %v: the one before, of the alias, was to take its turn", r.Answers)
	}

	if r := ask(t, d, "www.example.", dnsmessage.TypeHTTPS); !r.Truncated || len(r.Answers) != 0 {
		t.Errorf("truncated %v with %v, want nothing but the bit", r.Truncated, r.Answers)
	}
}

func TestDNSAliasesForGoResolver(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("www.example", netlab.Answers{CNAME: "web.example"})
	d.Set("web.example", netlab.Answers{CNAME: "cdn.example"})
	d.Set("cdn.example", netlab.Answers{
		A: netlab.Answer{Addrs: addrs("192.0.2.1")}, AAAA: netlab.Answer{Addrs: addrs("2001:db8::1")},
	})
	d.Set("loop.example", netlab.Answers{CNAME: "loop.example"})
	wantAddrs(t, d, "ip4", "www.example.", addrs("192.0.2.1"))
	wantAddrs(t, d, "ip6", "www.example.", addrs("2001:db8::1"))
	if cname, err := resolver(d).LookupCNAME(t.Context(), "web.example."); err != nil || cname != "cdn.example." {
		t.Errorf("LookupCNAME: %q, %v", cname, err)
	}
	if got, err := resolver(d).LookupNetIP(t.Context(), "ip4", "loop.example."); err == nil {
		t.Errorf("a loop of aliases has addresses %v", got)
	}
}

// ask is one query over UDP, by a client that takes what Go's resolver takes.
func ask(t *testing.T, d *netlab.DNS, name string, kind dnsmessage.Type) dnsmessage.Message {
	t.Helper()
	m := message(name, kind)
	m.Additionals = []dnsmessage.Resource{option(t, 1232)}
	return exchange(t, dialDNS(t, d), m)
}

func wantReply(t *testing.T, r dnsmessage.Message, rcode dnsmessage.RCode, want []string) {
	t.Helper()
	if got := texts(r); r.RCode != rcode || !slices.Equal(got, want) {
		t.Errorf("%v %v:\ngot  %v %q\nwant %v %q", r.Questions[0].Name, r.Questions[0].Type, r.RCode, got, rcode, want)
	}
}

// texts are the answer records, a little as in a zone file.
func texts(r dnsmessage.Message) []string {
	all := make([]string, len(r.Answers))
	for i, a := range r.Answers {
		var data string
		switch body := a.Body.(type) {
		case *dnsmessage.AResource:
			data = fmt.Sprint("A ", netip.AddrFrom4(body.A))
		case *dnsmessage.AAAAResource:
			data = fmt.Sprint("AAAA ", netip.AddrFrom16(body.AAAA))
		case *dnsmessage.CNAMEResource:
			data = fmt.Sprint("CNAME ", body.CNAME)
		case *dnsmessage.SRVResource:
			data = fmt.Sprintf("SRV %d %d %d %v", body.Priority, body.Weight, body.Port, body.Target)
		case *dnsmessage.HTTPSResource:
			data = "HTTPS " + serviceText(body.SVCBResource)
		case *dnsmessage.SVCBResource:
			data = "SVCB " + serviceText(*body)
		case *dnsmessage.TXTResource:
			data = fmt.Sprintf("TXT %q", body.TXT)
		case *dnsmessage.UnknownResource:
			data = fmt.Sprintf("TYPE%d %x", body.Type, body.Data)
		default:
			data = fmt.Sprintf("%T", body)
		}
		all[i] = fmt.Sprintf("%v %d %s", a.Header.Name, a.Header.TTL, data)
	}
	return all
}

func serviceText(r dnsmessage.SVCBResource) string {
	text := fmt.Sprintf("%d %v", r.Priority, r.Target)
	for _, p := range r.Params {
		text += fmt.Sprintf(" key%d=%x", uint16(p.Key), p.Value)
	}
	return text
}
