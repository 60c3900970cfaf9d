package stage

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// witness is a connection lent to a protocol's code. It remembers why reading or
// writing failed, which such code tells only in words, and does not let it close the
// connection.
type witness struct {
	net.Conn

	reading, writing sync.Mutex // held by the one who does

	mu       sync.Mutex
	err      error // the first one, or rather one that has an errno
	returned bool
}

// Read notes an error.
func (w *witness) Read(b []byte) (int, error) {
	w.reading.Lock()
	defer w.reading.Unlock()
	n, err := w.Conn.Read(b)
	w.note(err)
	return n, err
}

// Write notes an error.
func (w *witness) Write(b []byte) (int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	n, err := w.Conn.Write(b)
	w.note(err)
	return n, err
}

// note keeps what tells most: of a reader and a writer the kernel tells only one of a
// reset, and the other one that the connection has ended.
func (w *witness) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && !w.returned || hasErrno(err) && !hasErrno(w.err) {
		w.err = err
	}
}

func hasErrno(err error) bool {
	_, ok := errors.AsType[syscall.Errno](err)
	return ok
}

// broken is why the connection failed; nil: it has not. It waits for those who read and
// write, who end at Close.
func (w *witness) broken() error {
	w.reading.Lock()
	defer w.reading.Unlock()
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.err
}

// Close gives the connection back: reading and writing end at once and for good, and it
// stays open.
func (w *witness) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.returned = true
	return w.SetDeadline(time.Unix(1, 0))
}
