package netlab

import (
	"errors"
	"fmt"
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
// is about starting it: a [*SignalError] says that it was not started, because a
// signal had come before.
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
	return finish(cmd, func() {}) // the program is there as soon as it is started
}

// SignalError says that a program was not started, because a signal came first.
type SignalError struct {
	Signal syscall.Signal // the first one
}

func (e *SignalError) Error() string { return fmt.Sprintf("netlab: not run: %v came first", e.Signal) }

// held has the signals since HoldSignals.
var held = make(chan os.Signal, 16)

// HoldSignals is for a program that is there to run another one: from now on a signal
// does not end this process, and [Run] starts nothing when one has come. Call it first
// of all, in both processes of [Enter].
func HoldSignals() { signal.Notify(held, passed...) }

// passed are the signals that a program gets from the process that runs it.
var passed = []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2}

// finish runs cmd to its end. Signals wait until ready returns. The error is about
// starting it.
func finish(cmd *exec.Cmd, ready func()) (code int, err error) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passed...)
	defer signal.Stop(signals)
	select {
	case s := <-held:
		return 0, &SignalError{s.(syscall.Signal)}
	case s := <-signals:
		return 0, &SignalError{s.(syscall.Signal)}
	default:
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var passing sync.WaitGroup
	over := make(chan struct{})
	passing.Go(func() {
		ready()
		for range len(signals) { // a terminal's too, which cmd may have been too young for
			_ = cmd.Process.Signal(<-signals)
		}
		passOn(cmd.Process, signals, over)
	})
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
		return signalled(status.Signal())
	}
	return exit.ExitCode()
}

// signalled is the exit code of a program that a signal ended.
func signalled(s syscall.Signal) int { return 128 + int(s) }
