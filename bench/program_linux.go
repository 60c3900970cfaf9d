package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// program is one way to make connects. It runs as a process of its own and prints a
// sample.
type program struct {
	Name    string
	command func(c benchCase, p pace) []string
	pending func(c benchCase) []string // prints a heldMemory; nil: it does what another one does
}

// availablePrograms builds the C program where there is a compiler. cleanup removes
// what was built.
func availablePrograms(self, profiles string, r *report) (all []program, cleanup func(), err error) {
	c, cleanup, err := buildC()
	switch {
	case err != nil:
		return nil, nil, err
	case c == "":
		r.leaveOut("the C program, and all ratios to it: there is no C compiler (cc; or name one in CC)")
	default:
		all = append(all, cProgram(nameC, c, false), cProgram(nameFacts, c, true))
	}
	for _, name := range contenders {
		all = append(all, goProgram(self, name, profiles))
	}
	return all, cleanup, nil
}

// Names of the C programs.
const (
	nameC     = "C"
	nameFacts = "C, same facts"
)

// buildC returns the path of the program, or "" where there is no C compiler.
func buildC() (path string, cleanup func(), err error) {
	compiler := os.Getenv("CC")
	if compiler == "" {
		compiler = "cc"
	}
	if _, err := exec.LookPath(compiler); err != nil {
		return "", func() {}, nil //nolint:nilerr // that it is not there is the answer
	}
	dir, err := os.MkdirTemp("", "connrace-bench-")
	if err != nil {
		return "", nil, err
	}
	cleanup = func() { _ = os.RemoveAll(dir) }
	path = filepath.Join(dir, "connects")
	source := filepath.Join("bench", "c", "connects.c")
	if out, err := exec.Command(compiler, "-O2", "-Wall", "-o", path, source).CombinedOutput(); err != nil { //nolint:noctx // it ends by itself
		cleanup()
		return "", nil, fmt.Errorf("build %s (run bench at the top of the repository): %w\n%s", source, err, out)
	}
	return path, cleanup, nil
}

func cProgram(name, path string, facts bool) program {
	asks := "0"
	if facts {
		asks = "1"
	}
	command := func(goal string, c benchCase, p pace) []string {
		args := []string{path, goal, strconv.Itoa(c.InFlight), millis(p.warm), millis(p.measure), asks}
		return append(args, endpoints(c)...)
	}
	p := program{Name: name, command: func(c benchCase, p pace) []string { return command(string(c.Goal), c, p) }}
	if !facts { // what is asked takes no memory
		p.pending = func(c benchCase) []string { return command("pending", c, pace{}) }
	}
	return p
}

func goProgram(self, name, profiles string) program {
	return program{
		Name: name,
		command: func(c benchCase, p pace) []string {
			args := []string{
				self, workerCommand, connectsWorker, "-program", name, "-goal", string(c.Goal),
				"-in-flight", strconv.Itoa(c.InFlight), "-warm", p.warm.String(), "-measure", p.measure.String(),
			}
			if profiles != "" {
				args = append(args, "-profile", profiles)
			}
			return append(args, endpoints(c)...)
		},
		pending: func(c benchCase) []string {
			args := []string{self, workerCommand, pendingWorker, "-program", name, "-goal", string(c.Goal), "-in-flight", strconv.Itoa(c.InFlight)}
			return append(args, endpoints(c)...)
		},
	}
}

func endpoints(c benchCase) []string {
	texts := make([]string, len(c.Endpoints))
	for i, e := range c.Endpoints {
		texts[i] = e.String()
	}
	return texts
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// sample is what a program prints: what the time measured has seen.
type sample struct {
	UserMicros   float64 `json:"userUs"`
	SystemMicros float64 `json:"systemUs"`
	WallMicros   float64 `json:"wallUs"`
	Races        float64 `json:"races"`
	Attempts     float64 `json:"attempts"`
	Failures     float64 `json:"failures"`
	Switches     float64 `json:"switches"`    // of context: threads that waited, or had to
	Allocations  float64 `json:"allocations"` // of a Go program
}

// run takes one sample.
func (p program) run(c benchCase, at pace) (s sample, err error) {
	if err := output(p.command(c, at), &s); err != nil {
		return s, fmt.Errorf("%s: %w", p.Name, err)
	}
	if s.Races == 0 {
		return s, fmt.Errorf("%s: no race was over", p.Name)
	}
	return s, nil
}

// output runs a program to its end and reads the JSON that it prints.
func output(command []string, into any) error {
	const limit = 4 * time.Minute // they end by themselves long before
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, complaint.Bytes())
	}
	return json.Unmarshal(out.Bytes(), into)
}
