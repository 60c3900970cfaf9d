//go:build unix

package admit

import (
	"syscall"
	"testing"
)

func TestDescriptorsRaisesTheLimit(t *testing.T) {
	var was, is syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	low := was
	low.Cur = 200
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}()

	limit, err := Descriptors()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &is); err != nil {
		t.Fatal(err)
	}
	if is.Cur != was.Max {
		t.Errorf("the limit is %d, not raised to %d", is.Cur, was.Max)
	}
	if want := spare(uint64(was.Max)); limit != want { //nolint:unconvert // signed on some systems
		t.Errorf("Descriptors() = %d, want %d", limit, want)
	}
}
