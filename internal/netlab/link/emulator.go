package link

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Config describes a link. The zero value is usable.
type Config struct {
	// Seed is the luck of loss and jitter: with the same seed and the same packets
	// the same ones are lost. Any value, default 0.
	Seed uint64 `json:"seed"`

	// Router4 and Router6 are who sends the ICMP errors that a router sends. An
	// address that is missing is stood in for by the server's.
	Router4 netip.Addr `json:"router4"`
	Router6 netip.Addr `json:"router6"`
}

// Check returns all that is wrong with c, or nil.
func (c Config) Check() error {
	var errs []error
	if c.Router4.IsValid() && !c.Router4.Is4() {
		errs = append(errs, fmt.Errorf("Router4 is %v; it must be an IPv4 address, or none", c.Router4))
	}
	if c.Router6.IsValid() && (!c.Router6.Is6() || c.Router6.Is4In6()) {
		errs = append(errs, fmt.Errorf("Router6 is %v; it must be an IPv6 address, or none", c.Router6))
	}
	return errors.Join(errs...)
}

// Emulator is a link. [New] makes one. It belongs to one goroutine.
type Emulator struct {
	cfg     Config
	routes  map[netip.Addr]*route
	nowhere *route // where addresses are that nobody has set
	flows   flows
	queues  [2]queue // by the side they lead to
	journal journal
	late    lateness
	frame   frame
	forger  forger
}

// New makes a link without any server address: each is unreachable. It panics if
// cfg.Check finds something.
func New(cfg Config) *Emulator {
	if err := cfg.Check(); err != nil {
		panic(err)
	}
	e := &Emulator{
		cfg:     cfg,
		routes:  make(map[netip.Addr]*route),
		nowhere: newRoute(cfg.Seed, netip.IPv6Unspecified()),
		flows:   newFlows(),
		forger:  forger{gopacket.NewSerializeBuffer()},
	}
	e.nowhere.set(Path{State: HostUnreachable})
	return e
}

// Set sets the path to a server address, from now on: what is on its way keeps
// its time, and LoseSYN counts anew. The error is that of [Path.Check].
func (e *Emulator) Set(addr netip.Addr, p Path) error {
	if err := p.Check(addr); err != nil {
		return fmt.Errorf("link: path to %v: %w", addr, err)
	}
	addr = addr.Unmap().WithZone("")
	r, known := e.routes[addr]
	if !known {
		r = newRoute(e.cfg.Seed, addr)
		e.routes[addr] = r
	}
	r.set(p)
	return nil
}

// Arrive takes a frame that one side sent at now, and settles its fate. The frame
// remains the caller's.
//
// What is not IP, multicast, and the discovery of neighbours and routers is
// dropped without being logged: it doesn't leave a network.
func (e *Emulator) Arrive(now time.Duration, from Side, raw []byte) {
	f := &e.frame
	if !f.decode(raw) {
		return
	}
	r := e.route(from)
	l := r.ways[from].draw()
	var fate Fate
	if from == Client {
		fate = r.there(f, l)
	} else {
		fate = r.back(l)
	}
	if fate == Underway && e.queues[from.peer()].full(len(raw)) {
		fate = Overflowed
	}
	kind := e.kind(from)
	if kind == Established && fate == Underway {
		e.flows.complete(f.flow(from))
	}
	place := e.journal.add(Packet{Sent: now, By: from, From: f.from(), To: f.to(), Kind: kind, Fate: fate})
	switch fate {
	case Underway:
		e.queues[from.peer()].push(r.due(now, from, l), raw, place)
	case Rejected:
		e.answer(r, r.due(now, from, l))
	}
}

// route returns where the frame goes, or comes from.
func (e *Emulator) route(from Side) *route {
	server := e.frame.dst
	if from == Server {
		server = e.frame.src
	}
	if r, known := e.routes[server]; known {
		return r
	}
	return e.nowhere
}

// kind names the frame; it has none if it is not to be logged.
func (e *Emulator) kind(from Side) Kind {
	switch f := &e.frame; f.transport {
	case layers.LayerTypeTCP:
		return e.flows.kind(f, from)
	case layers.LayerTypeUDP:
		return UDP
	default:
		if s, ok := f.unreachable(); ok {
			return icmp(s)
		}
	}
	return ""
}

// answer sends back what the frame of the client is answered with, at the time
// when it would have got there.
func (e *Emulator) answer(r *route, at time.Duration) {
	f := &e.frame
	p := Packet{Sent: at, By: Server, From: f.to(), To: f.from(), Kind: RST, Fate: Underway, Forged: true}
	var raw []byte
	if k, ok := kindOfState(r.path.State); ok {
		var src netip.Addr
		raw, src = e.forger.unreachable(f, k, e.router())
		p.Kind, p.From, p.To = icmp(k.state), netip.AddrPortFrom(src, 0), netip.AddrPortFrom(f.src, 0)
		p.About = f.to()
	} else {
		raw = e.forger.reset(f)
	}
	l := r.ways[Server].draw()
	switch {
	case l.loses(r.path):
		p.Fate = Lost
	case e.queues[Client].full(len(raw)):
		p.Fate = Overflowed
	}
	place := e.journal.add(p)
	if p.Fate == Underway {
		e.queues[Client].push(r.due(at, Server, l), raw, place)
	}
}

func (e *Emulator) router() netip.Addr {
	if e.frame.dst.Is4() {
		return e.cfg.Router4
	}
	return e.cfg.Router6
}

// Next returns when the next frame is due to leave; it may be past. ok is false
// if none is on its way.
func (e *Emulator) Next() (due time.Duration, ok bool) {
	if w := e.queues[e.next()].first(); w != nil {
		return w.due, true
	}
	return 0, false
}

// next is the side that has the next frame, if there is one.
func (e *Emulator) next() Side {
	client, server := e.queues[Client].first(), e.queues[Server].first()
	if client == nil || server != nil && server.due < client.due {
		return Server
	}
	return Client
}

// ErrBusy is what the function given to [Emulator.Leave] returns to keep a frame
// for later.
var ErrBusy = errors.New("link: no room to send")

// Leave hands the next frame to send, if it is due at now, and reports whether it
// has left: while it does, there may be more. The frame is send's until it
// returns. If send returns [ErrBusy] the frame stays, and those to its side with
// it; the other side's go on. With another error it is lost.
func (e *Emulator) Leave(now time.Duration, send func(to Side, frame []byte) error) bool {
	to := e.next()
	return e.leave(now, to, send) || e.leave(now, to.peer(), send)
}

func (e *Emulator) leave(now time.Duration, to Side, send func(to Side, frame []byte) error) bool {
	w := e.queues[to].first()
	if w == nil || w.due > now {
		return false
	}
	switch err := send(to, w.frame); {
	case errors.Is(err, ErrBusy):
		return false
	case err != nil:
		e.journal.settle(w.place, Lost, 0)
	default:
		e.journal.settle(w.place, Delivered, now)
		e.late.add(now - w.due)
	}
	e.queues[to].pop()
	return true
}

// Packets returns the log up to now, in the order in which the packets were sent,
// and how many more there were for which it has no room. It has room for a
// million.
func (e *Emulator) Packets(now time.Duration) (packets []Packet, leftOut int) {
	packets = e.journal.page(0, e.journal.length, now)
	sortBySent(packets)
	return packets, e.journal.leftOut
}

// Lateness returns how long after their time frames have left, oldest first: of
// the last 100,000.
func (e *Emulator) Lateness() []time.Duration {
	values, _ := e.late.page(0, e.late.total, maxLateness)
	return values
}
