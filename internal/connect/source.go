package connect

import (
	"net/netip"
	"syscall"
)

// sourceError is why an attempt cannot leave from where it should. It is this host's
// trouble, whatever the errno would be otherwise.
type sourceError struct {
	text  string        // what to do next included
	errno syscall.Errno // 0: this system cannot do it at all
}

func (e *sourceError) Error() string { return e.text }

// address is what a socket of the family is bound to; invalid: nothing.
func (s Source) address(family int) netip.Addr {
	if family == 1 {
		return s.IPv6
	}
	return s.IPv4.Unmap()
}
