package netlab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// UseResolver makes addr the only name server of the client host, for all
// programs in it that follow the system's configuration. Its port is 53. Names
// come from it alone: /etc/hosts has nothing but localhost there. The system
// outside is not touched. A program that has read the configuration before may
// take some seconds to look at it again (Go's resolver: five).
func (l *Lab) UseResolver(addr netip.Addr) error {
	if _, err := l.checkEndpoint(netip.AddrPortFrom(addr, 53)); err != nil {
		return fmt.Errorf("netlab: resolver %v: %w", addr, err)
	}
	if err := coverConfiguration(addr); err != nil {
		return fmt.Errorf("netlab: resolver %v: %w", addr, err)
	}
	return nil
}

// coverConfiguration has the system's files name one resolver and nothing else.
func coverConfiguration(resolver netip.Addr) error {
	for path, text := range map[string]string{
		"/etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n",
		"/etc/nsswitch.conf": "hosts: files dns\n",
	} {
		if err := cover(path, text); err != nil && !os.IsNotExist(err) { // without it no program reads it
			return err
		}
	}
	err := cover("/etc/resolv.conf", fmt.Sprintf("nameserver %v\n", resolver))
	if os.IsNotExist(err) {
		return fmt.Errorf("%w: there is nothing to put the lab's own over; make an empty file there", err)
	}
	return err
}

// covered are the paths that this process has put files of its own over.
var covered struct {
	sync.Mutex
	paths map[string]bool
}

// cover puts text in the place of the file at path, for this lab's processes
// alone.
func cover(path, text string) error {
	covered.Lock()
	defer covered.Unlock()
	if covered.paths[path] {
		return os.WriteFile(path, []byte(text), 0o644)
	}
	if _, err := os.Stat(path); err != nil {
		return err
	}
	if err := mountOver(path, text); err != nil {
		return fmt.Errorf("mount over %s: %w", path, err)
	}
	if covered.paths == nil {
		covered.paths = make(map[string]bool)
	}
	covered.paths[path] = true
	return nil
}

func mountOver(path, text string) error {
	file, err := os.CreateTemp("", "connrace-lab-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // the mount keeps what is in it
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.NewSyscallError("mount", unix.Mount(file.Name(), path, "", unix.MS_BIND, ""))
}
