package main

import (
	"context"

	"github.com/connrace/connrace/client"
	pb "github.com/connrace/connrace/proto/connrace/v1"
)

type rankCmd struct {
	targetArgs `set:"url="`
	selectionFlags
	raceFlags
	daemonFlags
	outputFlags
}

// Help is shown by "connrace rank --help".
func (*rankCmd) Help() string {
	return `Resolves the target and orders its addresses by RFC 6724 and RFC 8305. What is shown: the order, why each address stands before the next one, the address this host would connect from, and when a race would start each attempt if none of them answered. "└ again" is a second attempt at the address above.

Examples:

    connrace rank example.com:443
    connrace rank --prefer ipv4 --dns 192.0.2.53:53 example.com:443
    connrace rank --strategy adaptive 192.0.2.1:443@20ms 198.51.100.1:443@90ms

Exit codes: 0 there is an order, 1 no address may be tried, 2 bad usage, 3 the daemon could not be asked or has no room, 130 interrupted.`
}

// Run asks for the order and prints it.
func (c *rankCmd) Run(ctx context.Context, out *output) error {
	target, candidates, err := c.target()
	if err != nil {
		return err
	}
	req := &pb.ResolveAndRankRequest{
		Target:            target,
		Candidates:        candidates,
		Selection:         c.selection(),
		Options:           c.options(nil, new(sourceFlags)),
		IncludeTranscript: c.Transcript,
	}
	return c.ask(ctx, out, req, func(daemon *client.Client) error {
		reply, err := awaited(out, "resolving", func() (*pb.ResolveAndRankResponse, error) { return daemon.ResolveAndRank(ctx, req) })
		if err != nil {
			return err
		}
		if err := c.show(out, reply, func() { printRank(out, reply, c.title(), out.style) }); err != nil {
			return err
		}
		if ranked(reply.GetCandidates()) == 0 {
			return errNothing()
		}
		return nil
	})
}

// ranked counts the candidates that may be tried.
func ranked(candidates []*pb.Candidate) int {
	n := 0
	for _, c := range candidates {
		if c.GetOutcome() != pb.Outcome_OUTCOME_SKIPPED {
			n++
		}
	}
	return n
}
