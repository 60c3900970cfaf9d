package netlab

import "net"

// single is a listener for one connection: net/http and gRPC serve listeners,
// and a host serves connections. It ends when that one is done.
type single struct {
	conn  net.Conn
	taken bool
	done  <-chan struct{}
}

// Accept is called by one goroutine only, as both do.
func (l *single) Accept() (net.Conn, error) {
	if !l.taken {
		l.taken = true
		return l.conn, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

// Close has nothing to close: the connection belongs to who took it.
func (l *single) Close() error { return nil }

func (l *single) Addr() net.Addr { return l.conn.LocalAddr() }
