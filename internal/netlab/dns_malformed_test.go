package netlab_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connrace/connrace/internal/netlab"
)

// The kinds, as they stand in a file.
var malformedKinds = []netlab.Malformed{
	netlab.MalformedNoise, netlab.MalformedID, netlab.MalformedQuestion, netlab.MalformedCounts,
	netlab.MalformedCut, netlab.MalformedLoop, netlab.MalformedData, netlab.MalformedLength,
}

// Both transports carry the same spoiled message, and the server goes on.
func TestDNSMalformedOnTheWire(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	well := netlab.Answer{Addrs: addrs("192.0.2.1", "192.0.2.2")}
	d.Set("well.example", netlab.Answers{A: well})
	for _, kind := range malformedKinds {
		spoiled := well
		spoiled.Malformed = kind
		spoiled.Then = &well
		d.Set("ill.example", netlab.Answers{A: spoiled})
		overUDP := rawReply(t, d, "ill.example.")
		wantReply(t, ask(t, d, "ill.example.", dnsmessage.TypeA), 0,
			[]string{"ill.example. 0 A 192.0.2.1", "ill.example. 0 A 192.0.2.2"})

		d.Set("ill.example", netlab.Answers{A: spoiled})
		s := dialStream(t, d)
		s.write(framed(t, message("ill.example.", dnsmessage.TypeA)))
		overTCP := s.readRaw()
		s.ask(message("ill.example.", dnsmessage.TypeA))
		if !bytes.Equal(overUDP, overTCP) {
			t.Errorf("%s is %x over UDP and %x over TCP", kind, overUDP, overTCP)
		}

		d.Set("ill.example", netlab.Answers{A: well})
		if bytes.Equal(overUDP, rawReply(t, d, "ill.example.")) {
			t.Errorf("%s is the well-formed reply", kind)
		}
	}
}

// A truncated reply is well-formed; the one over TCP is not.
func TestDNSMalformedAfterTruncation(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("ill.example", netlab.Answers{
		A: netlab.Answer{Addrs: addrs("192.0.2.1"), Truncate: true, Malformed: netlab.MalformedCut},
	})
	if r := ask(t, d, "ill.example.", dnsmessage.TypeA); !r.Truncated || r.RCode != 0 {
		t.Errorf("over UDP comes %+v, want a truncated reply", r.Header)
	}
	s := dialStream(t, d)
	s.write(framed(t, message("ill.example.", dnsmessage.TypeA)))
	var r dnsmessage.Message
	if err := r.Unpack(s.readRaw()); err == nil {
		t.Errorf("over TCP comes a well-formed reply: %v", r.Answers)
	}
}

// What Go's own resolver makes of them. Over UDP it waits for a better reply
// where the ID, the question or the header is wrong. It does not compare RDLENGTH
// with the type of a record: it believes an address of three bytes, whose fourth
// is the one that follows, and one whose record goes on beyond the end. When it
// meets an error behind an address, it keeps the address.
func TestDNSMalformedForGoResolver(t *testing.T) {
	t.Parallel()
	const (
		ignored   = "i/o timeout"
		unmarshal = "cannot unmarshal DNS message"
		invalid   = "invalid DNS response"
	)
	for _, c := range []struct {
		kind     netlab.Malformed
		udp, tcp string // an error, or the address it believes
	}{
		{"", "192.0.2.7", "192.0.2.7"},
		{netlab.MalformedNoise, ignored, unmarshal},
		{netlab.MalformedID, ignored, invalid},
		{netlab.MalformedQuestion, ignored, invalid},
		{netlab.MalformedCounts, "192.0.2.7", "192.0.2.7"},
		{netlab.MalformedCut, unmarshal, unmarshal},
		{netlab.MalformedLoop, unmarshal, unmarshal},
		{netlab.MalformedData, "192.0.2.0", "192.0.2.0"},
		{netlab.MalformedLength, "192.0.2.7", "192.0.2.7"},
	} {
		for _, over := range []string{"udp", "tcp"} {
			t.Run(string(c.kind)+" over "+over, func(t *testing.T) {
				t.Parallel()
				d := startDNS(t, any0(t, v4))
				d.Set("ill.example", netlab.Answers{A: netlab.Answer{
					Addrs: addrs("192.0.2.7"), Malformed: c.kind, Truncate: over == "tcp",
				}})
				d.Set("well.example", netlab.Answers{A: netlab.Answer{Addrs: addrs("192.0.2.8")}})
				want := map[string]string{"udp": c.udp, "tcp": c.tcp}[over]
				limit := patience
				if want == ignored {
					limit = 200 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				got, err := resolver(d).LookupNetIP(ctx, "ip4", "ill.example.")
				if addr, e := netip.ParseAddr(want); e == nil {
					if err != nil || !slices.Equal(got, []netip.Addr{addr}) {
						t.Errorf("%v, %v; want %v", got, err, addr)
					}
				} else if dns := new(net.DNSError); !errors.As(err, &dns) || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, %v; want an error with %q", got, err, want)
				}
				wantAddrs(t, d, "ip4", "well.example.", addrs("192.0.2.8"))
			})
		}
	}
}

// rawReply is the reply over UDP to a query without EDNS.
func rawReply(t *testing.T, d *netlab.DNS, name string) []byte {
	t.Helper()
	c := dialDNS(t, d)
	m := message(name, dnsmessage.TypeA)
	packet, err := m.Pack()
	must(t, err)
	_, err = c.Write(packet)
	must(t, err)
	buf := make([]byte, 512)
	n, err := c.Read(buf)
	must(t, err)
	return buf[:n]
}
