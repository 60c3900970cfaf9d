package netlab

import (
	"context"
	"net"
)

// conn is an accepted connection that tells when it has been closed, by
// whichever end of the host.
type conn struct {
	*net.TCPConn

	ctx context.Context // done once closed
	end context.CancelFunc
}

func newConn(tcp *net.TCPConn) *conn {
	ctx, end := context.WithCancel(context.Background())
	return &conn{TCPConn: tcp, ctx: ctx, end: end}
}

// Close: the socket first, so that whoever ctx wakes can send nothing more.
func (c *conn) Close() error {
	defer c.end()
	return c.TCPConn.Close()
}

// reset closes c with a RST. An error means that the peer was faster.
func (c *conn) reset() {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// untilGone waits for the end of the connection without reading from it: the
// peer closes or resets it, the host does, or its read deadline passes.
func (c *conn) untilGone() {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(gone)
}

// transport returns the connection that everything above it goes through.
func transport(c net.Conn) *conn {
	for {
		switch above := c.(type) {
		case *conn:
			return above
		case interface{ NetConn() net.Conn }: // as of *tls.Conn
			c = above.NetConn()
		default:
			panic("netlab: a behaviour got a connection that no host has accepted")
		}
	}
}
