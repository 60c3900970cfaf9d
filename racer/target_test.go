package racer

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestGoodEndpoints(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 61) // 253 characters
	for text, want := range map[string]endpoint{
		"example.com:443":             {name: "example.com", port: 443},
		"example.com.:443":            {name: "example.com.", port: 443},
		"EXAMPLE.com:1":               {name: "EXAMPLE.com", port: 1},
		"localhost:65535":             {name: "localhost", port: 65535},
		"_dns.resolver-1.arpa:53":     {name: "_dns.resolver-1.arpa", port: 53},
		"xn--bcher-kva.example:443":   {name: "xn--bcher-kva.example", port: 443},
		"1.example:443":               {name: "1.example", port: 443},
		"0x7f.example:443":            {name: "0x7f.example", port: 443},
		"example.0x7g:443":            {name: "example.0x7g", port: 443},
		"1e3:443":                     {name: "1e3", port: 443},
		"example.com:080":             {name: "example.com", port: 80},
		long + ":65535":               {name: long, port: 65535},
		long + ".:65535":              {name: long + ".", port: 65535},
		"192.0.2.1:443":               {addr: netip.MustParseAddr("192.0.2.1"), port: 443},
		"[2001:db8::1]:443":           {addr: netip.MustParseAddr("2001:db8::1"), port: 443},
		"[::1]:1":                     {addr: netip.MustParseAddr("::1"), port: 1},
		"[::ffff:192.0.2.1]:443":      {addr: netip.MustParseAddr("::ffff:192.0.2.1"), port: 443},
		"[::ffff:c000:201]:443":       {addr: netip.MustParseAddr("::ffff:192.0.2.1"), port: 443},
		"[fe80::1%eth0]:443":          {addr: netip.MustParseAddr("fe80::1%eth0"), port: 443}, // for the policy to deny
		"[2001:DB8:0:0:0:0:0:1]:0443": {addr: netip.MustParseAddr("2001:db8::1"), port: 443},
	} {
		if got, err := parseEndpoint(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestBadEndpoints(t *testing.T) {
	label63, label64 := strings.Repeat("a", 63), strings.Repeat("a", 64)
	name254 := strings.Repeat(label63+".", 3) + strings.Repeat("b", 62)
	for text, says := range map[string]string{
		"":                        `is empty; write a name`,
		"example.com":             "has no port",
		"192.0.2.1":               "has no port",
		"[2001:db8::1]":           "has no port",
		"443":                     "has no port",
		"2001:db8::1":             "write an IPv6 address in brackets and add a port",
		"2001:db8::1:443":         "write an IPv6 address in brackets and add a port",
		"::1:443":                 "in brackets",
		"example.com:":            `has the port ""; write a number from 1 to 65535`,
		"example.com:0":           `has the port "0"`,
		"example.com:65536":       `has the port "65536"`,
		"example.com:99999999999": "has the port",
		"example.com:+80":         `has the port "+80"`,
		"example.com:-80":         `has the port "-80"`,
		"example.com: 80":         `has the port " 80"`,
		"example.com:80 ":         `has the port "80 "`,
		"example.com:0x50":        `has the port "0x50"`,
		"example.com:8_0":         `has the port "8_0"`,
		"example.com:https":       `has the port "https"`,
		"example.com:８０":          "has the port",
		":443":                    "has no name or address",
		".:443":                   "has no name or address",
		"[]:443":                  "in brackets",
		"[192.0.2.1]:1":           `has "192.0.2.1" in brackets; they are for IPv6 addresses`,
		"[example.com]:443":       "in brackets",
		"[2001:db8::1%]:443":      "in brackets",
		"127.1:80":                "neither a name nor an address",
		"0x7f.1:80":               "neither a name nor an address",
		"0X7F.0X1:80":             "neither a name nor an address",
		"2130706433:80":           "neither a name nor an address",
		"017700000001:80":         "neither a name nor an address",
		"0x7f000001:80":           "neither a name nor an address",
		"0xfF:80":                 "neither a name nor an address",
		"0XABCDEF:80":             "neither a name nor an address",
		"0x:80":                   "neither a name nor an address",
		"127.0.0.1.:80":           "neither a name nor an address",
		"1.2.3.4.5:80":            "neither a name nor an address",
		"192.0.2.256:80":          "neither a name nor an address",
		"192.0.2.01:80":           "neither a name nor an address",
		"example.1:80":            "neither a name nor an address",
		"example..com:80":         "empty or longer than 63",
		".example.com:80":         "empty or longer than 63",
		"example.com..:80":        "empty or longer than 63",
		label64 + ".example:80":   "empty or longer than 63",
		name254 + ":80":           "has a name of 254 characters; DNS allows 253",
		strings.Repeat("a", 300):  "is 300 characters long; 262 are allowed",
		"bücher.example:80":       "not ASCII",
		"exam ple.com:80":         `the character ' '`,
		" example.com:80":         `the character ' '`,
		"example.com/path:80":     `the character '/'`,
		"http://example.com:80":   `is "http://example.com:80", a URL; write it as in "example.com:443"`,
		"https://example.com/":    "a URL; write it as in",
		"grpc://127.0.0.1:8305":   "options.criterion",
		"grpc://[::1]:8305":       "options.criterion",
		"://:1":                   "a URL",
		"http:/example.com:80":    "write",
		"user@example.com:80":     `the character '@'`,
		"exam\nple.com:80":        `the character '\n'`,
		"example.com\x00:80":      `the character '\x00'`,
		"*.example.com:80":        `the character '*'`,
		"fe80::1%eth0:443":        "in brackets",
		"example.com%eth0:80":     `the character '%'`,
		"[2001:db8::1]443":        "has no port",
		"[::ffff:127.0.0.1%lo]:1": `has "::ffff:127.0.0.1%lo", an IPv4 address with a zone; leave the zone out`,
		"[::ffff:7f00:1%lo]:1":    "an IPv4 address with a zone",
		"[2001:db8::1]:443:80":    "has no port",
	} {
		if got, err := parseEndpoint(text); err == nil {
			t.Errorf("%q is accepted as %+v", text, got)
		} else if !strings.Contains(err.Error(), says) {
			t.Errorf("%q is refused with %q, want %q in it", text, err, says)
		}
	}
}

// FuzzParseEndpoint: what is accepted is an address, or a name that no resolver
// takes for anything but a name, and it means the same when it is written again.
func FuzzParseEndpoint(f *testing.F) {
	for _, text := range []string{
		"example.com:443", "192.0.2.1:443", "[2001:db8::1]:443", "[fe80::1%eth0]:1", "127.1:80",
		"0x7f.1:80", "a.0x:1", "[::ffff:1.2.3.4]:65535", "a..b:1", "1.2.3.4.:5", "xn--a.b.:1", "a:+1", "[1.2.3.4]:5", "[::ffff:1.2.3.4%lo]:1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseEndpoint(text)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		if e.port == 0 || (e.name == "") != e.addr.IsValid() || e.addr.Unmap().Zone() != e.addr.Zone() {
			t.Fatalf("%q is %+v", text, e)
		}
		host := e.name
		if e.name == "" {
			host = e.addr.String()
		} else {
			checkSafeName(t, e.name)
		}
		again, err := parseEndpoint(net.JoinHostPort(host, strconv.Itoa(int(e.port))))
		if err != nil || again != e {
			t.Errorf("%q is %+v, written again %+v, %v", text, e, again, err)
		}
	})
}

// checkSafeName is the dumb alternative to checkName.
func checkSafeName(t *testing.T, name string) {
	t.Helper()
	if _, err := netip.ParseAddr(name); err == nil || len(name) > 254 || strings.Trim(name, nameCharacters) != "" {
		t.Errorf("%q is accepted as a name", name)
	}
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 {
			t.Errorf("%q is accepted with a part of %d characters", name, len(label))
		}
	}
	if numeric.MatchString(labels[len(labels)-1]) {
		t.Errorf("%q is accepted, which may be read as a number", name)
	}
}

// numeric is what inet_aton reads: decimal, octal and hexadecimal numbers.
var numeric = regexp.MustCompile(`^([0-9]+|0[xX][0-9a-fA-F]*)$`)

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

func TestBadTargets(t *testing.T) {
	many := func(n int, format string) (specs []CandidateSpec) {
		for i := range n {
			specs = append(specs, CandidateSpec{Endpoint: fmt.Sprintf(format, i+1)})
		}
		return specs
	}
	for _, c := range []struct {
		target      Target
		field, says string
	}{
		{Target{}, "target", "is missing; set it to a name"},
		{Target{Name: "a.example:1", Candidates: many(1, "192.0.2.%d:1")}, "target", "set one of them"},
		{Target{Candidates: many(MaxCandidates+1, "192.0.2.1:%d")}, "candidates", "has 1001 elements; allowed are 1000"},
		{Target{Candidates: many(MaxNames+1, "n%d.example:1")}, "candidates", "has 65 names; allowed are 64"},
		{Target{Name: "127.1:80"}, "target", "neither a name nor an address"},
		{Target{Candidates: []CandidateSpec{{Endpoint: "192.0.2.1:1"}, {}}}, "candidates[1].endpoint", "is empty"},
		{
			Target{Candidates: []CandidateSpec{{Endpoint: "192.0.2.1:1", Label: strings.Repeat("x", MaxLabelLength+1)}}},
			"candidates[0].label", "is 101 characters long; 100 are allowed",
		},
	} {
		asRace, asProbe := problems(t, ProbeRequest{Target: c.target}, Options{})
		wantProblem(t, asRace, c.field, c.says)
		wantProblem(t, asProbe, c.field, c.says)
	}
	for _, specs := range [][]CandidateSpec{
		many(MaxCandidates, "192.0.2.1:%d"),
		append(many(MaxCandidates-MaxNames, "192.0.2.1:%d"), many(MaxNames, "n%d.example:1")...),
		{{Endpoint: "192.0.2.1:1", Label: strings.Repeat("x", MaxLabelLength)}},
	} {
		if asRace, asProbe := problems(t, ProbeRequest{Target: Target{Candidates: specs}}, Options{}); len(asRace)+len(asProbe) > 0 {
			t.Errorf("%d candidates are refused: %q", len(specs), asRace)
		}
	}
}
