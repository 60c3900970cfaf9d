package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"

	"github.com/connrace/connrace/internal/netlab"
)

// settings are the command line.
type settings struct {
	short    bool
	json     string         // a file, or nothing
	markdown string         // a file that -json has written, or nothing
	profile  string         // a directory, or nothing
	only     *regexp.Regexp // titles; nil: all
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == workerCommand {
		exit(work(os.Args[2:]))
	}
	s := parseSettings()
	if s.markdown != "" {
		r, err := readReport(s.markdown)
		if err == nil {
			err = r.markdown(os.Stdout)
		}
		exit(err)
	}

	// All of it runs in the lab's client host, also what is over loopback: there
	// nobody else's connections are.
	code, inside, err := netlab.Enter()
	if forbidden := new(netlab.ForbiddenError); errors.As(err, &forbidden) {
		fmt.Println("no lab:", err)
		exit(run(s, nil))
	}
	if err != nil || inside {
		exit(errors.Join(err, runInside(s)))
	}
	os.Exit(code)
}

func parseSettings() (s settings) {
	flag.BoolVar(&s.short, "short", false, "a minute instead of eight: fewer and shorter samples")
	flag.StringVar(&s.json, "json", "", "write all samples to this `file`")
	flag.StringVar(&s.markdown, "markdown", "", "measure nothing, and print the tables of a `file` that -json has written")
	flag.StringVar(&s.profile, "profile", "", "write CPU profiles of the Go programs to this `directory`")
	flag.Func("only", "what matches this `pattern`, such as 'link.*: race of 8' or 'fetch'", func(text string) (err error) {
		s.only, err = regexp.Compile(text)
		return err
	})
	flag.Parse()
	return s
}

func (s settings) wants(title string) bool { return s.only == nil || s.only.MatchString(title) }

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runInside(s settings) error {
	lab, err := netlab.Start(netlab.Config{})
	if err != nil {
		return err
	}
	return errors.Join(run(s, lab), lab.Close())
}

// run measures everything and prints it. Without a lab it is loopback alone.
func run(s settings, lab *netlab.Lab) error {
	b, cleanup, err := newBench(s, lab)
	if err != nil {
		return err
	}
	defer cleanup()
	for _, part := range []func() error{b.races, b.pending, b.probers, b.rpcs, b.roundTrips, b.fetches} {
		if err := part(); err != nil {
			return err
		}
	}
	b.report.judge()
	printBars(b.report.Bars)
	return b.report.write(s.json)
}
