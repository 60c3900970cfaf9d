package stage

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a.", n/2) + strings.Repeat("a", n%2) }
	many := make([]int, 21)
	for _, c := range []struct {
		c     Criterion
		field string // empty: nothing is wrong
		text  string
	}{
		{Criterion{}, "", ""},
		{Criterion{TLS: &TLS{ServerName: "lab.example."}, FirstByte: true}, "", ""},
		{Criterion{TLS: &TLS{ServerName: "2001:db8::1", ALPN: []string{"h2", strings.Repeat("x", 255)}}}, "", ""},
		{Criterion{TLS: &TLS{ServerName: "192.0.2.1"}}, "", ""},
		{Criterion{TLS: &TLS{ServerName: "_a-b.xn--c"}}, "", ""},
		{Criterion{TLS: &TLS{ServerName: "a b"}}, "tls.server_name", `is "a b"; allowed is a name`},
		{Criterion{TLS: &TLS{ServerName: "127.1"}}, "tls.server_name", `"127.1"`},
		{Criterion{TLS: &TLS{ServerName: "a.0x7F"}}, "tls.server_name", `"a.0x7F"`},
		{Criterion{TLS: &TLS{ServerName: "fe80::1%eth0"}}, "tls.server_name", "without a zone"},
		{Criterion{TLS: &TLS{ServerName: "[::1]"}}, "tls.server_name", "[::1]"},
		{Criterion{TLS: &TLS{ServerName: "lab.example:443"}}, "tls.server_name", "allowed is a name"},
		{Criterion{TLS: &TLS{ServerName: "a..b"}}, "tls.server_name", "a..b"},
		{Criterion{TLS: &TLS{ServerName: "x." + strings.Repeat("a", 64)}}, "tls.server_name", `is "x.` + strings.Repeat("a", 64) + `"; allowed is a name without a part longer than 63 characters`},
		{Criterion{TLS: &TLS{ServerName: "x." + strings.Repeat("a", 63) + "."}}, "", ""},
		{Criterion{TLS: &TLS{ServerName: long(254) + "."}}, "tls.server_name", ""},
		{Criterion{TLS: &TLS{ServerName: long(255)}}, "tls.server_name", "255 characters; allowed are 253"},
		{Criterion{TLS: &TLS{ServerName: strings.Repeat("a", 64)}}, "tls.server_name", "a part longer than 63 characters"},
		{Criterion{TLS: &TLS{ALPN: []string{"h2", ""}}}, "tls.alpn_protocols[1]", "has 0 bytes; allowed are 1 to 255"},
		{Criterion{TLS: &TLS{ALPN: []string{strings.Repeat("x", 256)}}}, "tls.alpn_protocols[0]", "256 bytes"},
		{Criterion{TLS: &TLS{ALPN: strings.Split("abcdefghi", "")}}, "tls.alpn_protocols", "has 9 elements; allowed are 8"},
		{Criterion{HTTP: &HTTP{Method: "HEAD", Path: "/a?b=/%20[]", Host: "lab.example:8443", Statuses: []int{101, 200, 599}}}, "", ""},
		{Criterion{HTTP: &HTTP{Host: "[2001:db8::1]:80", Path: "/" + strings.Repeat("a", 2047)}}, "", ""},
		{Criterion{HTTP: &HTTP{Host: "[2001:db8::1]"}}, "", ""},
		{Criterion{HTTP: &HTTP{Host: "192.0.2.1"}}, "", ""},
		{Criterion{HTTP: &HTTP{Method: "POST"}}, "http.method", `is "POST"; allowed is GET or HEAD`},
		{Criterion{HTTP: &HTTP{Method: "get"}}, "http.method", `is "get"`},
		{Criterion{HTTP: &HTTP{Path: "a"}}, "http.path", `is "a"; allowed is what begins with "/"`},
		{Criterion{HTTP: &HTTP{Path: "http://x/"}}, "http.path", "begins with"},
		{Criterion{HTTP: &HTTP{Path: "/a b"}}, "http.path", "' '"},
		{Criterion{HTTP: &HTTP{Path: "/a\r\nX: y"}}, "http.path", `'\r'`},
		{Criterion{HTTP: &HTTP{Path: "/\x7f"}}, "http.path", `'\x7f'`},
		{Criterion{HTTP: &HTTP{Path: "/\xc3\xa4"}}, "http.path", "printable ASCII"},
		{Criterion{HTTP: &HTTP{Path: "/#a"}}, "http.path", "'#'"},
		{Criterion{HTTP: &HTTP{Path: "/" + strings.Repeat("a", 2048)}}, "http.path", "has 2049 bytes; allowed are 2048"},
		{Criterion{HTTP: &HTTP{Host: "a\r\nX: y"}}, "http.host", "allowed is a name"},
		{Criterion{HTTP: &HTTP{Host: "a/b"}}, "http.host", "allowed is a name"},
		{Criterion{HTTP: &HTTP{Host: "a@b"}}, "http.host", "allowed is a name"},
		{Criterion{HTTP: &HTTP{Host: ":80"}}, "http.host", "allowed is a name"},
		{Criterion{HTTP: &HTTP{Host: "a:0"}}, "http.host", "1 to 65535"},
		{Criterion{HTTP: &HTTP{Host: "a:"}}, "http.host", "1 to 65535"},
		{Criterion{HTTP: &HTTP{Host: "a:65536"}}, "http.host", "1 to 65535"},
		{Criterion{HTTP: &HTTP{Host: "2001:db8::1"}}, "http.host", `is "2001:db8::1"; allowed is a name, an IPv4 address or an IPv6 address in brackets`},
		{Criterion{HTTP: &HTTP{Host: "::1"}}, "http.host", `is "::1"; allowed is a name, an IPv4 address or an IPv6 address in brackets`},
		{Criterion{HTTP: &HTTP{Host: "::"}}, "http.host", `is "::"; allowed is a name, an IPv4 address or an IPv6 address in brackets`},
		{Criterion{HTTP: &HTTP{Host: "2001:db8:0:0:0:0:0:1:443"}}, "http.host", `is "2001:db8:0:0:0:0:0:1:443"; allowed is a name, an IPv4 address or an IPv6 address in brackets`},
		{Criterion{HTTP: &HTTP{Host: "a b:80"}}, "http.host", `is "a b:80"; allowed is a name of letters`},
		{Criterion{HTTP: &HTTP{Host: strings.Repeat("a", 64) + ":80"}}, "http.host", `a:80"; allowed is a name without a part longer than 63 characters`},
		{Criterion{Health: &Health{Authority: "2001:db8::1"}}, "grpc_health.authority", `is "2001:db8::1"; allowed is a name, an IPv4 address or an IPv6 address in brackets`},
		{Criterion{HTTP: &HTTP{Host: "[2001:db8::1"}}, "http.host", "in brackets"},
		{Criterion{HTTP: &HTTP{Host: "[fe80::1%25a]"}}, "http.host", "in brackets"},
		{Criterion{HTTP: &HTTP{Host: "[192.0.2.1]"}}, "http.host", "in brackets"},
		{Criterion{HTTP: &HTTP{Host: "[::1]x"}}, "http.host", "in brackets"},
		{Criterion{HTTP: &HTTP{Host: long(263)}}, "http.host", "has 263 characters; allowed are 262"},
		{Criterion{HTTP: &HTTP{Statuses: []int{99}}}, "http.success_statuses[0]", "is 99; allowed are 101 and 200 to 599"},
		{Criterion{HTTP: &HTTP{Statuses: []int{101, 100}}}, "http.success_statuses[1]", "is 100; allowed are 101"},
		{Criterion{HTTP: &HTTP{Statuses: []int{102}}}, "http.success_statuses[0]", "is 102"},
		{Criterion{HTTP: &HTTP{Statuses: []int{199}}}, "http.success_statuses[0]", "is 199"},
		{Criterion{HTTP: &HTTP{Statuses: []int{200, 600}}}, "http.success_statuses[1]", "is 600"},
		{Criterion{HTTP: &HTTP{Statuses: many}}, "http.success_statuses", "has 21 elements; allowed are 20"},
		{Criterion{Health: &Health{Service: "shop.v1.Cart", Authority: "lab.example:1"}}, "", ""},
		{Criterion{Health: &Health{Service: strings.Repeat("a", 256)}}, "", ""},
		{Criterion{Health: &Health{Service: strings.Repeat("a", 257)}}, "grpc_health.service", "has 257 bytes; allowed are 256"},
		{Criterion{Health: &Health{Service: "a\n"}}, "grpc_health.service", `is "a\n"; allowed are printable`},
		{Criterion{Health: &Health{Service: "\xff"}}, "grpc_health.service", "printable"},
		{Criterion{Health: &Health{Authority: "a b"}}, "grpc_health.authority", `is "a b"`},
		{Criterion{TLS: &TLS{ALPN: []string{"http/1.1", "h2"}}, Health: &Health{}}, "", ""},
		{Criterion{TLS: &TLS{ALPN: []string{"http/1.1"}}, Health: &Health{}}, "tls.alpn_protocols", `has no "h2"; with grpc_health allowed are protocols with it, or none`},
		{Criterion{TLS: &TLS{ALPN: []string{"http/1.1"}}, HTTP: &HTTP{}}, "", ""},
		{Criterion{HTTP: &HTTP{}, Health: &Health{}}, "grpc_health", "is given beside http; allowed is one of"},
		{Criterion{HTTP: &HTTP{}, FirstByte: true}, "first_byte", "is given beside http"},
		{Criterion{Health: &Health{}, FirstByte: true}, "first_byte", "is given beside grpc_health"},
	} {
		got := c.c.Check()
		switch {
		case c.field == "" && len(got) > 0:
			t.Errorf("%+v %+v %+v: %v", c.c.TLS, c.c.HTTP, c.c.Health, got)
		case c.field != "" && (len(got) != 1 || got[0].Field != c.field || !strings.Contains(got[0].Message, c.text)):
			t.Errorf("want %s %q, got %v", c.field, c.text, got)
		}
		for _, p := range got {
			checkText(t, p.Message)
		}
	}
	all := Criterion{TLS: &TLS{ServerName: " "}, HTTP: &HTTP{Method: "X", Path: "x"}, Health: &Health{Service: "\n"}, FirstByte: true}
	if got := all.Check(); len(got) != 6 {
		t.Errorf("all that is wrong is %v", got)
	}
}
