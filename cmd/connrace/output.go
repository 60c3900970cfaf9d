package main

import (
	"bytes"
	"encoding/json"
	"io"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// output is where a command writes its result, and how. It remembers the first
// error of writing, so that commands need not look.
type output struct {
	w      io.Writer
	stderr io.Writer
	style  style
	err    error
}

func newOutput(stdout, stderr io.Writer) *output {
	return &output{w: stdout, stderr: stderr, style: styleOf(stdout)}
}

// Write passes p on to stdout.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// outputFlags say in which form a reply is printed.
type outputFlags struct {
	Output     string `short:"o" enum:"text,json" default:"text" placeholder:"FORM" group:"output" help:"text for people (the default), json for programs: the reply as protobuf JSON."`
	Transcript bool   `group:"output" help:"Add all that happened, in the order the race learned of it."`
}

// show prints a reply: as JSON, or as text by the given function.
func (f *outputFlags) show(out *output, reply proto.Message, text func()) error {
	if f.Output == "json" {
		return printJSON(out, reply, true)
	}
	text()
	return nil
}

// printJSON prints protobuf JSON, on one line unless multiline. The spaces that
// protojson varies from build to build are made the same.
func printJSON(w io.Writer, reply proto.Message, multiline bool) error {
	raw, err := protojson.Marshal(reply)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if multiline {
		err = json.Indent(&b, raw, "", "  ")
	} else {
		err = json.Compact(&b, raw)
	}
	if err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = w.Write(b.Bytes())
	return err
}
