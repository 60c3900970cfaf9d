//go:build !linux

package netlab_test

import (
	"errors"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
)

func TestNeedsLinux(t *testing.T) {
	t.Parallel()
	_, err := netlab.Swallow(any0(t, v4))
	mustBe(t, err, errors.ErrUnsupported)
	_, err = netlab.Refuse(any0(t, v4))
	mustBe(t, err, errors.ErrUnsupported)
}
