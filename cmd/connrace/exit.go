package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes. Scripts rely on them; the help names them.
const (
	exitOK          = 0   // something won, was ranked or is reachable
	exitNothing     = 1   // nothing did or is
	exitUsage       = 2   // an unknown flag, or a request the daemon refuses
	exitFailed      = 3   // the daemon could not be asked, or could not serve
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// exitError ends the program with a code and, unless err is nil, a message.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// errNothing ends a command whose output already says that nothing was found.
func errNothing() error { return &exitError{code: exitNothing} }

func errInterrupted() error { return &exitError{code: exitInterrupted} }

// errSignal is what a shell would report of a program that a signal ended.
func errSignal(s os.Signal) error {
	if number, ok := s.(syscall.Signal); ok {
		return &exitError{code: 128 + int(number)}
	}
	return errInterrupted()
}

// usageError is for what the command line itself is wrong about. It names the
// help that belongs to it, unless it is told already what to write.
func usageError(err error) error {
	if _, told := errors.AsType[*exitError](err); told {
		return err
	}
	help := "connrace"
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context.Selected() != nil {
		help = parse.Context.Selected().FullPath()
	}
	return &exitError{exitUsage, fmt.Errorf("%w; `%s --help` shows what there is", err, help)}
}

// report prints what err has to say and returns the exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	exit, ok := errors.AsType[*exitError](err)
	if !ok {
		exit = &exitError{exitFailed, err}
	}
	if exit.err != nil {
		// Nobody is left to tell when stderr is gone too.
		_, _ = fmt.Fprintf(stderr, "connrace: %v\n", exit.err)
	}
	return exit.code
}
