//go:build linux

package netlab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Swallow starts a host where every SYN vanishes, as in a black hole: a
// listener with backlog 0 whose accept queue is full, so that the kernel drops
// further SYNs without an answer. It takes some 20 ms, most of them to prove
// that a connect hangs. Port 0 takes any free port. It is an error if the port
// is taken or the address is not one of loopback. On systems other than Linux
// the error wraps [errors.ErrUnsupported].
func Swallow(at netip.AddrPort) (*Host, error) {
	h, err := loopback.swallow(at)
	if err != nil {
		return nil, hostError("swallow", at, err)
	}
	return h, nil
}

func (p place) swallow(at netip.AddrPort) (*Host, error) {
	hole, err := newHole(p, at)
	if err != nil {
		return nil, err
	}
	if err := hole.refill(); err != nil {
		_ = hole.Close()
		return nil, err
	}
	h := newHost(hole.addr, hole)
	h.server, h.hole = hole.server, hole
	return h, nil
}

// The kernel's accept queue takes one connection more than its backlog, so one
// filler is the rule; the others are for clients of the host that give up their
// place in mid-fill.
const maxFillers = 8

const (
	// hangWait is how long a connect must stay without an answer to count as
	// hanging. On loopback an answer takes well below 1 ms.
	hangWait = 20 * time.Millisecond

	// fillLimit ends the wait for an answer that should come: it is long for a
	// busy machine and short of the 1 s at which the kernel repeats a SYN.
	fillLimit = 900 * time.Millisecond
)

// hole is a listener whose accept queue is full until it is drained.
type hole struct {
	place   place
	addr    netip.AddrPort
	server  *server
	fillers fillers

	mu      sync.Mutex // one of drain, refill and Close at a time
	drained bool       // the server accepts
}

func newHole(p place, at netip.AddrPort) (*hole, error) {
	s, err := p.bind(at)
	if err != nil {
		return nil, err
	}
	ln, err := s.listener(0)
	if err != nil {
		return nil, err
	}
	h := &hole{place: p, addr: addrPort(ln.Addr()), server: newServer(ln)}
	h.server.own = h.fillers.remove
	return h, nil
}

// drain lets the queue grow and has the server empty it.
func (h *hole) drain() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.listen(unix.SOMAXCONN); err != nil {
		return err
	}
	if !h.drained {
		h.server.start()
		h.drained = true
	}
	return nil
}

// refill stops the server and fills the queue. A queue that is already full
// stays so.
func (h *hole) refill() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.listen(0); err != nil {
		return err
	}
	if h.drained {
		if err := h.server.stop(); err != nil {
			return err
		}
		h.drained = false
	}
	return h.fill()
}

// Close is the end of the server, the queue and the fillers.
func (h *hole) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.server.Close(), h.fillers.Close())
}

// listen sets the backlog: Linux takes a second listen on the same socket as
// just that.
func (h *hole) listen(backlog int) error {
	return h.control(func(fd int) error {
		return os.NewSyscallError("listen", unix.Listen(fd, backlog))
	})
}

// fill connects until one connect hangs. The one that hangs is the proof and is
// closed: were it left, it would be accepted when the queue is drained.
func (h *hole) fill() error {
	for range maxFillers {
		s, err := h.place.connect(h.addr)
		if err != nil {
			return err
		}
		hangs, err := h.hangs(s)
		switch {
		case err != nil:
			return errors.Join(err, s.Close())
		case hangs:
			return s.Close()
		}
		if err := h.fillers.add(s); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	return fmt.Errorf("the accept queue still takes connections after %d of them; this needs Linux's own TCP (no gVisor), and no clients while it fills", maxFillers)
}

// hangs reports whether the connect of s stays without an answer. Time alone
// can't tell on a busy machine: the kernel must also say that the queue is full.
func (h *hole) hangs(s socket) (bool, error) {
	for deadline := time.Now().Add(fillLimit); time.Now().Before(deadline); {
		connected, err := s.connected(hangWait)
		if err != nil || connected {
			return false, err
		}
		full, err := h.full()
		if err != nil {
			return false, err
		}
		if full {
			// It may be full of s itself, connected since the last look.
			connected, err = s.connected(0)
			return !connected, err
		}
	}
	return false, fmt.Errorf("a connect has no answer after %v and the accept queue is not full; run it on a less busy machine", fillLimit)
}

// full asks the kernel. Of a listener tcpi_unacked is the length of the accept
// queue and tcpi_sacked its backlog; the queue is full beyond the backlog.
func (h *hole) full() (bool, error) {
	var info *unix.TCPInfo
	err := h.control(func(fd int) (err error) {
		info, err = unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		return os.NewSyscallError("getsockopt", err)
	})
	if err != nil {
		return false, err
	}
	return info.Unacked > info.Sacked, nil
}

// control calls f with the listener's descriptor. After Close the error is
// net.ErrClosed.
func (h *hole) control(f func(fd int) error) error {
	raw, err := h.server.ln.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	err = raw.Control(func(fd uintptr) { ferr = f(int(fd)) })
	return errors.Join(err, ferr)
}
