package connect

import (
	"net"
	"os"

	"github.com/connrace/connrace/internal/rawsock"
)

// Take hands out the winner's connection and closes all others.
func (a *raw) Take(id int) net.Conn {
	if a.crew != nil {
		return a.crew.take(id)
	}
	if id >= len(a.flights) || !a.flights[id].held {
		return nil
	}
	f := &a.flights[id]
	f.held = false // drop leaves it alone
	a.taken = true
	a.drop()
	conn, err := a.extract(f)
	if err != nil {
		return nil
	}
	if conn.RemoteAddr() == nil {
		return forgotten{conn.(*net.TCPConn), net.TCPAddrFromAddrPort(f.to)}
	}
	return conn
}

// forgotten is a connection that was reset before it was handed out, so that a kernel
// no longer knows whom it was to. Its first use tells.
type forgotten struct {
	*net.TCPConn

	peer net.Addr
}

// RemoteAddr is that of the peer.
func (c forgotten) RemoteAddr() net.Addr { return c.peer }

// extract takes a connection out of the poller.
func (a *raw) extract(f *flight) (net.Conn, error) {
	fd := a.poller.detach(f.socket)
	f.socket = none
	a.open--
	if info, known := tcpInfo(fd); known && info.State == tcpEstablished {
		_ = pendingError(fd) // what the network said during the handshake must not fail what comes after it
	}
	a.poller.spend()
	defer func() { _ = a.poller.reserve() }() // else the next race has none to spare
	file := os.NewFile(uintptr(fd), "tcp")
	defer func() { _ = file.Close() }() // FileConn has a descriptor of its own
	conn, err := net.FileConn(file)
	if descriptorsAreOut(err) { // somebody was faster to take the spare one
		a.poller.shed()
		a.engine.Close()
		conn, err = net.FileConn(file)
	}
	if err != nil && !a.race.Polite {
		rawsock.Dissolve(fd)
	}
	return conn, err
}

// drop closes connections that nobody takes.
func (a *raw) drop() {
	for id := range a.flights {
		a.lose(&a.flights[id])
	}
}

// lose closes a connection if it is held for Take.
func (a *raw) lose(f *flight) {
	if f.held {
		f.held = false
		a.letGo(f, true)
	}
}
