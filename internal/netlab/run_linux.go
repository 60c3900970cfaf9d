package netlab

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Run runs a program in the client host and returns its exit code: 128 and the
// signal's number if a signal ended it, as shells have it. The program runs as
// the user who started this one, not as the root that this process is in its own
// namespaces. It gets the signals of this process until it has ended. The error
// is about starting it.
func Run(cmd *exec.Cmd) (code int, err error) {
	if !insider.settled {
		return 0, errNotInside
	}
	if insider.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: insider.uid, HostID: 0, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: insider.gid, HostID: 0, Size: 1}},
		}
	}
	return finish(cmd)
}

// finish runs cmd to its end. The error is about starting it.
func finish(cmd *exec.Cmd) (code int, err error) {
	// A signal that comes before there is somebody to have it waits.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var passing sync.WaitGroup
	over := make(chan struct{})
	passing.Go(func() { passOn(cmd.Process, signals, over) })
	code = exitCode(cmd.Wait())
	close(over)
	passing.Wait()
	return code, nil
}

// passOn sends signals on to p. Those of a terminal reach p without help.
func passOn(p *os.Process, signals <-chan os.Signal, over <-chan struct{}) {
	for {
		select {
		case s := <-signals:
			if (s == unix.SIGINT || s == unix.SIGQUIT) && foreground() {
				continue
			}
			_ = p.Signal(s) // it may have ended
		case <-over:
			return
		}
	}
}

// foreground reports whether a terminal sends this process its Ctrl-C.
func foreground() bool {
	group, err := unix.IoctlGetInt(unix.Stdin, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// exitCode is what a shell would report for a program that Wait had err for.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		return 1 // the program ran, and its output could not be copied
	}
	if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}
