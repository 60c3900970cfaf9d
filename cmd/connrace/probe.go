package main

import (
	"context"

	"github.com/connrace/connrace/client"
	pb "github.com/connrace/connrace/proto/connrace/v1"
)

type probeCmd struct {
	targetArgs
	Rounds int32 `short:"n" placeholder:"N" group:"timing" help:"How often every address is connected to. Default: 1."`
	selectionFlags
	probeFlags
	criterionFlags
	sourceFlags
	callerFlags
	daemonFlags
	outputFlags
}

// Help is shown by "connrace probe --help".
func (*probeCmd) Help() string {
	return `Connects to every address, round after round, and gives up none because another was faster. The name is resolved once. What is shown: the addresses in the order of what was measured, the position RFC 6724 gives each of them, and the quantiles of the times they took to connect.

Examples:

    connrace probe example.com:443
    connrace probe -n 10 -i 200ms example.com:443

Exit codes: 0 an address was reachable, 1 none was, 2 bad usage, 3 the daemon could not be asked or has no room, 130 interrupted.`
}

// Run asks for the probe and prints it.
func (c *probeCmd) Run(ctx context.Context, out *output) error {
	asked, err := c.asked()
	if err != nil {
		return err
	}
	criterion, err := c.criterion(asked.criterion)
	if err != nil {
		return err
	}
	req := &pb.ProbeRequest{
		Target:            asked.target,
		Candidates:        asked.candidates,
		Selection:         c.selection(),
		Options:           c.options(criterion, &c.sourceFlags),
		Rounds:            c.Rounds,
		Interval:          duration(c.Interval),
		IncludeTranscript: c.Transcript,
		CallerKey:         c.CallerKey,
	}
	return c.ask(ctx, out, req, func(daemon *client.Client) error {
		reply, err := awaited(out, "probing", func() (*pb.ProbeResponse, error) { return daemon.Probe(ctx, req) })
		if err != nil {
			return err
		}
		if err := c.show(out, reply, func() { printProbe(out, reply, c.title(), out.style) }); err != nil {
			return err
		}
		if !reachable(reply.GetReport().GetVerdict()) {
			return errNothing()
		}
		return nil
	})
}

// reachable says whether something connected.
func reachable(v pb.Verdict) bool {
	return v == pb.Verdict_VERDICT_REACHABLE || v == pb.Verdict_VERDICT_DEGRADED
}
