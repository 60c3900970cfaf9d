package netlab

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"time"
)

// maxConns is how many connections a server has open at a time.
const maxConns = 1000

// accept runs until the listener is closed. It outlives a lack of descriptors:
// nothing tells when there are some again, so it looks anew.
func (d *DNS) accept() {
	const pause = 5 * time.Millisecond
	for {
		c, err := d.tcp.AcceptTCP()
		switch {
		case err == nil:
			d.take(newConn(c))
		case errors.Is(err, net.ErrClosed):
			return
		default:
			time.Sleep(pause)
		}
	}
}

// take starts the two goroutines of a connection, or resets it.
func (d *DNS) take(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.conns) >= maxConns {
		c.reset()
		return
	}
	out := newOutbox(func(m mail) error { return writeMessage(c, m.packet) })
	d.conns[c] = out
	d.work.Go(func() {
		out.run()
		d.hangUp(c)
	})
	d.work.Go(func() { d.readTCP(c, out) })
}

// hangUp closes a connection that needs no more answers. Its reader, if it still
// reads, ends with it.
func (d *DNS) hangUp(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
	_ = c.Close()
}

// resetAll ends the connections, and there will be no more. A FIN from this side
// would keep the port in TIME_WAIT for a minute.
func (d *DNS) resetAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for c, out := range d.conns {
		out.stop()
		c.reset()
	}
}

// readTCP reads queries until the client sends no more. What it has asked for by
// then is still answered (RFC 7766 section 6.2.4), unless the connection broke.
// While the client doesn't read its answers, it is not listened to either.
func (d *DNS) readTCP(c *conn, out *outbox) {
	from := addrPort(c.RemoteAddr())
	err := eachMessage(c, func(message []byte) bool {
		return d.hear(message, overTCP, from, out)
	})
	if err == nil {
		out.finish()
	} else {
		out.stop()
	}
}

// eachMessage calls f for every message of a stream until f returns false. The
// error is nil where the stream ends, even in the middle of a message. The bytes
// are f's until it returns.
func eachMessage(stream io.Reader, f func(message []byte) bool) error {
	var length [2]byte
	var buf []byte
	for {
		_, err := io.ReadFull(stream, length[:])
		if err == nil {
			n := int(binary.BigEndian.Uint16(length[:]))
			buf = slices.Grow(buf[:0], n)[:n]
			_, err = io.ReadFull(stream, buf)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		case !f(buf):
			return nil
		}
	}
}

// writeMessage sends length and message in one go (RFC 7766 section 8).
func writeMessage(stream io.Writer, message []byte) error {
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(message)))
	_, err := stream.Write(append(framed, message...))
	return err
}
