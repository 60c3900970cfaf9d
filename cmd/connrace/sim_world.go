package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/connrace/connrace/internal/netlab/topology"
	pb "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer/sched"
	"github.com/connrace/connrace/racer/sim"
)

// runWorld compares the dialers in the world of a lab's file.
func (c *simCmd) runWorld(ctx context.Context, out *output, dialers []sim.Dialer) error {
	lab, err := topology.Load(c.World)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	name, port, err := c.target(lab)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	world, err := sim.FromLab(lab, name, port)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("%s: %w", c.World, err)}
	}
	world.Seed = valueOr(c.Seed, world.Seed)
	report := worldReport{
		title: net.JoinHostPort(name, strconv.Itoa(int(port))) + " in " + filepath.Base(c.World), about: lab.About, world: world,
		worlds: valueOr(c.Worlds, 1), race: c.drawnRace(world, dialers, port),
	}
	if report.rows, err = experiment(ctx, out, sim.Experiment{
		Worlds: report.worlds, Dialers: dialers, World: otherLuck(world),
	}); err != nil {
		return err
	}
	if report.race != nil && !c.Transcript {
		report.race.Run.Transcript = nil
	}
	for _, d := range dialers {
		report.runs = append(report.runs, dialerRun{d.Name, sim.Run(world, d)})
	}
	return c.show(out, &report, report.rows)
}

// otherLuck makes the same world again and again, the first time as it is.
func otherLuck(w sim.World) func(number int) sim.World {
	return func(number int) sim.World {
		again := w
		again.Seed += uint64(number)
		return again
	}
}

// target reads the name and the port, and holds them against what the lab has.
func (c *simCmd) target(lab *topology.Topology) (name string, port uint16, err error) {
	advice := fmt.Sprintf("%s has %s: write connrace sim --world %s %s", c.World, labNames(lab), c.World, labTarget(lab))
	if c.Target == "" {
		return "", 0, fmt.Errorf("--world needs a name and a port to connect to; %s", advice)
	}
	host, service, err := net.SplitHostPort(c.Target)
	if err != nil {
		return "", 0, fmt.Errorf("%q has no port; %s", c.Target, advice)
	}
	number, err := strconv.ParseUint(service, 10, 16)
	if err != nil || number == 0 {
		return "", 0, fmt.Errorf("%q has no port from 1 to 65535; %s", c.Target, advice)
	}
	name = strings.ToLower(strings.TrimSuffix(host, "."))
	if !slices.ContainsFunc(lab.Names, func(n topology.Name) bool { return n.Name == name }) {
		return "", 0, fmt.Errorf("%q is no name there; %s", host, advice)
	}
	return name, uint16(number), nil
}

// labNames are the names of the file, as far as a message has room for them.
func labNames(lab *topology.Topology) string {
	const most = 5
	var names []string
	for _, n := range lab.Names {
		names = append(names, n.Name)
	}
	switch {
	case len(names) == 0:
		return "no names"
	case len(names) > most:
		names = append(names[:most], "...")
	}
	return strings.Join(names, ", ")
}

// labTarget is something to connect to in the lab.
func labTarget(lab *topology.Topology) string {
	name, port := "NAME", uint16(443)
	if len(lab.Names) > 0 {
		name = lab.Names[0].Name
	}
	for _, h := range lab.Hosts {
		if len(h.Ports) > 0 {
			port = h.Ports[0].Number
			break
		}
	}
	return net.JoinHostPort(name, strconv.Itoa(int(port)))
}

// drawnRace is the race that is shown: that of the first strategy of ours; of all of
// them, staggered. nil: there is none.
func (c *simCmd) drawnRace(w sim.World, dialers []sim.Dialer, port uint16) *pb.RaceResponse {
	if len(c.Dialers) == 0 {
		return simulatedRace(w, sim.Defaults(sched.Staggered), port)
	}
	for _, d := range dialers {
		if cfg, ours := strategyOf(d); ours {
			return simulatedRace(w, cfg, port)
		}
	}
	return nil
}
