package netlab_test

import (
	"slices"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connrace/connrace/internal/netlab"
)

func TestDNSThen(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	third := netlab.Answer{Addrs: addrs("192.0.2.3"), TTL: 3}
	second := netlab.Answer{RCode: dnsmessage.RCodeServerFailure, Then: &third}
	moving := netlab.Answers{
		A:    netlab.Answer{Addrs: addrs("192.0.2.1"), TTL: 1, Then: &second},
		AAAA: netlab.Answer{Then: &netlab.Answer{Addrs: addrs("2001:db8::2")}},
	}
	d.Set("moving.example", moving)
	d.Set("other.example", moving)
	d.Set("www.example", netlab.Answers{CNAME: "other.example"})

	one, two := []string{"moving.example. 1 A 192.0.2.1"}, []string{}
	three := []string{"moving.example. 3 A 192.0.2.3"}
	wantReply(t, ask(t, d, "moving.example.", dnsmessage.TypeA), 0, one)
	wantReply(t, ask(t, d, "moving.example.", dnsmessage.TypeA), dnsmessage.RCodeServerFailure, two)
	wantReply(t, ask(t, d, "moving.example.", dnsmessage.TypeAAAA), 0, nil)
	wantReply(t, ask(t, d, "moving.example.", dnsmessage.TypeA), 0, three)
	wantReply(t, ask(t, d, "moving.example.", dnsmessage.TypeA), 0, three)
	wantReply(t, ask(t, d, "moving.example.", dnsmessage.TypeAAAA), 0, []string{"moving.example. 0 AAAA 2001:db8::2"})

	// Another name with the same answers has its own turns; an alias takes those
	// of its target.
	wantReply(t, ask(t, d, "www.example.", dnsmessage.TypeA), 0,
		[]string{"www.example. 0 CNAME other.example.", "other.example. 1 A 192.0.2.1"})
	wantReply(t, ask(t, d, "other.example.", dnsmessage.TypeA), dnsmessage.RCodeServerFailure, nil)

	d.Set("moving.example", moving)
	wantReply(t, ask(t, d, "moving.example.", dnsmessage.TypeA), 0, one)
}

func TestDNSThenMayLeadBack(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	even := netlab.Answer{Addrs: addrs("192.0.2.2")}
	odd := netlab.Answer{Addrs: addrs("192.0.2.1"), Then: &even}
	even.Then = &odd
	d.Set("turns.example", netlab.Answers{A: odd})
	for i := range 6 {
		want := addrs("192.0.2.1", "192.0.2.2")[i%2]
		wantAddrs(t, d, "ip4", "turns.example.", addrs(want.String()))
	}
}

// The first query over TCP after a truncated reply is its retry; all others are
// next queries. A letter is one query, u and t for the transport; truncated
// answers are marked with a minus.
func TestDNSRetryOverTCPIsNoNextQuery(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		queries    string
		truncate   []bool // the answers over UDP
		want       []int  // which answer each query gets
		otherTypes bool   // others ask for another type in between
	}{
		{"utut", []bool{true, true}, []int{-1, 1, -2, 2}, false},
		{"utut", []bool{true, true}, []int{-1, 1, -2, 2}, true},
		{"utt", []bool{true, true}, []int{-1, 1, 2}, false},
		{"uut", []bool{true, true}, []int{-1, -2, 2}, false},
		{"uut", []bool{true, false}, []int{-1, 2, 3}, false},
		{"ut", []bool{false, true}, []int{1, 2}, false},
		{"tt", []bool{true, true}, []int{1, 2}, false},
		{"tut", []bool{true, true}, []int{1, -2, 2}, false},
	} {
		d := startDNS(t, any0(t, v4))
		third := netlab.Answer{Addrs: addrs("192.0.2.3")}
		second := netlab.Answer{Addrs: addrs("192.0.2.2"), Truncate: c.truncate[1], Then: &third}
		first := netlab.Answer{Addrs: addrs("192.0.2.1"), Truncate: c.truncate[0], Then: &second}
		d.Set("cut.example", netlab.Answers{A: first, AAAA: netlab.Answer{Addrs: addrs("2001:db8::1")}})
		s := dialStream(t, d)
		var got []int
		for i, over := range c.queries {
			var r dnsmessage.Message
			if over == 't' {
				r = s.ask(message("cut.example.", dnsmessage.TypeA))
			} else {
				r = ask(t, d, "cut.example.", dnsmessage.TypeA)
			}
			if c.otherTypes {
				ask(t, d, "cut.example.", dnsmessage.TypeAAAA)
				ask(t, d, "elsewhere.example.", dnsmessage.TypeA)
			}
			if r.Truncated {
				got = append(got, -max(c.want[i], -c.want[i])) // it has no record to tell by
			} else {
				got = append(got, int(r.Answers[0].Body.(*dnsmessage.AResource).A[3]))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s with truncated %v: got %v, want %v", c.queries, c.truncate, got, c.want)
		}
	}
}

// An answer that is too long for UDP is as truncated as one that is told to be.
func TestDNSRetryOfALongAnswer(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("long.example", netlab.Answers{
		A: netlab.Answer{Addrs: sixty(), Then: &netlab.Answer{Addrs: addrs("192.0.2.99")}},
	})
	c := dialDNS(t, d)
	if r := exchange(t, c, message("long.example.", dnsmessage.TypeA)); !r.Truncated {
		t.Error("60 addresses without EDNS are not truncated")
	}
	s := dialStream(t, d)
	for _, want := range []int{60, 1} {
		if r := s.ask(message("long.example.", dnsmessage.TypeA)); len(r.Answers) != want {
			t.Errorf("%d addresses over TCP, want %d", len(r.Answers), want)
		}
	}
}

// Over TCP there is nothing left to retry with.
func TestDNSNoRetryOfATruncatedAnswerOverTCP(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("huge.example", netlab.Answers{
		A: netlab.Answer{Addrs: slices.Repeat(addrs("192.0.2.1"), 5000), Then: &netlab.Answer{Addrs: addrs("192.0.2.99")}},
	})
	s := dialStream(t, d)
	for i, want := range []bool{true, false} {
		if r := s.ask(message("huge.example.", dnsmessage.TypeA)); r.Truncated != want {
			t.Errorf("answer %d over TCP: truncated %v, want %v", i, r.Truncated, want)
		}
	}
}
