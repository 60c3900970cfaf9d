package netlab_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connrace/connrace/internal/netlab"
)

func TestAnswersCheck(t *testing.T) {
	t.Parallel()
	service := func(s netlab.Service) netlab.Answers {
		return netlab.Answers{HTTPS: netlab.Answer{Services: []netlab.Service{{}, s}}}
	}
	long := strings.Repeat(strings.Repeat("a", 63)+".", 4)
	for _, c := range []struct {
		name string
		a    netlab.Answers
		want []string // the problems; none means that Set takes it
	}{
		{"one.example", netlab.Answers{}, nil},
		{"", netlab.Answers{}, nil},
		{".", netlab.Answers{}, nil},
		{"_443._https.Ex-ample.", netlab.Answers{CNAME: ".", CNAMETTL: 3}, nil},
		{long[:253], netlab.Answers{}, nil},
		{long[:253] + ".", netlab.Answers{CNAME: long[:253]}, nil},
		{long[:254] + ".", netlab.Answers{}, []string{"the name has 254 bytes: use 253 at most"}},
		{"a..example", netlab.Answers{}, []string{`the name is "a..example", with a label of 0 bytes: use 1 to 63`}},
		{".example", netlab.Answers{}, []string{"a label of 0 bytes"}},
		{"..", netlab.Answers{}, []string{"a label of 0 bytes"}},
		{strings.Repeat("a", 64), netlab.Answers{}, []string{"a label of 64 bytes: use 1 to 63"}},

		{
			"x",
			netlab.Answers{A: netlab.Answer{Addrs: addrs("192.0.2.1", "::1")}},
			[]string{"A can't hold ::1: put IPv6 addresses into AAAA"},
		},
		{"x", netlab.Answers{A: netlab.Answer{Addrs: addrs("::ffff:192.0.2.1")}}, []string{"A can't hold ::ffff:192.0.2.1"}},
		{
			"x",
			netlab.Answers{AAAA: netlab.Answer{Addrs: addrs("::ffff:192.0.2.1", "fe80::1%lo", "192.0.2.1")}},
			[]string{"AAAA can't hold fe80::1%lo: put IPv4 addresses into A, and drop zones", "AAAA can't hold 192.0.2.1"},
		},
		{
			"x",
			netlab.Answers{HTTPS: netlab.Answer{Addrs: addrs("192.0.2.1"), Hosts: []netlab.SRV{{Target: "a"}}}},
			[]string{"HTTPS can't hold 192.0.2.1: put addresses into A and AAAA", "HTTPS can't hold Hosts: put them into SRV"},
		},
		{
			"x",
			netlab.Answers{A: netlab.Answer{Services: []netlab.Service{{}}}},
			[]string{"A can't hold Services: put them into HTTPS or SVCB"},
		},
		{
			"x",
			netlab.Answers{SVCB: netlab.Answer{RCode: 15}, SRV: netlab.Answer{RCode: 16}},
			[]string{"SRV.RCode 16 does not fit the header: use 0 to 15"},
		},
		{
			"x",
			netlab.Answers{SRV: netlab.Answer{Hosts: []netlab.SRV{{Target: "."}, {}, {Target: "a..b"}}}},
			[]string{`SRV.Hosts[1].Target is missing: use a name, or "." for no service`, `SRV.Hosts[2].Target is "a..b", with a label of 0 bytes`},
		},

		{"x", netlab.Answers{A: netlab.Answer{Malformed: "torn"}}, []string{`A.Malformed is "torn": use one of ["cut" "long-rdlength" "noise" "pointer-loop" "short-rdata" "wrong-counts" "wrong-id" "wrong-question"]`}},
		{"x", netlab.Answers{A: netlab.Answer{Malformed: netlab.MalformedCut}}, []string{`A.Malformed is "cut", which needs a record to spoil: add one`}},
		{"x", netlab.Answers{A: netlab.Answer{Malformed: netlab.MalformedID}}, nil},
		{"x", netlab.Answers{A: netlab.Answer{Malformed: netlab.MalformedCut, Raw: [][]byte{{}}}}, nil},

		{"x", netlab.Answers{CNAME: "a..b"}, []string{`CNAME is "a..b"`}},
		{
			"x",
			netlab.Answers{CNAME: "y", A: netlab.Answer{Drop: true}, Other: map[dnsmessage.Type]netlab.Answer{dnsmessage.TypeTXT: {TTL: 1}}},
			[]string{`A can't stand beside CNAME: an alias has no other records, put them at "y"`, `Other[TXT] can't stand beside CNAME`},
		},
		{
			"x",
			netlab.Answers{Other: map[dnsmessage.Type]netlab.Answer{dnsmessage.TypeA: {}, dnsmessage.TypeCNAME: {}, 65280: {RCode: 99}}},
			[]string{"Other[A] is in the wrong place: use the field A", "Other[CNAME] is in the wrong place: use the field CNAME", "Other[TYPE65280].RCode 99"},
		},
		{
			"x",
			netlab.Answers{A: netlab.Answer{RCode: 20, Then: &netlab.Answer{Then: &netlab.Answer{RCode: 21, Addrs: addrs("::1")}}}},
			[]string{"A.RCode 20", "A.Then.Then can't hold ::1", "A.Then.Then.RCode 21"},
		},

		{"x", service(netlab.Service{Target: "a..b"}), []string{`HTTPS.Services[1].Target is "a..b"`}},
		{
			"x", service(netlab.Service{ALPN: []string{"h2", "", strings.Repeat("a", 255), strings.Repeat("a", 256)}}),
			[]string{`HTTPS.Services[1].ALPN has "" of 0 bytes: use 1 to 255`, "of 256 bytes: use 1 to 255"},
		},
		{
			"x", service(netlab.Service{NoDefaultALPN: true}),
			[]string{"NoDefaultALPN without ALPN leaves no protocol: add ALPN, or use Params[2]"},
		},
		{"x", service(netlab.Service{IPv4Hint: addrs("::1"), IPv6Hint: addrs("192.0.2.1", "fe80::1%lo")}), []string{
			"IPv4Hint can't hold ::1: put IPv6 addresses into IPv6Hint",
			"IPv6Hint can't hold 192.0.2.1: put IPv4 addresses into IPv4Hint", "IPv6Hint can't hold fe80::1%lo",
		}},
		{
			"x", service(netlab.Service{Port: 1, Params: map[uint16][]byte{3: nil, 4: nil}}),
			[]string{"Params[3] is set by a field too: use one of them"},
		},
		{"x", service(netlab.Service{Port: 1, Mandatory: []uint16{3, 0, 3, 9}}), []string{
			"Mandatory can't hold 0, its own key", "Mandatory has 3 twice", "Mandatory has 9, which the record lacks: add it, or use Params[0]",
		}},
		{"x", service(netlab.Service{Params: map[uint16][]byte{0: {0, 9}, 65535: nil}}), nil},
		{"x", service(netlab.Service{ECH: make([]byte, 65528)}), nil},
		{"x", service(netlab.Service{ECH: make([]byte, 65529)}), []string{"HTTPS: a record does not fit a message"}},
		{"x", netlab.Answers{A: netlab.Answer{Raw: [][]byte{make([]byte, 65536)}}}, []string{"A: a record does not fit a message"}},
	} {
		var got []string
		if err := c.a.Check(c.name); err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		if !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%q %+v:\ngot  %q\nwant %q", c.name, c.a, got, c.want)
		}
	}
}

// Set says what Check says, and takes what Check takes.
func TestDNSSetPanicsWithEveryProblem(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	wrong := netlab.Answers{A: netlab.Answer{RCode: 16}, AAAA: netlab.Answer{Malformed: "torn"}}
	defer func() {
		got := fmt.Sprint(recover())
		for _, says := range []string{`netlab: Set("wrong.example"): `, wrong.Check("wrong.example").Error()} {
			if !strings.Contains(got, says) {
				t.Errorf("panic says %q, want %q in it", got, says)
			}
		}
		wantReply(t, ask(t, d, "wrong.example.", dnsmessage.TypeA), dnsmessage.RCodeNameError, nil)
	}()
	d.Set("wrong.example", wrong)
}

// Nothing that the caller changes later gets into an answer.
func TestDNSScriptIsItsOwnInDepth(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	service := netlab.Service{
		Priority: 1, Mandatory: []uint16{1}, ALPN: []string{"h2"}, IPv4Hint: addrs("192.0.2.1"), ECH: []byte{1},
		IPv6Hint: addrs("2001:db8::1"), Params: map[uint16][]byte{9: {2}},
	}
	then := netlab.Answer{Addrs: addrs("192.0.2.2")}
	a := netlab.Answers{
		A:     netlab.Answer{Addrs: addrs("192.0.2.1"), Then: &then},
		HTTPS: netlab.Answer{Services: []netlab.Service{service}},
		SRV:   netlab.Answer{Hosts: []netlab.SRV{{Target: "one.example"}}},
		Other: map[dnsmessage.Type]netlab.Answer{65280: {Raw: [][]byte{{3}}}},
	}
	d.Set("copied.example", a)
	other := addrs("2001:db8::99")[0]
	then.Addrs[0], then.RCode = addrs("192.0.2.99")[0], 5
	a.A.Addrs[0] = addrs("192.0.2.98")[0]
	service.Mandatory[0], service.ALPN[0], service.IPv4Hint[0], service.ECH[0], service.IPv6Hint[0] = 9, "h3", then.Addrs[0], 7, other
	service.Params[9][0] = 7
	service.Params[10] = nil
	a.HTTPS.Services[0].Priority = 7
	a.SRV.Hosts[0].Target = "two.example"
	a.Other[65280].Raw[0][0] = 7
	delete(a.Other, 65280)

	wantAddrs(t, d, "ip4", "copied.example.", addrs("192.0.2.1"))
	wantAddrs(t, d, "ip4", "copied.example.", addrs("192.0.2.2"))
	wantReply(t, ask(t, d, "copied.example.", dnsmessage.TypeHTTPS), 0, []string{"copied.example. 0 HTTPS 1 . " +
		"key0=0001 key1=026832 key4=c0000201 key5=01 key6=20010db8000000000000000000000001 key9=02"})
	wantReply(t, ask(t, d, "copied.example.", dnsmessage.TypeSRV), 0, []string{"copied.example. 0 SRV 0 0 0 one.example."})
	wantReply(t, ask(t, d, "copied.example.", 65280), 0, []string{"copied.example. 0 TYPE65280 03"})
}
