//go:build !linux

package netlab

import (
	"errors"
	"fmt"
	"net/netip"
)

var errNeedsLinux = fmt.Errorf("%w: this needs Linux; run it there or in a Linux container, or skip it", errors.ErrUnsupported)

// Refuse needs Linux: elsewhere it returns an error that wraps
// [errors.ErrUnsupported].
func Refuse(at netip.AddrPort) (*Host, error) {
	return nil, hostError("refuse", at, errNeedsLinux)
}

// Swallow needs Linux: elsewhere it returns an error that wraps
// [errors.ErrUnsupported].
func Swallow(at netip.AddrPort) (*Host, error) {
	return nil, hostError("swallow", at, errNeedsLinux)
}
