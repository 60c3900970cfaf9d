package netlab_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connrace/connrace/internal/netlab"
)

func TestDNSBothTransportsAtOnePort(t *testing.T) {
	t.Parallel()
	for _, addr := range []netip.Addr{v4, v6} {
		t.Run(addr.String(), func(t *testing.T) {
			t.Parallel()
			for range 30 {
				d := startDNS(t, any0(t, addr))
				d.Set("one.example", netlab.Answers{A: netlab.Answer{Addrs: addrs("192.0.2.1")}})
				u, s := dialDNS(t, d), dialStream(t, d)
				want := []string{"one.example. 0 A 192.0.2.1"}
				wantReply(t, exchange(t, u, message("one.example.", dnsmessage.TypeA)), 0, want)
				wantReply(t, s.ask(message("one.example.", dnsmessage.TypeA)), 0, want)
				for i, c := range []net.Conn{u, s.c} {
					q := d.Log()[i]
					if over := []string{"udp", "tcp"}[i]; q.Over != over || q.From.String() != c.LocalAddr().String() {
						t.Errorf("query %d is %+v, want it over %s from %v", i, q, over, c.LocalAddr())
					}
				}
			}
		})
	}
}

// A port that is free for one transport alone is not taken for that one either.
func TestDNSPortTakenForOneTransport(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(at string) (io.Closer, error){
		"tcp": func(at string) (io.Closer, error) { return net.Listen("tcp", at) },
		"udp": func(at string) (io.Closer, error) { return net.ListenPacket("udp", at) },
	} {
		at := fixedPort(t)
		other, err := take(at.String())
		must(t, err)
		for range 3 {
			if _, err = netlab.StartDNS(at); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("%s is taken: error is %v", name, err)
			}
		}
		must(t, other.Close())
		if d := startDNS(t, at); d.Addr() != at {
			t.Errorf("the server is at %v, want %v", d.Addr(), at)
		}
		_, err = netlab.StartDNS(at)
		mustBe(t, err, syscall.EADDRINUSE)
	}
}

// fixedPort is a port that no client takes in between.
func fixedPort(t *testing.T) netip.AddrPort {
	t.Helper()
	port, err := netlab.FreePort(v4)
	must(t, err)
	return netip.AddrPortFrom(v4, port)
}

// The answers of a connection leave as they become due, not as they were asked.
func TestDNSPipelining(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	const step = 100 * time.Millisecond
	var stream []byte
	delays := []int{4, 0, 2, 1, 3, 0}
	for i, n := range delays {
		name := fmt.Sprintf("n%d.example.", i)
		d.Set(name, netlab.Answers{A: netlab.Answer{Addrs: []netip.Addr{numbered(i)}, Delay: time.Duration(n) * step}})
		m := message(name, dnsmessage.TypeA)
		m.ID = uint16(i)
		stream = append(stream, framed(t, m)...)
	}
	s := dialStream(t, d)
	s.write(stream)
	var got []uint16
	for range delays {
		r := s.read()
		got = append(got, r.ID)
		due := d.Log()[r.ID].At.Add(time.Duration(delays[r.ID]) * step)
		if now := time.Now(); now.Before(due) {
			t.Errorf("answer %d came %v early", r.ID, due.Sub(now))
		}
		wantReply(t, r, 0, []string{fmt.Sprintf("n%d.example. 0 A %v", r.ID, numbered(int(r.ID)))})
	}
	log := d.Log()
	if log[len(log)-1].At.Sub(log[0].At) >= step {
		return // the machine was too slow to tell
	}
	if want := []uint16{1, 5, 3, 2, 4, 0}; !slices.Equal(got, want) {
		t.Errorf("answers came as %v, want %v", got, want)
	}
}

// The same for many answers close to each other, on both transports.
func TestDNSAnswersLeaveInTheOrderTheyAreDue(t *testing.T) {
	t.Parallel()
	const queries, wait = 200, 300 * time.Millisecond
	for _, over := range []string{"udp", "tcp"} {
		d := startDNS(t, any0(t, v4))
		random := rand.New(rand.NewPCG(3, 3))
		delays := make([]time.Duration, queries)
		packets := make([][]byte, queries)
		for i := range delays {
			delays[i] = wait + time.Duration(random.IntN(100))*time.Millisecond/2
			name := fmt.Sprintf("n%d.example.", i)
			d.Set(name, netlab.Answers{A: netlab.Answer{Delay: delays[i]}})
			m := message(name, dnsmessage.TypeA)
			m.ID = uint16(i)
			packets[i] = framed(t, m)
		}
		var due []time.Time
		for _, id := range replyIDs(t, d, over, packets) {
			due = append(due, d.Log()[id].At.Add(delays[id]))
		}
		// On a slow machine answers may have left before the last query was read.
		last := d.Log()[queries-1].At
		if last.Before(slices.MinFunc(due, time.Time.Compare)) && !slices.IsSortedFunc(due, time.Time.Compare) {
			t.Errorf("over %s the answers were due at %v, in this order", over, due)
		}
	}
}

// replyIDs sends framed queries and returns the IDs of the replies as they came.
func replyIDs(t *testing.T, d *netlab.DNS, over string, packets [][]byte) (ids []uint16) {
	t.Helper()
	if over == "tcp" {
		s := dialStream(t, d)
		s.write(slices.Concat(packets...))
		for range packets {
			ids = append(ids, s.read().ID)
		}
		return ids
	}
	c := dialDNS(t, d)
	for i, p := range packets {
		_, err := c.Write(p[2:])
		must(t, err)
		if i%20 == 19 { // no more at a time than the socket's buffer holds
			eventually(t, "read", func() bool { return len(d.Log()) > i })
		}
	}
	buf := make([]byte, 512)
	for range packets {
		_, err := c.Read(buf)
		must(t, err)
		ids = append(ids, binary.BigEndian.Uint16(buf))
	}
	return ids
}

// Bytes may come as they like.
func TestDNSStreamInPieces(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("one.example", netlab.Answers{A: netlab.Answer{Addrs: addrs("192.0.2.1")}})
	s := dialStream(t, d)
	for range 2 {
		for _, b := range framed(t, message("one.example.", dnsmessage.TypeA)) {
			s.write([]byte{b})
			time.Sleep(time.Millisecond)
		}
		wantReply(t, s.read(), 0, []string{"one.example. 0 A 192.0.2.1"})
	}
}

// What is no query is passed over, and the next one has its answer.
func TestDNSStreamIgnoresWhatIsNoQuery(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	s := dialStream(t, d)
	good := message("good.example.", dnsmessage.TypeA)
	query, err := good.Pack()
	must(t, err)
	reply := good
	reply.Response = true
	answer, err := reply.Pack()
	must(t, err)
	junk := [][]byte{{}, {1}, []byte("not DNS at all"), make([]byte, 65535), answer}
	for i := range query {
		junk = append(junk, query[:i])
	}
	for _, j := range junk {
		s.write(append(binary.BigEndian.AppendUint16(nil, uint16(len(j))), j...))
	}
	s.ask(good)
	if log := d.Log(); len(log) != 1 {
		t.Errorf("log is %v, want the one query", log)
	}
}

// Who has asked and closes its side still gets its answers, and then the end.
func TestDNSHalfClosedStream(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("late.example", netlab.Answers{A: netlab.Answer{Addrs: addrs("192.0.2.1"), Delay: 50 * time.Millisecond}})
	for name, tail := range map[string][]byte{"whole": nil, "half a length": {0}, "half a message": {0, 20, 1, 2, 3}} {
		s := dialStream(t, d)
		s.write(append(framed(t, message("late.example.", dnsmessage.TypeA)), tail...))
		must(t, s.c.(*net.TCPConn).CloseWrite())
		wantReply(t, s.read(), 0, []string{"late.example. 0 A 192.0.2.1"})
		if _, err := s.c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the answer comes %v, want the end", name, err)
		}
	}
}

// Each transport carries what fits, to the byte: a datagram of IPv4, and what the
// length before a message can say.
func TestDNSLongAnswers(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	const kind = dnsmessage.Type(65280)
	m := message("big.example.", kind)
	m.Additionals = []dnsmessage.Resource{option(t, 65535)}
	const around = 12 + 17 + 12 + 11 // header, question, the record before its data, OPT
	for size, fits := range map[int]map[string]bool{
		65507: {"udp": true, "tcp": true},
		65508: {"udp": false, "tcp": true},
		65535: {"udp": false, "tcp": true},
		65536: {"udp": false, "tcp": false},
	} {
		d.Set("big.example", netlab.Answers{Other: map[dnsmessage.Type]netlab.Answer{kind: {Raw: [][]byte{make([]byte, size-around)}}}})
		for over, r := range map[string]dnsmessage.Message{"udp": exchange(t, dialDNS(t, d), m), "tcp": dialStream(t, d).ask(m)} {
			if r.Truncated == fits[over] || (len(r.Answers) == 1) != fits[over] {
				t.Errorf("%d bytes over %s: truncated %v with %d records, want it to fit: %v", size, over, r.Truncated, len(r.Answers), fits[over])
			}
		}
	}
}

func TestDNSTruncateForGoResolver(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	d.Set("cut.example", netlab.Answers{A: netlab.Answer{Addrs: addrs("192.0.2.1"), Truncate: true}})
	d.Set("many.example", netlab.Answers{AAAA: netlab.Answer{Addrs: slices.Repeat(addrs("2001:db8::1"), 1000)}})
	wantAddrs(t, d, "ip4", "cut.example.", addrs("192.0.2.1"))
	wantAddrs(t, d, "ip6", "many.example.", slices.Repeat(addrs("2001:db8::1"), 1000))
	var over []string
	for _, q := range d.Log() {
		over = append(over, q.Type+" "+q.Over)
	}
	if want := []string{"A udp", "A tcp", "AAAA udp", "AAAA tcp"}; !slices.Equal(over, want) {
		t.Errorf("log has %v, want %v", over, want)
	}
}

// The server has room for 1000 connections, and for another once one has ended.
// Not parallel: it takes 2000 descriptors.
func TestDNSBoundsItsConnections(t *testing.T) {
	d := startDNS(t, any0(t, v4))
	d.Set("one.example", netlab.Answers{A: netlab.Answer{Addrs: addrs("192.0.2.1")}})
	const room = 1000
	needDescriptors(t, 2*room+100)
	query := message("one.example.", dnsmessage.TypeA)
	all := make([]*stream, room)
	for i := range all {
		all[i] = dialStream(t, d)
		all[i].ask(query)
	}
	// A reset may come so soon that connect sees it.
	served := func() (answered bool, err error) {
		c, err := dial(t, d.Addr(), patience)
		if err != nil {
			return false, err
		}
		defer c.Close()
		must(t, c.SetDeadline(time.Now().Add(patience)))
		if _, err = c.Write(framed(t, query)); err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		return err == nil, err
	}
	if answered, err := served(); answered || !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("connection %d: %v, want a reset", room+1, err)
	}
	must(t, all[0].c.Close())
	eventually(t, "room for another", func() bool {
		answered, _ := served()
		return answered
	})
	all[room-1].ask(query)
}

// A client that reads no answers is not listened to for ever.
func TestDNSStuckClientIsNotServed(t *testing.T) {
	t.Parallel()
	d := startDNS(t, any0(t, v4))
	s := dialStuck(t, d)
	wantReply(t, ask(t, d, "other.example.", dnsmessage.TypeA), dnsmessage.RCodeNameError, nil)
	must(t, d.Close())
	if _, err := io.Copy(io.Discard, s.c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the stuck connection ended with %v, want a reset", err)
	}
}

// dialStuck returns a client with more answers to come than the connection holds,
// as soon as no query is read any more.
func dialStuck(t *testing.T, d *netlab.DNS) *stream {
	t.Helper()
	const kind, queries = dnsmessage.Type(65281), 1000
	d.Set("stuck.example", netlab.Answers{Other: map[dnsmessage.Type]netlab.Answer{kind: {Raw: [][]byte{make([]byte, 65000)}}}})
	s := dialStream(t, d)
	must(t, s.c.(*net.TCPConn).SetReadBuffer(4096))
	s.write(slices.Repeat(framed(t, message("stuck.example.", kind)), queries))
	asked := func() (n int) {
		for _, q := range d.Log() {
			if q.From.String() == s.c.LocalAddr().String() {
				n++
			}
		}
		return n
	}
	var before int
	eventually(t, "no query is read any more", func() bool {
		before = asked()
		time.Sleep(100 * time.Millisecond)
		return before > 0 && asked() == before
	})
	if before == queries {
		t.Fatalf("all %d queries were read, with %d bytes of answers for a client that reads none", queries, 65000*queries)
	}
	return s
}

// stream is a client over TCP.
type stream struct {
	t *testing.T
	c net.Conn
}

func dialStream(t *testing.T, d *netlab.DNS) *stream {
	t.Helper()
	c := mustDial(t, d.Addr())
	must(t, c.SetDeadline(time.Now().Add(patience)))
	return &stream{t: t, c: c}
}

func (s *stream) ask(m dnsmessage.Message) dnsmessage.Message {
	s.t.Helper()
	s.write(framed(s.t, m))
	r := s.read()
	if !r.Response || r.ID != m.ID {
		s.t.Fatalf("reply has header %+v, want a response to ID %d", r.Header, m.ID)
	}
	return r
}

func (s *stream) write(b []byte) {
	s.t.Helper()
	_, err := s.c.Write(b)
	must(s.t, err)
}

func (s *stream) read() (r dnsmessage.Message) {
	s.t.Helper()
	must(s.t, r.Unpack(s.readRaw()))
	return r
}

func (s *stream) readRaw() []byte {
	s.t.Helper()
	var length [2]byte
	_, err := io.ReadFull(s.c, length[:])
	must(s.t, err)
	packet := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err = io.ReadFull(s.c, packet)
	must(s.t, err)
	return packet
}

// framed is a message with its length before it.
func framed(t *testing.T, m dnsmessage.Message) []byte {
	t.Helper()
	packet, err := m.Pack()
	must(t, err)
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
}
