package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/connrace/connrace/internal/netlab"
)

// settings are the command line.
type settings struct {
	short   bool
	json    string         // a file, or nothing
	profile string         // a directory, or nothing
	only    *regexp.Regexp // cases by place and name; nil: all
}

// pace is how long a run takes.
type pace struct {
	rounds        int // samples of each program
	warm, measure time.Duration
}

func (s settings) pace() pace {
	if s.short {
		return pace{rounds: 3, warm: 20 * time.Millisecond, measure: 60 * time.Millisecond}
	}
	return pace{rounds: 7, warm: 50 * time.Millisecond, measure: 250 * time.Millisecond}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == workerCommand {
		exit(work(os.Args[2:]))
	}
	var s settings
	flag.BoolVar(&s.short, "short", false, "half a minute instead of three: fewer and shorter samples")
	flag.StringVar(&s.json, "json", "", "write all samples to this `file`")
	flag.StringVar(&s.profile, "profile", "", "write CPU profiles of the Go programs to this `directory`")
	flag.Func("only", "cases whose place and name match this `pattern`, such as 'link: race of 8'", func(text string) (err error) {
		s.only, err = regexp.Compile(text)
		return err
	})
	flag.Parse()

	// All of it runs in the lab's client host, also what is over loopback: there
	// nobody else's connections are.
	code, inside, err := netlab.Enter()
	if forbidden := new(netlab.ForbiddenError); errors.As(err, &forbidden) {
		fmt.Printf("left out: the lab link: %v\n", err)
		exit(run(s, nil))
	}
	if err != nil || inside {
		exit(errors.Join(err, runInside(s)))
	}
	os.Exit(code)
}

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
	places, err := openPlaces(lab)
	if err != nil {
		return err
	}
	programs, cleanup, err := availablePrograms(s.profile)
	if err != nil {
		return err
	}
	defer cleanup()
	r := newReport(s.pace())
	fmt.Println(r.Machine)
	for _, c := range s.cases(places) {
		row, err := measure(c, programs, s.pace())
		if err != nil {
			return fmt.Errorf("%s: %w", c.title(), err)
		}
		r.add(row)
		row.print()
	}
	r.printBars()
	return r.write(s.json)
}

// cases are those that were asked for.
func (s settings) cases(places []place) (chosen []benchCase) {
	for _, p := range places {
		for _, c := range p.cases() {
			if s.only == nil || s.only.MatchString(c.title()) {
				chosen = append(chosen, c)
			}
		}
	}
	return chosen
}
