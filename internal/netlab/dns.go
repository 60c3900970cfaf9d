package netlab

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// DNS is a scripted DNS server: UDP on loopback, no recursion, no TCP. Names it
// was told about have A and AAAA records and no other type (NODATA); all other
// names do not exist (NXDOMAIN). Packets that are not a query are ignored.
// [StartDNS] makes one; the zero value is not usable.
type DNS struct {
	conn    *net.UDPConn
	work    sync.WaitGroup // the reader and the delayed answers
	release func() error

	mu      sync.Mutex
	closed  bool
	script  map[string]Answers // by key
	log     []Question
	delayed map[*time.Timer]struct{}
}

// Question is one query as it came in.
type Question struct {
	Name string    // as asked: its case is kept, and it ends with a dot
	Type string    // "A", "AAAA", "HTTPS"; "TYPE" and the number for one without a name here
	At   time.Time // when it was read
}

// StartDNS starts a server that knows no name yet. Port 0 takes any free port,
// [DNS.Addr] tells which. It is an error if the port is taken or the address is
// not one of loopback.
func StartDNS(at netip.AddrPort) (*DNS, error) {
	conn, err := loopback.listenUDP(at)
	if err != nil {
		return nil, hostError("dns", at, err)
	}
	d := &DNS{
		conn:    conn,
		script:  make(map[string]Answers),
		delayed: make(map[*time.Timer]struct{}),
	}
	d.release = sync.OnceValue(d.shut)
	d.work.Go(d.serve)
	return d, nil
}

// Addr returns the address and UDP port to send queries to.
func (d *DNS) Addr() netip.AddrPort { return addrPort(d.conn.LocalAddr()) }

// Set scripts the answers for name and replaces earlier ones; queries already
// read keep the old. The final dot and the case of name do not matter. The zero
// Answers make a name that exists and has no addresses. An answer that no
// record can carry (see [Answer]) panics.
func (d *DNS) Set(name string, a Answers) {
	a.check(name)
	a.A.Addrs = slices.Clone(a.A.Addrs)
	a.AAAA.Addrs = slices.Clone(a.AAAA.Addrs)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.script[key(name)] = a
}

// Log returns all queries so far, in the order in which they were read, those
// that are never answered too.
func (d *DNS) Log() []Question {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.log)
}

// Close ends the server. Answers still delayed never leave. It waits for the
// server's goroutines; later calls do nothing and return the same.
func (d *DNS) Close() error {
	if err := d.release(); err != nil {
		return hostError("close", d.Addr(), err)
	}
	return nil
}

func (d *DNS) shut() error {
	d.stopTimers()
	err := d.conn.Close()
	d.work.Wait()
	return err
}

func (d *DNS) stopTimers() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for t := range d.delayed {
		if t.Stop() {
			d.work.Done()
		}
	}
}

// serve reads queries until the socket is closed. Any other error is about one
// packet, not about the socket.
func (d *DNS) serve() {
	packet := make([]byte, 4096)
	for {
		n, client, err := d.conn.ReadFromUDPAddrPort(packet)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		q, err := parseQuery(packet[:n])
		if err != nil {
			continue
		}
		d.answer(q, client)
	}
}

// answer decides what q gets and sees that it leaves in time.
func (d *DNS) answer(q query, client netip.AddrPort) {
	a := d.lookup(q.question)
	if a.Drop {
		return
	}
	packet, err := q.reply(a)
	if err != nil {
		return
	}
	send := func() {
		// A client that has gone misses its answer, as it would elsewhere.
		_, _ = d.conn.WriteToUDPAddrPort(packet, client)
	}
	if a.Delay <= 0 {
		send()
		return
	}
	d.later(a.Delay, send)
}

// lookup logs the question and finds its answer in the script.
func (d *DNS) lookup(q dnsmessage.Question) Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := q.Name.String()
	d.log = append(d.log, Question{Name: name, Type: typeName(q.Type), At: time.Now()})
	a, known := d.script[key(name)]
	if !known {
		return Answer{RCode: dnsmessage.RCodeNameError}
	}
	return a.of(q.Type)
}

// later calls send after delay, unless the server is closed before.
func (d *DNS) later(delay time.Duration, send func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.work.Add(1)
	var t *time.Timer
	t = time.AfterFunc(delay, func() {
		defer d.work.Done()
		d.mu.Lock()
		delete(d.delayed, t)
		d.mu.Unlock()
		send()
	})
	d.delayed[t] = struct{}{}
}

// key is the form of a name that the script goes by.
func key(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}
