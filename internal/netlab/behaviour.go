package netlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Behaviour is what a host does with each connection it has accepted: [Read],
// [Hang], [Reset], [Garbage], [HTTP], [Health], [TLS] with any of these inside,
// [StallTLS] or [StallTLSMidway]. The zero value is [Read]. A Behaviour may
// serve several hosts.
type Behaviour struct {
	// serve returns when it is done with c, which is then closed, or when c has
	// been closed; ctx is done from then on. All it started has ended as well.
	serve func(ctx context.Context, c net.Conn)

	err error // what is wrong with the values it was made from
}

func (b Behaviour) run(ctx context.Context, c net.Conn) {
	if b.serve == nil {
		b = Read()
	}
	b.serve(ctx, c)
}

// Read reads until the peer closes the connection, then closes its own end. It
// sends nothing.
func Read() Behaviour {
	return Behaviour{serve: func(_ context.Context, c net.Conn) { drain(c) }}
}

// Hang neither reads nor writes, as a program that got stuck after accept: what
// the peer sends fills the kernel's buffers, then its writes block. On Linux the
// host lets go of a connection that the peer has closed; elsewhere it cannot
// know, and keeps it until [Host.Close].
func Hang() Behaviour {
	return Behaviour{serve: func(_ context.Context, c net.Conn) { transport(c).untilGone() }}
}

// Reset reads nothing and resets the connection after that time. With 0 it does
// so at once, which may be before the client has learned that it is connected:
// then its connect fails.
func Reset(after time.Duration) Behaviour {
	if after < 0 {
		return Behaviour{err: fmt.Errorf("reset after %v: must not be negative; 0 resets at once", after)}
	}
	return Behaviour{serve: func(_ context.Context, c net.Conn) {
		tcp := transport(c)
		if after > 0 && tcp.SetReadDeadline(time.Now().Add(after)) == nil {
			tcp.untilGone()
		}
		tcp.reset()
	}}
}

// Garbage waits for the peer's first bytes and answers with some that are
// neither TLS nor HTTP nor gRPC, in a way that each of them notices at once.
// Then it reads until the peer closes the connection.
func Garbage() Behaviour {
	return Behaviour{serve: func(_ context.Context, c net.Conn) {
		if _, err := c.Read(make([]byte, 1)); err != nil {
			return
		}
		_, _ = io.WriteString(c, garbage)
		drain(c)
	}}
}

// garbage: TLS has no record of type 0xde, HTTP/2 no frame of 0xdeadbe bytes,
// and HTTP/1 no such first line; the line must end for HTTP/1 to see that.
const garbage = "\xde\xad\xbe\xef\xff\xfe no protocol anybody knows \x00\r\n\r\n"

// drain reads until the peer closes: by FIN or by RST is the same to a host.
func drain(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// within says in which part of a behaviour the mistakes were made.
func within(part string, mistakes ...error) error {
	if err := errors.Join(mistakes...); err != nil {
		return fmt.Errorf("%s: %w", part, err)
	}
	return nil
}
