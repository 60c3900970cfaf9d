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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the next signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		printHelp(stderr)
		return exitUsage
	}
	command, helped, err := parse(args, stdout)
	if helped {
		return exitOK
	}
	if err != nil {
		return report(stderr, usageError(err))
	}
	out := newOutput(stdout, stderr)
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run(out)
	if out.err != nil {
		return report(stderr, &exitError{exitFailed, out.err})
	}
	return report(stderr, err)
}
