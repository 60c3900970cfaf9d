package netlab_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connrace/connrace/internal/netlab"
)

func TestDNSServicesOnTheWire(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	full := netlab.Service{
		Priority:      16,
		Target:        "Svc.example",
		Mandatory:     []uint16{65280, 4, 1},
		ALPN:          []string{"h2", "h3"},
		NoDefaultALPN: true,
		Port:          8443,
		IPv4Hint:      addrs("192.0.2.1", "192.0.2.2"),
		ECH:           []byte{0, 3, 1, 2, 3},
		IPv6Hint:      addrs("2001:db8::1"),
		Params:        map[uint16][]byte{65280: {7}, 7: []byte("/q{?dns}"), 300: {}},
	}
	d.Set("one.example", netlab.Answers{
		HTTPS: netlab.Answer{TTL: 9, Services: []netlab.Service{
			full, {Priority: 1}, {Priority: 0, Target: "alias.example."}, {Priority: 2, Target: "."},
		}},
		SVCB: netlab.Answer{Services: []netlab.Service{{Priority: 3, Port: 53}}},
	})
	wantReply(t, ask(t, d, "one.example.", dnsmessage.TypeHTTPS), 0, []string{
		"one.example. 9 HTTPS 16 Svc.example. key0=00010004ff00 key1=026832026833 key2= key3=20fb " +
			"key4=c0000201c0000202 key5=0003010203 key6=20010db8000000000000000000000001 " +
			"key7=2f717b3f646e737d key300= key65280=07",
		"one.example. 9 HTTPS 1 .",
		"one.example. 9 HTTPS 0 alias.example.",
		"one.example. 9 HTTPS 2 .",
	})
	wantReply(t, ask(t, d, "one.example.", dnsmessage.TypeSVCB), 0, []string{"one.example. 0 SVCB 3 . key3=0035"})
}

// What Service has no fields for is sent as it is: here a port of three bytes and
// a list of mandatory keys that names itself.
func TestDNSServiceWithRawParams(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("odd.example", netlab.Answers{HTTPS: netlab.Answer{Services: []netlab.Service{
		{Priority: 1, Params: map[uint16][]byte{3: {1, 2, 3}, 0: {0, 0}, 2: nil}},
	}}})
	wantReply(t, ask(t, d, "odd.example.", dnsmessage.TypeHTTPS), 0,
		[]string{"odd.example. 0 HTTPS 1 . key0=0000 key2= key3=010203"})
}

// Whatever service goes in comes out at the other end.
func TestDNSServiceRoundTrip(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	s := dialStream(t, d)
	for seed := range uint64(500) {
		want := randomService(rand.New(rand.NewPCG(seed, 2)))
		answer := netlab.Answer{Services: []netlab.Service{want}}
		d.Set("any.example", netlab.Answers{HTTPS: answer, SVCB: answer})
		for _, kind := range []dnsmessage.Type{dnsmessage.TypeHTTPS, dnsmessage.TypeSVCB} {
			r := s.ask(message("any.example.", kind))
			if len(r.Answers) != 1 {
				t.Fatalf("seed %d: %d records", seed, len(r.Answers))
			}
			got := readService(t, r.Answers[0].Body)
			slices.Sort(want.Mandatory)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, %v:\ngot  %+v\nwant %+v", seed, kind, got, want)
			}
		}
	}
}

func TestDNSServersForGoResolver(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("_grpc._tcp.example", netlab.Answers{SRV: netlab.Answer{TTL: 4, Hosts: []netlab.SRV{
		{Priority: 20, Weight: 0, Port: 50052, Target: "two.example"},
		{Priority: 10, Weight: 5, Port: 50051, Target: "One.example."},
	}}})
	d.Set("_none._tcp.example", netlab.Answers{SRV: netlab.Answer{Hosts: []netlab.SRV{{Target: "."}}}})
	wantReply(t, ask(t, d, "_grpc._tcp.example.", dnsmessage.TypeSRV), 0, []string{
		"_grpc._tcp.example. 4 SRV 20 0 50052 two.example.", "_grpc._tcp.example. 4 SRV 10 5 50051 One.example.",
	})
	wantReply(t, ask(t, d, "_none._tcp.example.", dnsmessage.TypeSRV), 0, []string{"_none._tcp.example. 0 SRV 0 0 0 ."})

	_, got, err := resolver(d).LookupSRV(t.Context(), "grpc", "tcp", "example.")
	must(t, err)
	if len(got) != 2 || got[0].Target != "One.example." || got[0].Port != 50051 || got[0].Weight != 5 || got[1].Port != 50052 {
		t.Errorf("LookupSRV: %+v, %+v", got[0], got[1])
	}
}

func TestDNSOtherTypes(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("other.example", netlab.Answers{
		A: netlab.Answer{Addrs: addrs("192.0.2.1"), Raw: [][]byte{{9, 8, 7, 6}}},
		Other: map[dnsmessage.Type]netlab.Answer{
			dnsmessage.TypeTXT: {Raw: [][]byte{[]byte("\x02hi\x05there"), []byte("\x00")}, TTL: 2},
			65280:              {Raw: [][]byte{{1, 2}, {}}, Then: &netlab.Answer{RCode: dnsmessage.RCodeRefused}},
		},
	})
	wantReply(t, ask(t, d, "other.example.", dnsmessage.TypeTXT), 0,
		[]string{`other.example. 2 TXT ["hi" "there"]`, `other.example. 2 TXT [""]`})
	wantReply(t, ask(t, d, "other.example.", 65280), 0, []string{"other.example. 0 TYPE65280 0102", "other.example. 0 TYPE65280 "})
	wantReply(t, ask(t, d, "other.example.", 65280), dnsmessage.RCodeRefused, nil)
	wantReply(t, ask(t, d, "other.example.", 65281), 0, nil)
	wantAddrs(t, d, "ip4", "other.example.", addrs("192.0.2.1", "9.8.7.6"))
	if got, err := resolver(d).LookupTXT(t.Context(), "other.example."); err != nil || !slices.Equal(got, []string{"hithere", ""}) {
		t.Errorf("LookupTXT: %q, %v", got, err)
	}
}

// randomService sets each field half of the time.
func randomService(random *rand.Rand) netlab.Service {
	half := func() bool { return random.IntN(2) == 0 }
	octets := func(most int) []byte {
		b := make([]byte, 1+random.IntN(most))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	s := netlab.Service{Priority: uint16(random.Uint32()), Target: "."}
	var keys []uint16
	set := func(key uint16, f func()) {
		if half() {
			f()
			keys = append(keys, key)
		}
	}
	if half() {
		s.Target = strings.Repeat("a", 1+random.IntN(63)) + ".example."
	}
	set(1, func() {
		for range 1 + random.IntN(4) {
			s.ALPN = append(s.ALPN, string(octets(255)))
		}
		set(2, func() { s.NoDefaultALPN = true })
	})
	set(3, func() { s.Port = uint16(1 + random.IntN(65535)) })
	set(4, func() {
		for range 1 + random.IntN(4) {
			s.IPv4Hint = append(s.IPv4Hint, netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, random.Uint32()))))
		}
	})
	set(5, func() { s.ECH = octets(2000) })
	set(6, func() {
		for range 1 + random.IntN(4) {
			var a [16]byte
			copy(a[:], octets(16))
			s.IPv6Hint = append(s.IPv6Hint, netip.AddrFrom16(a))
		}
	})
	if half() {
		s.Params = make(map[uint16][]byte)
		for range 1 + random.IntN(5) {
			key := uint16(7 + random.IntN(65529))
			if s.Params[key] == nil {
				keys = append(keys, key)
			}
			s.Params[key] = octets(300)
		}
	}
	random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	if half() && len(keys) > 0 {
		s.Mandatory = keys[:1+random.IntN(len(keys))]
	}
	return s
}

// readService is the way back: from a record to the service it is of.
func readService(t *testing.T, body dnsmessage.ResourceBody) netlab.Service {
	t.Helper()
	r, ok := body.(*dnsmessage.SVCBResource)
	if !ok {
		r = &body.(*dnsmessage.HTTPSResource).SVCBResource
	}
	s := netlab.Service{Priority: r.Priority, Target: r.Target.String()}
	for _, p := range r.Params {
		v := p.Value
		switch p.Key {
		case dnsmessage.SVCParamMandatory:
			for ; len(v) > 0; v = v[2:] {
				s.Mandatory = append(s.Mandatory, binary.BigEndian.Uint16(v))
			}
		case dnsmessage.SVCParamALPN:
			for ; len(v) > 0; v = v[1+v[0]:] {
				s.ALPN = append(s.ALPN, string(v[1:1+v[0]]))
			}
		case dnsmessage.SVCParamNoDefaultALPN:
			s.NoDefaultALPN = true
		case dnsmessage.SVCParamPort:
			s.Port = binary.BigEndian.Uint16(v)
		case dnsmessage.SVCParamIPv4Hint:
			for ; len(v) > 0; v = v[4:] {
				s.IPv4Hint = append(s.IPv4Hint, netip.AddrFrom4([4]byte(v[:4])))
			}
		case dnsmessage.SVCParamECH:
			s.ECH = v
		case dnsmessage.SVCParamIPv6Hint:
			for ; len(v) > 0; v = v[16:] {
				s.IPv6Hint = append(s.IPv6Hint, netip.AddrFrom16([16]byte(v[:16])))
			}
		default:
			if s.Params == nil {
				s.Params = make(map[uint16][]byte)
			}
			s.Params[uint16(p.Key)] = v
		}
	}
	return s
}
