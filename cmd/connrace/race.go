package main

import (
	"context"

	"github.com/connrace/connrace/client"
	pb "github.com/connrace/connrace/proto/connrace/v1"
)

type raceCmd struct {
	targetArgs
	selectionFlags
	raceFlags
	daemonFlags
	outputFlags
}

// Help is shown by "connrace race --help".
func (*raceCmd) Help() string {
	return `Attempts start one after the other, an attempt delay apart, and earlier ones go on (RFC 8305, Happy Eyeballs). The first to connect wins; nothing is sent over it, and every connection is closed. What is shown: how every address did, what the race cost, and what trouble the winner hid.

Examples:

    connrace race example.com:443
    connrace race --strategy sequential --attempt-timeout 2s example.com:443
    connrace race eu=192.0.2.1:443 us=198.51.100.1:443 -o json

Exit codes: 0 something connected, 1 nothing did, 2 bad usage, 3 the daemon could not be asked, 130 interrupted.`
}

// Run asks for the race and prints it.
func (c *raceCmd) Run(ctx context.Context, out *output) error {
	target, candidates := c.target()
	req := &pb.RaceRequest{
		Target:            target,
		Candidates:        candidates,
		Selection:         c.selection(),
		Options:           c.options(),
		IncludeTranscript: c.Transcript,
	}
	return c.ask(ctx, out, func(daemon *client.Client) error {
		reply, err := awaited(out, "racing", func() (*pb.RaceResponse, error) { return daemon.Race(ctx, req) })
		if err != nil {
			return err
		}
		if err := c.show(out, reply, func() { printRace(out, reply, c.title(), out.style) }); err != nil {
			return err
		}
		if reply.GetWinner() == nil {
			return errNothing()
		}
		return nil
	})
}
