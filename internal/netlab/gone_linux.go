//go:build linux

package netlab

import "golang.org/x/sys/unix"

// gone asks the kernel whether the peer has closed or reset its end, which it
// knows whatever lies unread before that.
func gone(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}
