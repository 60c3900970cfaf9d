package netlab

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Accept starts a healthy server: it accepts every connection and reads from it
// until the peer closes it, then closes its own end. It is [Serve] with [Read].
func Accept(at netip.AddrPort) (*Host, error) {
	return Serve(at, Read())
}

// Serve starts a host that accepts every connection at once and does with each
// what b says. Port 0 takes any free port, [Host.Addr] tells which. It is an
// error if the port is taken, the address is not one of loopback, or b was made
// from values that make no sense.
func Serve(at netip.AddrPort, b Behaviour) (*Host, error) {
	h, err := loopback.serve(at, b)
	if err != nil {
		return nil, hostError("serve", at, err)
	}
	return h, nil
}

func (p place) serve(at netip.AddrPort, b Behaviour) (*Host, error) {
	if b.err != nil {
		return nil, b.err
	}
	ln, err := p.listen(at)
	if err != nil {
		return nil, err
	}
	server := newServer(ln)
	server.behaviour = b
	server.start()
	h := newHost(addrPort(ln.Addr()), server)
	h.server = server
	return h, nil
}

// server is who accepts behind a listener: one goroutine for the listener while
// started, and one for every open connection.
type server struct {
	ln        *net.TCPListener
	behaviour Behaviour

	// own reports whether the connection from peer is one that the host itself
	// made: those are closed and never counted. Nil means there are none.
	own func(peer netip.AddrPort) bool

	acceptor sync.WaitGroup
	serving  sync.WaitGroup

	mu       sync.Mutex
	accepted int
	conns    map[*conn]struct{} // the open ones
}

// newServer returns a server that reads; set another behaviour before start.
func newServer(ln *net.TCPListener) *server {
	return &server{ln: ln, conns: make(map[*conn]struct{})}
}

// start begins to accept. It follows newServer or stop.
func (s *server) start() {
	s.acceptor.Go(s.accept)
}

// stop ends accepting, returns when it has ended, and leaves the connections
// and the listener alone.
func (s *server) stop() error {
	if err := s.ln.SetDeadline(time.Unix(1, 0)); err != nil {
		return err
	}
	s.acceptor.Wait()
	return s.ln.SetDeadline(time.Time{})
}

func (s *server) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

func (s *server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Close resets the open connections, because a FIN from this side would keep
// the port in TIME_WAIT for a minute. The reset is also what ends every
// behaviour, whatever it waits for.
func (s *server) Close() error {
	err := s.ln.Close()
	s.acceptor.Wait()
	s.resetAll()
	s.serving.Wait()
	return err
}

func (s *server) resetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.reset()
	}
}

// accept runs until the listener is closed or stopped. It outlives a lack of
// descriptors: nothing tells when there are some again, so it looks anew.
func (s *server) accept() {
	const pause = 5 * time.Millisecond
	for {
		c, err := s.ln.AcceptTCP()
		switch {
		case err == nil:
			s.take(newConn(c))
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return
		default:
			time.Sleep(pause)
		}
	}
}

// take counts a connection and serves it in a goroutine of its own.
func (s *server) take(c *conn) {
	if s.own != nil && s.own(addrPort(c.RemoteAddr())) {
		c.reset()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted++
	s.conns[c] = struct{}{}
	s.serving.Go(func() { s.serve(c) })
}

func (s *server) serve(c *conn) {
	s.behaviour.run(c.ctx, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	_ = c.Close()
}

// addrPort turns the address of one of our sockets into its netip form.
func addrPort(a net.Addr) netip.AddrPort {
	ap := a.(interface{ AddrPort() netip.AddrPort }).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
