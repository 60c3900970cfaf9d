package racer

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// newWire returns the two ends of a connection in memory. Writing does not wait for
// the other end, as on a socket. Deadlines are not kept.
func newWire() (near, far *wireEnd) {
	to, fro := newHalf(), newHalf()
	return &wireEnd{in: fro, out: to}, &wireEnd{in: to, out: fro}
}

// wireEnd is one end of a wire.
type wireEnd struct{ in, out *half }

func (e *wireEnd) Read(b []byte) (int, error)       { return e.in.read(b) }
func (e *wireEnd) Write(b []byte) (int, error)      { return e.out.write(b) }
func (e *wireEnd) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (e *wireEnd) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (e *wireEnd) SetDeadline(time.Time) error      { return nil }
func (e *wireEnd) SetReadDeadline(time.Time) error  { return nil }
func (e *wireEnd) SetWriteDeadline(time.Time) error { return nil }

// Close lets the other end read what was written, and then the end of it.
func (e *wireEnd) Close() error {
	e.in.end(net.ErrClosed)
	e.out.end(io.EOF)
	return nil
}

// reset closes, and the other end reads nothing more.
func (e *wireEnd) reset() {
	e.in.end(net.ErrClosed)
	e.out.reset()
}

// half is one direction of a wire.
type half struct {
	mu   sync.Mutex
	news *sync.Cond
	data []byte
	over error // what a reader gets after the data; nil: it goes on
}

func newHalf() *half {
	h := new(half)
	h.news = sync.NewCond(&h.mu)
	return h
}

func (h *half) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.data) == 0 && h.over == nil {
		h.news.Wait()
	}
	if len(h.data) == 0 || h.over == net.ErrClosed { //nolint:errorlint // it is that itself
		return 0, &net.OpError{Op: "read", Err: h.over}
	}
	n := copy(b, h.data)
	h.data = h.data[n:]
	return n, nil
}

func (h *half) write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over != nil {
		return 0, &net.OpError{Op: "write", Err: net.ErrClosed}
	}
	h.data = append(h.data, b...)
	h.news.Broadcast()
	return len(b), nil
}

func (h *half) end(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over == nil {
		h.over = err
	}
	h.news.Broadcast()
}

func (h *half) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.data, h.over = nil, os.NewSyscallError("read", syscall.ECONNRESET)
	h.news.Broadcast()
}
