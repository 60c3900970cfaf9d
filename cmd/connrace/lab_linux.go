package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/topology"
)

// labCmd runs any program inside a lab.
type labCmd struct {
	File    string   `arg:"" help:"Describes the lab, in YAML; examples/lab has some."`
	Command []string `arg:"" help:"The program, and its arguments."`

	Log   string `placeholder:"FILE" help:"Write all packets and DNS queries to FILE, as JSON."`
	Quiet bool   `short:"q" help:"Do not tell on stderr what happened."`
}

// Help is shown by --help.
func (labCmd) Help() string {
	return `Runs a program inside a network of its own, as FILE describes it: with real TCP stacks, delays, losses and dead addresses, and a name server that all programs in it ask. It needs no privileges, and nothing leaves this machine.

  connrace lab examples/lab/broken-v6.yaml -- curl http://site.example/

The program's streams are those of this one. On stderr follows what the network saw. Clients that take SSL_CERT_FILE, CURL_CA_BUNDLE or NODE_EXTRA_CA_CERTS trust the certificates of the lab.

Exit codes: that of the program; 125 there is no lab; 126 the program cannot be run; 127 there is no such program; 128 and the number of a signal that ended the program, or came before there was one.`
}

// Exit codes of the lab's own, as env, timeout and docker run have them.
const (
	exitNoLab       = 125
	exitNotRunnable = 126
	exitNoProgram   = 127
)

// Run implements the command.
func (c *labCmd) Run(ctx context.Context, out *output) error {
	netlab.HoldSignals() // from here on; ctx has those that came before
	t, err := topology.Load(c.File)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	code, inside, err := netlab.Enter()
	if err != nil {
		return &exitError{exitNoLab, err}
	}
	if !inside {
		return silentExit(code)
	}
	record, err := c.runInside(t)
	if err != nil {
		return err
	}
	if !c.Quiet {
		record.printStory(out)
	}
	if c.Log != "" {
		if err := record.write(c.Log); err != nil {
			return &exitError{exitNoLab, err}
		}
	}
	return silentExit(record.ExitCode)
}

// silentExit ends the program as another one did, which has said why.
func silentExit(code int) error {
	if code == exitOK {
		return nil
	}
	return &exitError{code: code}
}

// runInside builds the lab and runs the program to its end.
func (c *labCmd) runInside(t *topology.Topology) (r *labRecord, err error) {
	scene, err := netlab.Build(t)
	if err != nil {
		return nil, &exitError{exitNoLab, err}
	}
	defer func() {
		if closing := scene.Close(); err == nil && closing != nil {
			err = &exitError{exitNoLab, closing}
		}
	}()
	trust, err := trustFile(scene.Authority)
	if err != nil {
		return nil, &exitError{exitNoLab, err}
	}
	defer func() { _ = os.Remove(trust) }()
	r = &labRecord{Lab: c.File, About: t.About, Command: c.Command}
	if err := r.run(scene, trust); err != nil {
		return nil, err
	}
	return r, nil
}

// trustFile writes the lab's authority where programs can read it.
func trustFile(a *netlab.Authority) (string, error) {
	f, err := os.CreateTemp("", "connrace-lab-*.pem")
	if err != nil {
		return "", err
	}
	_, err = f.Write(a.PEM())
	return f.Name(), errors.Join(err, f.Close())
}

// trustVariables are how programs are told whom to trust.
var trustVariables = []string{"SSL_CERT_FILE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}

// run runs the program and records what the lab saw in the meantime.
func (r *labRecord) run(scene *netlab.Scene, trust string) error {
	cmd := exec.Command(r.Command[0], r.Command[1:]...) //nolint:noctx // it ends when it likes; signals reach it
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = os.Environ()
	for _, name := range trustVariables {
		cmd.Env = append(cmd.Env, name+"="+trust)
	}
	r.Began = time.Now()
	code, err := netlab.Run(cmd)
	if early, ok := errors.AsType[*netlab.SignalError](err); ok {
		return errSignal(early.Signal)
	}
	if err != nil {
		return notRun(r.Command[0], err)
	}
	r.ExitCode, r.took = code, time.Since(r.Began)
	packets, err := arrived(scene)
	if err != nil {
		return &exitError{exitNoLab, err}
	}
	r.add(scene, packets)
	return nil
}

// arrived returns the lab's packets when those on their way have come to the end
// of it, or when that takes too long to wait for.
func arrived(scene *netlab.Scene) (packets []link.Packet, err error) {
	const limit = time.Second
	underway := func(p link.Packet) bool { return p.Fate == link.Underway }
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		packets, err = scene.Packets()
		if err != nil || time.Now().After(deadline) || !slices.ContainsFunc(packets, underway) {
			return packets, err
		}
	}
}

// notRun tells a program that is not there from one that can't be run.
func notRun(name string, err error) error {
	code := exitNotRunnable
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code = exitNoProgram
	}
	return &exitError{code, fmt.Errorf("%s: %w", name, err)}
}

// add takes in what the lab saw since the program began.
func (r *labRecord) add(scene *netlab.Scene, packets []link.Packet) {
	for _, q := range scene.DNS.Log() {
		at := q.At.Sub(r.Began)
		r.Queries = append(r.Queries, labQuery{Offset: milliseconds(at), Name: q.Name, Type: q.Type, Over: q.Over, From: q.From.String(), at: at})
	}
	r.addPackets(packets, func(mono time.Duration) time.Duration { return scene.Time(mono).Sub(r.Began) })
}
