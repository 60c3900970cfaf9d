//go:build linux

package netlab_test

import (
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
)

// Not parallel, so that nobody else opens anything: the parallel tests wait.
func TestCloseFreesEverything(t *testing.T) {
	for _, c := range []struct {
		name string
		live func(t *testing.T)
	}{
		{"accept", func(t *testing.T) {
			h := start(t, netlab.Accept, any0(t, v4))
			for range 5 {
				mustDial(t, h.Addr())
			}
			eventually(t, "accepted", func() bool { return h.Accepted() == 5 })
		}},
		{"accept, closed before it has accepted", func(t *testing.T) {
			h := start(t, netlab.Accept, any0(t, v4))
			mustDial(t, h.Addr())
		}},
		{"refuse", func(t *testing.T) {
			start(t, netlab.Refuse, any0(t, v4))
		}},
		{"swallow", func(t *testing.T) {
			start(t, netlab.Swallow, any0(t, v4b))
		}},
		{"swallow and drain", func(t *testing.T) {
			h := start(t, netlab.Swallow, any0(t, v4b))
			must(t, h.Drain())
			mustDial(t, h.Addr())
			must(t, h.Refill())
			must(t, h.Drain())
		}},
		{"port taken", func(t *testing.T) {
			at := start(t, netlab.Accept, any0(t, v4)).Addr()
			for _, behave := range []func(netip.AddrPort) (*netlab.Host, error){
				netlab.Accept, netlab.Refuse, netlab.Swallow,
			} {
				if _, err := behave(at); err == nil {
					t.Error("two hosts on one port")
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Run("warm up", c.live) // Go's poller and the like open once
			before := resources(t)
			t.Run("round", func(t *testing.T) {
				for range 5 {
					c.live(t)
				}
			})
			eventually(t, "no more descriptors and goroutines than before", func() bool {
				now := resources(t)
				return now.descriptors <= before.descriptors && now.goroutines <= before.goroutines
			})
		})
	}
}

// Not parallel either. A child of the process inherits nothing of a host.
func TestDescriptorsCloseOnExec(t *testing.T) {
	start(t, netlab.Refuse, any0(t, v4b))
	start(t, netlab.Swallow, any0(t, v4b))
	h := start(t, netlab.Accept, any0(t, v4b))
	mustDial(t, h.Addr())
	eventually(t, "accepted", func() bool { return h.Accepted() == 1 })

	sockets := 0
	for _, fd := range descriptors(t) {
		target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err != nil || !strings.HasPrefix(target, "socket:") {
			continue
		}
		sockets++
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		must(t, err)
		if flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d, %s, stays open on exec", fd, target)
		}
	}
	if sockets < 6 {
		t.Errorf("%d sockets, want 6 at least: 3 hosts, a filler and both ends of a connection", sockets)
	}
}

type usage struct{ descriptors, goroutines int }

func resources(t *testing.T) usage {
	t.Helper()
	return usage{len(descriptors(t)), runtime.NumGoroutine()}
}

// descriptors lists the open ones, the one of the listing itself too.
func descriptors(t *testing.T) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	fds := make([]int, len(entries))
	for i, e := range entries {
		fds[i], err = strconv.Atoi(e.Name())
		must(t, err)
	}
	return fds
}
