//go:build linux

package netlab

import (
	"errors"
	"net/netip"
	"sync"
)

// fillers are the client ends of the connections that fill an accept queue, by
// the address they connect from. The zero value is empty.
type fillers struct {
	mu      sync.Mutex
	sockets map[netip.AddrPort]socket
}

// add takes over s.
func (f *fillers) add(s socket) error {
	addr, err := s.localAddr()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sockets == nil {
		f.sockets = make(map[netip.AddrPort]socket)
	}
	f.sockets[addr] = s
	return nil
}

// remove closes the filler that connects from addr and reports whether there is
// one. A filler's port is its own until then, so no client has it.
func (f *fillers) remove(addr netip.AddrPort) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.sockets[addr]
	if ok {
		delete(f.sockets, addr)
		_ = s.Close()
	}
	return ok
}

// Close closes all of them.
func (f *fillers) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for addr, s := range f.sockets {
		delete(f.sockets, addr)
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
