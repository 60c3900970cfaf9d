package netlab

import (
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace, and the thread that lives in it: whatever
// socket is made there belongs to that network for ever.
type namespace struct {
	jobs chan func()
	file *os.File // names the namespace to others
	shut func()
}

// newNamespace makes a network with nothing in it but a loopback that is down.
func newNamespace() (*namespace, error) {
	n := &namespace{jobs: make(chan func())}
	n.shut = sync.OnceFunc(func() { close(n.jobs) })
	ready := make(chan error)
	go onOwnThread(func() {
		err := n.unshare()
		ready <- err
		if err != nil {
			return
		}
		for job := range n.jobs {
			job()
		}
	})
	if err := <-ready; err != nil {
		return nil, err
	}
	return n, nil
}

// onOwnThread calls f on a thread that ends with it, and that is not the main
// one: the kernel takes the main thread's network for that of the process.
func onOwnThread(f func()) {
	runtime.LockOSThread() // never unlocked, so that nobody inherits the thread
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	elsewhere := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(elsewhere)
		f()
	}()
	<-elsewhere
	runtime.UnlockOSThread()
}

func (n *namespace) unshare() (err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unshare a network namespace: %w", err)
	}
	n.file, err = os.Open("/proc/thread-self/ns/net")
	return err
}

// do calls f on the namespace's thread and returns what it returns. f must not
// call do itself. After Close the error is [os.ErrClosed].
func (n *namespace) do(f func() error) (err error) {
	defer func() {
		if recover() != nil { // jobs is closed
			err = os.ErrClosed
		}
	}()
	done := make(chan error)
	n.jobs <- func() { done <- f() }
	return <-done
}

// Close ends the thread. The network ends with its last socket.
func (n *namespace) Close() error {
	n.shut()
	return n.file.Close()
}
