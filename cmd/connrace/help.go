package main

import (
	"fmt"

	"github.com/alecthomas/kong"
)

type helpCmd struct {
	Command string `arg:"" optional:"" help:"The command. Default: all of them, in a line each."`
}

// Run prints the help that was asked for.
func (c *helpCmd) Run(app *kong.Kong, out *output) error {
	if c.Command == "" {
		printHelp(out)
		return nil
	}
	if commandNamed(app.Model, c.Command) == nil {
		return usage(fmt.Sprintf("there is no command %q; `connrace help` lists them", c.Command))
	}
	printHelp(out, c.Command)
	return nil
}
