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
	return finish(cmd, nil)
}

// SignalError says that a program was not started, because a signal came first.
type SignalError struct {
	Signal syscall.Signal // the first one
}

func (e *SignalError) Error() string { return fmt.Sprintf("netlab: not run: %v came first", e.Signal) }

// HoldSignals is for a program that is there to run another one: from now on the first
// signal does not end this process, and [Run] starts nothing when it has come. A second
// one does, unless the other program is there to get it. Call it once and first of all,
// in both processes of [Enter].
func HoldSignals() {
	held = newHold()
	signal.Notify(held.caught, passed...)
}

// held is what HoldSignals has made; nil: nothing.
var held *hold

// hold keeps the first signal that is caught.
type hold struct {
	caught chan os.Signal
	first  os.Signal // when over is closed; nil: none came
	over   chan struct{}
	once   sync.Once
}

func newHold() *hold {
	h := &hold{caught: make(chan os.Signal, 16), over: make(chan struct{})}
	go func() {
		defer close(h.over)
		if s, ok := <-h.caught; ok {
			h.first = s
			signal.Stop(h.caught)
		}
	}()
	return h
}

// end catches no more, and returns the first one.
func (h *hold) end() os.Signal {
	if h == nil {
		return nil
	}
	h.once.Do(func() {
		signal.Stop(h.caught) // nobody sends after that
		close(h.caught)
	})
	<-h.over
	return h.first
}

// passed are the signals that a program gets from the process that runs it.
var passed = []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2}

// finish runs cmd to its end. Signals wait until ready returns; nil: cmd can have them as
// soon as it is started. The error is about starting it.
func finish(cmd *exec.Cmd, ready func()) (code int, err error) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passed...)
	defer signal.Stop(signals)
	if first := held.end(); first != nil {
		return 0, &SignalError{first.(syscall.Signal)}
	}
	select {
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
		if ready != nil {
			ready()
			for range len(signals) { // a terminal's too, which cmd was too young for
				_ = cmd.Process.Signal(<-signals)
			}
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
