package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"os"

	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/server"
)

// serverWorker answers RPCs until it is ended: what `connrace serve` does, over a Unix
// socket too, with a method that does nothing and
// one that races to the targets and says nothing of it.
const serverWorker = "server"

func workServer(args []string) (any, error) {
	flags := flag.NewFlagSet(serverWorker, flag.ExitOnError)
	tcp := flags.String("tcp", "", "address and port to listen at")
	unix := flags.String("unix", "", "path of a socket to listen at")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	var config net.ListenConfig
	local, err := config.Listen(context.Background(), "unix", *unix)
	if err != nil {
		return nil, err
	}
	remote, err := config.Listen(context.Background(), "tcp", *tcp) // last: who waits for it has both
	if err != nil {
		return nil, err
	}
	r := racer.New(racer.Config{})
	methods := empty{racer: r, request: racer.RaceRequest{Target: target(flags.Args()), NoTranscript: true}}
	s := server.New(server.Config{
		Racer:    r,
		Logger:   slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Register: methods.register,
	})
	served := make(chan error)
	go func() { served <- s.Serve(local) }()
	go func() { served <- s.Serve(remote) }()
	return nil, errors.Join(<-served, errors.New("it serves no more"))
}
