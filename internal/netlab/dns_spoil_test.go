package netlab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Every kind, in all sorts of replies: nobody who reads with care believes it,
// and it is spoiled in the one way that its name says.
func TestMalformedKinds(t *testing.T) {
	t.Parallel()
	for _, r := range spoilableReplies(t) {
		if err := readStrictly(r.q, r.packet); err != nil {
			t.Fatalf("%v: the well-formed reply: %v", r.q.question, err)
		}
		for kind := range malformations {
			bad := kind.spoil(bytes.Clone(r.packet))
			// Nobody knows how long the RDATA of an unknown type is to be.
			free := kind == MalformedData && r.q.question.Type == unknownType
			if err := readStrictly(r.q, bad); err == nil && !free {
				t.Errorf("%v, %s: a strict reader takes %x", r.q.question, kind, bad)
			}
			if !spoiledAsPromised(kind, r.packet, bad, findVictim(r.packet)) {
				t.Errorf("%v, %s:\ngood %x\nbad  %x", r.q.question, kind, r.packet, bad)
			}
		}
		if got := Malformed("").spoil(bytes.Clone(r.packet)); !bytes.Equal(got, r.packet) {
			t.Errorf("%v: without a kind it comes out as %x", r.q.question, got)
		}
	}
}

func spoiledAsPromised(kind Malformed, good, bad []byte, v victim) bool {
	sameBut := func(from, to int) bool {
		return len(good) == len(bad) && bytes.Equal(good[:from], bad[:from]) &&
			!bytes.Equal(good[from:to], bad[from:to]) && bytes.Equal(good[to:], bad[to:])
	}
	switch kind {
	case MalformedNoise:
		return len(good) == len(bad) && bytes.Equal(good[:2], bad[:2]) && bad[2]&0x80 != 0
	case MalformedID:
		return sameBut(0, 2) && bad[0] != good[0] && bad[1] != good[1]
	case MalformedQuestion:
		if good[12] == 0 {
			return sameBut(13, 15)
		}
		return sameBut(13, 14) && good[13]&^0x20 != bad[13]&^0x20
	case MalformedCounts:
		return sameBut(6, 8) && binary.BigEndian.Uint16(bad[6:]) == 65535
	case MalformedCut:
		return len(bad) >= v.data && len(bad) < v.end && bytes.HasPrefix(good, bad)
	case MalformedLoop:
		to := binary.BigEndian.Uint16(bad[v.owner:])
		return bytes.Equal(bad[:v.owner], good[:v.owner]) && to == 0xC000|uint16(v.owner) &&
			bytes.Equal(bad[v.owner+2:], good[v.fields:])
	case MalformedData:
		return binary.BigEndian.Uint16(bad[v.data-2:]) == uint16(v.end-v.data-1) &&
			bytes.Equal(bad[:v.data-2], good[:v.data-2]) && bytes.Equal(bad[v.data:v.end-1], good[v.data:v.end-1]) &&
			bytes.Equal(bad[v.end-1:], good[v.end:])
	case MalformedLength:
		return sameBut(v.data-2, v.data) && binary.BigEndian.Uint16(bad[v.data-2:]) == 65535
	}
	return false
}

// readStrictly takes a packet only if it answers q and is, byte for byte, what
// comes out when its contents are packed again.
func readStrictly(q query, packet []byte) error {
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil {
		return err
	}
	again, err := m.Pack()
	switch {
	case err != nil:
		return err
	case !bytes.Equal(again, packet):
		return errors.New("not in its own form")
	case !m.Response || m.ID != q.header.ID || len(m.Questions) != 1 || m.Questions[0] != q.question:
		return errors.New("not the answer to the question")
	}
	return nil
}

const unknownType = dnsmessage.Type(65280)

type spoilable struct {
	q      query
	packet []byte
}

// spoilableReplies are well-formed ones with a record of the type asked for.
func spoilableReplies(t *testing.T) (replies []spoilable) {
	t.Helper()
	answers := Answers{
		A:    Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}},
		AAAA: Answer{Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1")}},
		HTTPS: Answer{Services: []Service{
			{Priority: 1, Target: "svc.example", ALPN: []string{"h2"}}, {Priority: 2},
		}},
		SRV:   Answer{Hosts: []SRV{{Port: 1, Target: "one.example"}, {Port: 2, Target: "."}}},
		Other: map[dnsmessage.Type]Answer{unknownType: {Raw: [][]byte{{1}}}},
	}
	s := make(script)
	for _, name := range []string{"name.example", "x", ".", "alias16.example", "y.sub.example"} {
		s.set(name, answers)
	}
	for i := range 16 {
		s.set(fmt.Sprintf("alias%d.example", i), Answers{CNAME: fmt.Sprintf("alias%d.example", i+1)})
	}
	s.set("toroot.example", Answers{CNAME: "."})
	s.set("sub.example", Answers{CNAME: "y.sub.example"})

	for _, name := range []string{"name.example.", "x.", "X.", ".", "alias0.example.", "toroot.example.", "sub.example."} {
		for _, kind := range []dnsmessage.Type{
			dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeHTTPS, dnsmessage.TypeSRV, unknownType,
		} {
			for _, edns := range []bool{false, true} {
				q := query{over: overTCP, edns: edns, header: dnsmessage.Header{ID: 4711}}
				q.question = dnsmessage.Question{Name: fullName(name), Type: kind, Class: dnsmessage.ClassINET}
				packet, _, ok := s.reply(q)
				if !ok {
					t.Fatalf("no reply to %v", q.question)
				}
				replies = append(replies, spoilable{q, packet})
			}
		}
	}
	return replies
}

// The noise of no length and ID is a reply by chance.
func TestNoiseIsNoReply(t *testing.T) {
	t.Parallel()
	for length := headerSize; length < 2000; length++ {
		reply := bytes.Repeat([]byte{1}, length)
		var m dnsmessage.Message
		if err := m.Unpack(noise(reply)); err == nil {
			t.Fatalf("noise of %d bytes is a message: %v", length, m.GoString())
		}
	}
}
