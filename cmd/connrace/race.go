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
	criterionFlags
	sourceFlags
	callerFlags
	Share bool `group:"daemon" help:"Share the attempts with races asked for in the same way at the same time."`
	daemonFlags
	outputFlags
}

// Help is shown by "connrace race --help".
func (*raceCmd) Help() string {
	return `Attempts start one after the other, an attempt delay apart, and earlier ones go on (RFC 8305, Happy Eyeballs). The first to connect wins; nothing is sent over it, and every connection is closed. What is shown: how every address did, what the race cost, and what trouble the winner hid. "└ again" is a second attempt at the address above, because the first has had no answer.

What is known of a candidate may follow an at sign: one time is that of a round trip, as in 192.0.2.1:443@20ms, several are those of past connects, the oldest first, as in 192.0.2.1:443@18ms,20ms,35ms. The delays of the adaptive strategy come from that, and when to try an address again.

Examples:

    connrace race example.com:443
    connrace race --strategy sequential --attempt-timeout 2s example.com:443
    connrace race eu=192.0.2.1:443 us=198.51.100.1:443 -o json
    connrace race --strategy adaptive eu=192.0.2.1:443@20ms us=198.51.100.1:443@90ms
    connrace race --strategy all-at-once --grace 1s example.com:443

Exit codes: 0 something connected, 1 nothing did, 2 bad usage, 3 the daemon could not be asked or has no room, 130 interrupted.`
}

// Run asks for the race and prints it.
func (c *raceCmd) Run(ctx context.Context, out *output) error {
	asked, err := c.asked()
	if err != nil {
		return err
	}
	criterion, err := c.criterion(asked.criterion)
	if err != nil {
		return err
	}
	req := &pb.RaceRequest{
		Target:            asked.target,
		Candidates:        asked.candidates,
		Selection:         c.selection(),
		Options:           c.options(criterion, &c.sourceFlags),
		IncludeTranscript: c.Transcript,
		CallerKey:         c.CallerKey,
		Share:             c.Share,
	}
	return c.ask(ctx, out, req, func(daemon *client.Client) error {
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
