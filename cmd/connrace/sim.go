package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/connrace/connrace/racer/sim"
)

// simCmd lets strategies, and models of other programs, connect in simulated worlds.
type simCmd struct {
	Target string `arg:"" optional:"" help:"With --world: the name and the port to connect to, such as site.example:443."`

	Worlds  *int     `placeholder:"N" group:"worlds" help:"How many worlds of each kind. Default: 10000; with --world 1, and more are the same with other luck."`
	Seed    *uint64  `placeholder:"N" group:"worlds" help:"What worlds are drawn from: the same seed makes the same worlds. Default: 1, with --world that of the file."`
	Kinds   []string `placeholder:"KIND" group:"worlds" help:"${kinds}. Default: all."`
	World   string   `placeholder:"FILE" group:"worlds" help:"One world instead: the lab that FILE describes; examples/lab has some."`
	Dialers []string `placeholder:"NAME" group:"worlds" help:"Strategies of ours: ${strategies}; other programs: ${peers}. Default: all."`

	Output     string `short:"o" enum:"text,json" default:"text" placeholder:"FORM" group:"output" help:"text for people (the default), or json for programs."`
	CSV        string `name:"csv" placeholder:"FILE" group:"output" help:"Write the tables of worlds to FILE as well, as CSV."`
	SVG        string `name:"svg" placeholder:"FILE" group:"output" help:"Draw them too: time against cost."`
	Transcript bool   `group:"output" help:"With --world: add all that happened in the race."`
}

// Help is shown by "connrace sim --help".
func (*simCmd) Help() string {
	return `Lets this program's strategies, and models of other programs, connect in the same simulated worlds, each with the same luck, and compares them: how long it takes to connect, how often that fails, what it costs in SYNs and in connections for nothing, and how the connections of a crowd spread over backends. It takes seconds, needs no network, and the same seed gives the same tables on any machine.

With --world it is one world, that of a lab's file: what is shown is the race of the first strategy of --dialers (staggered, if that is not given), and how all others do there.

Examples:

    connrace sim
    connrace sim --kinds one-dead,lossy --dialers staggered,adaptive,curl
    connrace sim --world examples/lab/lost-syn.yaml site.example:80

Exit codes: 0 it ran, 2 bad usage, 130 interrupted.`
}

const (
	defaultWorlds = 10_000
	maxWorlds     = 1_000_000
	defaultSeed   = 1
)

// Run simulates and prints.
func (c *simCmd) Run(ctx context.Context, out *output) error {
	dialers, err := chooseDialers(c.Dialers)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if c.World != "" {
		return c.runWorld(ctx, out, dialers)
	}
	return c.runKinds(ctx, out, dialers)
}

// check finds flags that don't go together.
func (c *simCmd) check() error {
	switch {
	case c.Worlds != nil && (*c.Worlds < 1 || *c.Worlds > maxWorlds):
		return fmt.Errorf("--worlds is %d; allowed is 1 to %d", *c.Worlds, maxWorlds)
	case c.World != "" && len(c.Kinds) > 0:
		return errors.New("--kinds draws worlds, and --world has one: leave one of the two out")
	case c.World == "" && c.Target != "":
		return fmt.Errorf("%q is to connect to in the world of a file: give that with --world FILE, or leave the target out", c.Target)
	case c.World == "" && c.Transcript:
		return errors.New("--transcript is that of one race: choose its world with --world FILE")
	}
	return nil
}

// runKinds compares the dialers in random worlds, and as crowds.
func (c *simCmd) runKinds(ctx context.Context, out *output, dialers []sim.Dialer) error {
	kinds, err := chooseKinds(c.Kinds)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	report := simReport{seed: valueOr(c.Seed, defaultSeed), worlds: valueOr(c.Worlds, defaultWorlds), kinds: kinds}
	report.rows, err = experiment(ctx, out, sim.Experiment{
		Worlds:  report.worlds * len(kinds),
		World:   sim.Random(report.seed, kinds...),
		Dialers: dialers,
	})
	if err != nil {
		return err
	}
	if report.crowds, err = crowds(ctx, out, report.seed, dialers); err != nil {
		return err
	}
	return c.show(out, &report, report.rows)
}

// finding is what either command has found.
type finding interface {
	printJSON(w io.Writer) error
	print(w io.Writer, s style)
}

// show prints what was found, and writes the files that were asked for.
func (c *simCmd) show(out *output, found finding, rows []sim.Row) error {
	if c.Output == "json" {
		if err := found.printJSON(out); err != nil {
			return err
		}
	} else {
		found.print(out, out.style)
	}
	return c.writeFiles(rows)
}

// experiment runs, and tells a person at a terminal how far it is.
func experiment(ctx context.Context, out *output, e sim.Experiment) ([]sim.Row, error) {
	var done atomic.Int64
	e.Progress = func(n int) { done.Store(int64(n)) }
	saying := func() string {
		return fmt.Sprintf("simulating: %d of %s", done.Load(), plural(e.Worlds, "world"))
	}
	rows, err := awaitedAt(out, saying, func() ([]sim.Row, error) { return e.Run(ctx) })
	if err != nil {
		return nil, errInterrupted()
	}
	return rows, nil
}

// crowds are the same dialers, many clients at a time, for each order that DNS may
// have.
func crowds(ctx context.Context, out *output, seed uint64, dialers []sim.Dialer) ([][]sim.Spread, error) {
	return awaited(out, "simulating crowds", func() ([][]sim.Spread, error) {
		var crowds [][]sim.Spread
		for _, order := range []sim.Order{sim.FixedOrder, sim.RotatedOrder, sim.ShuffledOrder} {
			if ctx.Err() != nil {
				return nil, errInterrupted()
			}
			crowds = append(crowds, sim.DefaultCrowd(seed, order).Run(dialers...))
		}
		return crowds, nil
	})
}

// writeFiles writes the rows where they are wanted.
func (c *simCmd) writeFiles(rows []sim.Row) error {
	err := writeFile("--csv", c.CSV, func(w io.Writer) error { return sim.WriteCSV(w, rows) })
	if err != nil {
		return err
	}
	return writeFile("--svg", c.SVG, func(w io.Writer) error { return sim.WriteSVG(w, rows) })
}

// writeFile writes a file that a flag names; an empty path is none.
func writeFile(flag, path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	var text strings.Builder
	err := write(&text)
	if err == nil {
		err = os.WriteFile(path, []byte(text.String()), 0o644)
	}
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("%s: %w; give a file that can be written", flag, err)}
	}
	return nil
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
