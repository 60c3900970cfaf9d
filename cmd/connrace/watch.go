package main

import (
	"context"

	"github.com/connrace/connrace/client"
	pb "github.com/connrace/connrace/proto/connrace/v1"
)

type watchCmd struct {
	targetArgs
	Rounds uint32 `short:"n" placeholder:"N" group:"timing" help:"End after so many rounds. Default: 0, until interrupted."`
	selectionFlags
	probeFlags
	criterionFlags
	sourceFlags
	callerFlags
	daemonFlags
	outputFlags
}

// Help is shown by "connrace watch --help".
func (*watchCmd) Help() string {
	return `Resolves the target and connects to every address, again and again, until interrupted. What is shown: a line for each address and round, and at the end how the rounds went. With -o json every round is one line of JSON.

Examples:

    connrace watch example.com:443
    connrace watch -n 60 -i 10s example.com:443 -o json

Exit codes: 0 in the last round an address was reachable, 1 none was, 2 bad usage, 3 the daemon could not be asked, has no room or has stopped, 130 interrupted before the first round was over.`
}

// Run asks for rounds and prints each as it comes.
func (c *watchCmd) Run(ctx context.Context, out *output) error {
	asked, err := c.asked()
	if err != nil {
		return err
	}
	criterion, err := c.criterion(asked.criterion)
	if err != nil {
		return err
	}
	req := &pb.WatchProbeRequest{
		Target:            asked.target,
		Candidates:        asked.candidates,
		Selection:         c.selection(),
		Options:           c.options(criterion, &c.sourceFlags),
		Interval:          duration(c.Interval),
		IncludeTranscript: c.Transcript,
		CallerKey:         c.CallerKey,
	}
	return c.ask(ctx, out, req, func(daemon *client.Client) error {
		var sum watchSummary
		err := c.rounds(ctx, out, daemon, req, &sum)
		if c.Output == "text" {
			printWatchSummary(out, &sum, c.title(), out.style)
		}
		switch {
		case ctx.Err() != nil && sum.rounds > 0: // interrupted: a clean end
		case err != nil:
			return err
		}
		if !reachable(sum.last) {
			return errNothing()
		}
		return nil
	})
}

// rounds prints until enough rounds are done, the daemon stops, ctx ends, or
// nobody reads any more.
func (c *watchCmd) rounds(ctx context.Context, out *output, daemon *client.Client, req *pb.WatchProbeRequest, sum *watchSummary) error {
	for round, err := range daemon.WatchProbe(ctx, req) {
		if err != nil {
			return err
		}
		sum.add(round)
		if err := c.showRound(out, round); err != nil {
			return err
		}
		if out.err != nil || c.Rounds > 0 && round.GetRound() >= int64(c.Rounds) {
			return nil
		}
	}
	return nil
}

func (c *watchCmd) showRound(out *output, round *pb.WatchProbeResponse) error {
	if c.Output == "json" {
		return printJSON(out, round, false)
	}
	printWatchRound(out, round, c.title(), out.style)
	return nil
}
