package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// DNS is a scripted DNS server over UDP and TCP, at one port. It does not ask
// others: names it was told about answer as scripted, and all other names do not
// exist (NXDOMAIN). Messages that are not a query are ignored. [StartDNS] makes
// one; the zero value is not usable.
//
// The server takes 1000 TCP connections at a time and resets further ones. They
// may be as idle as they like; Close resets those that are left.
type DNS struct {
	udp     *net.UDPConn
	tcp     *net.TCPListener
	work    sync.WaitGroup // all goroutines
	release func() error

	mu     sync.Mutex
	closed bool
	script script
	log    []Question
	conns  map[*conn]*outbox // the open ones, and what they still have to get
}

// Question is one query as it came in.
type Question struct {
	Name string         // as asked: its case is kept, and it ends with a dot
	Type string         // "A", "AAAA", "HTTPS"; "TYPE" and the number for one without a name here
	Over string         // "udp" or "tcp"
	From netip.AddrPort // the client
	At   time.Time      // when it was read
}

// StartDNS starts a server on loopback that knows no name yet. Port 0 takes any
// that is free for UDP and TCP, [DNS.Addr] tells which. It is an error if the
// port is taken for one of them or the address is not one of loopback.
func StartDNS(at netip.AddrPort) (*DNS, error) { return loopback.startDNS(at) }

// startDNS is StartDNS in any place.
func (p place) startDNS(at netip.AddrPort) (*DNS, error) {
	udp, tcp, err := p.listenBoth(at)
	if err != nil {
		return nil, hostError("dns", at, err)
	}
	d := &DNS{udp: udp, tcp: tcp, script: make(script), conns: make(map[*conn]*outbox)}
	d.release = sync.OnceValue(d.shut)
	d.serveUDP()
	d.work.Go(d.accept)
	return d, nil
}

// Addr returns the address and port to send queries to, over UDP and TCP.
func (d *DNS) Addr() netip.AddrPort { return addrPort(d.udp.LocalAddr()) }

// Set scripts the answers for name and replaces earlier ones; queries already
// read keep the old. The final dot and the case of name do not matter. The zero
// Answers make a name that exists and has no records. Set keeps nothing of a: it
// may be changed later. Answers that do not pass [Answers.Check] panic, because a
// test that went on would blame what it tests.
func (d *DNS) Set(name string, a Answers) {
	if err := a.Check(name); err != nil {
		panic(fmt.Sprintf("netlab: Set(%q): %v", name, err))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.script.set(name, a)
}

// Log returns all queries so far, in the order in which they were read, those
// that are never answered too.
func (d *DNS) Log() []Question {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.log)
}

// Close ends the server. Answers still delayed never leave, and connections are
// reset. It waits for the server's goroutines; later calls do nothing and return
// the same.
func (d *DNS) Close() error {
	if err := d.release(); err != nil {
		return hostError("close", d.Addr(), err)
	}
	return nil
}

// portTriesBoth bounds the search for a port that both have free: with half of the
// TCP ports taken, one search in a million would fail.
const portTriesBoth = 20

// listenBoth opens both sockets at one port.
func (p place) listenBoth(at netip.AddrPort) (udp *net.UDPConn, tcp *net.TCPListener, err error) {
	for range portTriesBoth {
		udp, tcp, err = p.tryBoth(at)
		if at.Port() != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return udp, tcp, err
}

// tryBoth has the port that UDP got for TCP too, or neither.
func (p place) tryBoth(at netip.AddrPort) (*net.UDPConn, *net.TCPListener, error) {
	udp, err := p.listenUDP(at)
	if err != nil {
		return nil, nil, err
	}
	tcp, err := p.listen(addrPort(udp.LocalAddr()))
	if err != nil {
		_ = udp.Close()
		return nil, nil, err
	}
	return udp, tcp, nil
}

func (d *DNS) shut() error {
	err := errors.Join(d.udp.Close(), d.tcp.Close())
	d.resetAll()
	d.work.Wait()
	return err
}

// serveUDP starts the two goroutines of the UDP socket.
func (d *DNS) serveUDP() {
	out := newOutbox(func(m mail) error {
		// A client that has gone misses its answer, as it would elsewhere.
		_, _ = d.udp.WriteToUDPAddrPort(m.packet, m.to)
		return nil
	})
	d.work.Go(out.run)
	d.work.Go(func() {
		defer out.stop()
		d.readUDP(out)
	})
}

// readUDP reads queries until the socket is closed. Any other error is about one
// packet, not about the socket.
func (d *DNS) readUDP(out *outbox) {
	packet := make([]byte, streamSize)
	for {
		n, from, err := d.udp.ReadFromUDPAddrPort(packet)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		d.hear(packet[:n], overUDP, from, out)
	}
}

// hear takes in one message and puts the answer, if there is to be one, into
// out. It returns false when out takes no more.
func (d *DNS) hear(message []byte, over string, from netip.AddrPort, out *outbox) bool {
	q, err := parseQuery(message, over, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
	if err != nil {
		return true
	}
	answer, ok := d.answer(q)
	return !ok || out.put(answer)
}

// answer logs q and decides what it gets.
func (d *DNS) answer(q query) (m mail, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.log = append(d.log, Question{
		Name: q.question.Name.String(), Type: typeName(q.question.Type), Over: q.over, From: q.from, At: now,
	})
	packet, delay, ok := d.script.reply(q)
	return mail{due: now.Add(delay), packet: packet, to: q.from}, ok
}
