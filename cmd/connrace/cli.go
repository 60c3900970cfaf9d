package main

import (
	"io"

	"github.com/alecthomas/kong"

	"github.com/connrace/connrace/racer/sim"
)

// cli is the grammar of the command line: one field for each command.
type cli struct {
	Race    raceCmd    `cmd:"" help:"Connect to whichever address answers first, and show the race."`
	Rank    rankCmd    `cmd:"" help:"Show in which order the addresses would be tried, and why. Connects to nothing."`
	Probe   probeCmd   `cmd:"" help:"Connect to every address and compare them."`
	Watch   watchCmd   `cmd:"" help:"Resolve and probe again and again."`
	Serve   serveCmd   `cmd:"" help:"Answer races, ranks and probes over gRPC."`
	Demo    demoCmd    `cmd:"" help:"Show all of it on backends of its own, on loopback."`
	Lab     labCmd     `cmd:"" help:"Run any program inside a network that a file describes."`
	Sim     simCmd     `cmd:"" help:"Compare strategies and other programs in simulated worlds."`
	Version versionCmd `cmd:"" help:"Show the version and the commit; --version does too."`
	Help    helpCmd    `cmd:"" help:"Show this, or how a command is used; --help does too."`
}

const about = `Of all the addresses behind a name, which one do I use, and why?

Exit codes: 0 something won, was ranked or is reachable; 1 nothing did or is; 2 bad usage; 3 the daemon could not be asked or has no room; 130 interrupted.`

// parse returns the command that args select. helped says that help was asked
// for and has been printed; then there is nothing to run.
func parse(args []string, stdout io.Writer) (command *kong.Context, helped bool, err error) {
	if err := checkText(args); err != nil {
		return nil, false, err
	}
	parser := newParser(stdout, func(int) { helped = true })
	args = permute(parser.Model, args)
	command, err = parser.Parse(args)
	if empty := checkEmpty(parser.Model, args); empty != nil && !helped {
		err = empty // says more than what became of it
	}
	return command, helped, err
}

// printHelp prints what "connrace COMMAND --help" does; without a command, what
// "connrace --help" does.
func printHelp(w io.Writer, command ...string) {
	// With --help, parsing has no error that matters: the help is printed.
	_, _ = newParser(w, func(int) {}).Parse(append(command, "--help"))
}

// newParser panics on a grammar that makes no sense: a programmer's error.
func newParser(stdout io.Writer, exit func(int)) *kong.Kong {
	return kong.Must(new(cli),
		kong.Name("connrace"),
		kong.Description(about),
		kong.Vars{"kinds": kindNames(), "strategies": dialerNames(sim.Strategies()), "peers": dialerNames(peers()), "url": urlHelp},
		kong.Writers(stdout, stdout),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{
			Compact:             true,
			NoExpandSubcommands: true,
			WrapUpperBound:      maxHelpWidth,
		}),
		kong.ExplicitGroups([]kong.Group{
			{Key: groupSelection, Title: "Which addresses, and in which order:"},
			{Key: groupTiming, Title: "When attempts start and end:"},
			{Key: groupSuccess, Title: "What counts as a success, beyond TCP:"},
			{Key: groupSource, Title: "Where attempts leave from, and how connections end:"},
			{Key: groupLimits, Title: "What all calls may do together:"},
			{Key: groupWorlds, Title: "In which worlds, and who connects there:"},
			{Key: groupDaemon, Title: "Who is asked:"},
			{Key: groupOutput, Title: "What is printed:"},
		}),
	)
}

// urlHelp goes on behind the help of targets, where a target may be a URL.
const urlHelp = " A URL (https, http, grpcs, grpc, tls) says what counts as a success too."

// maxHelpWidth keeps help readable on wide terminals.
const maxHelpWidth = 100

// Groups of flags in the help.
const (
	groupSelection = "selection"
	groupTiming    = "timing"
	groupSuccess   = "success"
	groupSource    = "source"
	groupLimits    = "limits"
	groupWorlds    = "worlds"
	groupDaemon    = "daemon"
	groupOutput    = "output"
)
