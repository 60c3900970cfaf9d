package netlab

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// FuzzDNSPacket holds the parser against dnsmessage itself: what that reads as a
// query has a reply, in every form of the script, and nothing makes it panic.
func FuzzDNSPacket(f *testing.F) {
	for _, packet := range fuzzQueries(f) {
		f.Add(packet)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		checkAnswered(t, fuzzScript(), packet, overUDP)
		checkAnswered(t, fuzzScript(), packet, overTCP)
	})
}

// FuzzDNSStream cuts a stream by hand and wants the same messages from the
// server's reader, each answered as by itself.
func FuzzDNSStream(f *testing.F) {
	var stream []byte
	for _, packet := range fuzzQueries(f) {
		stream = binary.BigEndian.AppendUint16(stream, uint16(len(packet)))
		stream = append(stream, packet...)
		f.Add(stream)
		f.Add(stream[:len(stream)-1])
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		rest, s := stream, fuzzScript()
		err := eachMessage(bytes.NewReader(stream), func(message []byte) bool {
			if len(rest) < 2 {
				t.Fatalf("a message of %d bytes behind the end", len(message))
			}
			n := int(binary.BigEndian.Uint16(rest))
			if want := rest[2:][:n]; !bytes.Equal(message, want) {
				t.Fatalf("message is %x, want %x", message, want)
			}
			rest = rest[2+n:]
			checkAnswered(t, s, message, overTCP)
			return true
		})
		if err != nil {
			t.Errorf("the stream ends with %v", err)
		}
		if len(rest) >= 2 && len(rest) >= 2+int(binary.BigEndian.Uint16(rest)) {
			t.Errorf("messages that were not read: %x", rest)
		}
	})
}

// checkAnswered asks s. No name in it is dropped or malformed.
func checkAnswered(t *testing.T, s script, packet []byte, over string) {
	t.Helper()
	var asked dnsmessage.Message
	isQuery := asked.Unpack(packet) == nil && !asked.Response && asked.OpCode == 0 && len(asked.Questions) > 0
	q, err := parseQuery(packet, over, netip.AddrPort{})
	if err != nil {
		if isQuery {
			t.Fatalf("%v is refused: %v", asked.GoString(), err)
		}
		return
	}
	reply, _, ok := s.reply(q)
	if !ok {
		t.Fatalf("no reply to %v", q.question.GoString())
	}
	var r dnsmessage.Message
	if err := r.Unpack(reply); err != nil {
		t.Fatalf("the reply %x: %v", reply, err)
	}
	if len(reply) > q.limit() || !r.Response || r.ID != binary.BigEndian.Uint16(packet) ||
		len(r.Questions) != 1 || isQuery && r.Questions[0] != asked.Questions[0] {
		t.Fatalf("%x is answered by %v", packet, r.GoString())
	}
}

func fuzzScript() script {
	many := make([]netip.Addr, 100)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
	}
	a := Answers{
		A:     Answer{Addrs: many, Then: &Answer{RCode: dnsmessage.RCodeRefused}},
		AAAA:  Answer{Addrs: []netip.Addr{netip.IPv6Loopback()}, Truncate: true},
		HTTPS: Answer{Services: []Service{{Priority: 1, ALPN: []string{"h2"}}}},
		SRV:   Answer{Hosts: []SRV{{Target: "."}}},
		Other: map[dnsmessage.Type]Answer{0: {Raw: [][]byte{{1, 2, 3}}}},
	}
	s := make(script)
	s.set("a.example", a)
	s.set("b.example", Answers{CNAME: "a.example"})
	s.set("c.example", Answers{CNAME: "c.example"})
	s.set(".", Answers{CNAME: "nobody"})
	return s
}

func fuzzQueries(f *testing.F) (packets [][]byte) {
	f.Helper()
	for _, name := range []string{"a.example.", "B.Example.", "c.example.", "d.example.", "."} {
		for _, kind := range []dnsmessage.Type{
			dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeHTTPS, dnsmessage.TypeSRV,
			dnsmessage.TypeCNAME, dnsmessage.TypeALL, 0, 65280,
		} {
			m := dnsmessage.Message{
				Header:    dnsmessage.Header{ID: 4711, RecursionDesired: true},
				Questions: []dnsmessage.Question{{Name: fullName(name), Type: kind, Class: dnsmessage.ClassINET}},
			}
			plain, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			m.Additionals = []dnsmessage.Resource{opt()}
			edns, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			packets = append(packets, plain, edns)
		}
	}
	return packets
}
