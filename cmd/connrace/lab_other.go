//go:build !linux

package main

import "errors"

// labCmd needs Linux.
type labCmd struct {
	File    string   `arg:"" help:"Describes the lab, in YAML."`
	Command []string `arg:"" help:"The program, and its arguments."`
}

// Run implements the command.
func (labCmd) Run() error {
	return &exitError{exitFailed, errors.New("a lab is made of Linux namespaces; run this on Linux")}
}
