// Connrace tells which of the addresses behind a name to use, and why.
//
//	connrace race example.com:443    connect to whichever answers first
//	connrace rank example.com:443    the order of the addresses, and the reasons
//	connrace probe example.com:443   connect to every address
//	connrace watch example.com:443   the same, round after round
//	connrace serve                   answer these questions over gRPC
//	connrace demo                    show all of it, on backends of its own
//	connrace lab FILE -- PROGRAM     run a program inside a network of its own
//	connrace sim                     compare strategies in simulated worlds
//
// The first four need no daemon: without --server they start one inside the
// process and ask that.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/connrace/connrace/internal/netlab/link"
)

func main() {
	link.Main() // does not return in the process that is the link of a lab
	os.Exit(run(interruptible(), os.Args[1:], os.Stdout, os.Stderr))
}

// interruptible returns a context that the first SIGINT or SIGTERM ends; the next one
// kills. Its cause is the exit code a shell would report of that signal.
func interruptible() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		signal.Stop(signals)
		cancel(errSignal(s))
	}()
	return ctx
}

// run is the program: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		printHelp(stderr)
		return exitUsage
	}
	if args[0] == "--version" {
		args[0] = "version"
	}
	out := newOutput(stdout, stderr)
	command, helped, err := parse(args, out)
	if err != nil && !helped {
		err = usageError(err)
	}
	if err == nil && !helped {
		command.BindTo(ctx, (*context.Context)(nil))
		err = command.Run(out)
	}
	switch {
	case out.err != nil:
		return report(stderr, &exitError{exitFailed, out.err})
	case helped:
		return exitOK
	}
	return report(stderr, err)
}
