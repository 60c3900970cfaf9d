package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/connrace/connrace/internal/netlab"
)

// bench is a run: what it has to work with, and what it has found.
type bench struct {
	settings
	self     string      // this program
	lab      *netlab.Lab // nil: there is none
	places   []place     // loopback first
	programs []program   // that make connects
	tracer   *tracer     // nil: system calls are not counted
	report   *report
}

func newBench(s settings, lab *netlab.Lab) (*bench, func(), error) {
	b := &bench{settings: s, lab: lab, report: newReport(s.pace())}
	fmt.Println(b.report.Machine)
	if lab == nil {
		b.report.leaveOut("the link, pending attempts, round trips and fetches: there is no lab")
	}
	self, errSelf := os.Executable()
	places, errPlaces := openPlaces(lab)
	if err := errors.Join(errSelf, errPlaces); err != nil {
		return nil, nil, err
	}
	b.self, b.places = self, places
	programs, removePrograms, err := availablePrograms(self, s.profile, b.report)
	if err != nil {
		return nil, nil, err
	}
	tracer, removeTraces, err := newTracer(b.report)
	if err != nil {
		removePrograms()
		return nil, nil, err
	}
	b.programs, b.tracer = programs, tracer
	return b, func() { removePrograms(); removeTraces() }, nil
}

// races measures connects, races and probes everywhere, and counts their system calls.
func (b *bench) races() error {
	for _, c := range b.cases() {
		row, err := measure(c, b.programs, b.pace())
		if err != nil {
			return fmt.Errorf("%s: %w", c.title(), err)
		}
		b.report.Rows = append(b.report.Rows, row)
		row.print()
		if b.tracer == nil || !c.Counted {
			continue
		}
		counted, err := b.tracer.count(c, b.programs, b.pace().counted())
		if err != nil {
			return err
		}
		b.report.Calls = append(b.report.Calls, counted)
		counted.print()
	}
	return nil
}

// cases are those that were asked for.
func (b *bench) cases() (chosen []benchCase) {
	for _, p := range b.places {
		for _, c := range p.cases() {
			if b.wants(c.title()) {
				chosen = append(chosen, c)
			}
		}
	}
	return chosen
}

func (b *bench) pending() error {
	if b.lab == nil || !b.wants("pending") {
		return nil
	}
	fmt.Println("\nattempts that are pending ...")
	c, err := pendingCase(b.lab)
	if err != nil {
		return err
	}
	row, err := measurePending(c, b.programs, b.pace().pendingRounds())
	if err != nil {
		return fmt.Errorf("pending attempts: %w", err)
	}
	b.report.Pending = &row
	row.print()
	return nil
}

func (b *bench) probers() error {
	if !b.wants("probers") {
		return nil
	}
	fmt.Println("\nservers that probe ...")
	row, err := measureProbers(b.self, b.pace().calls(), b.report)
	if err != nil {
		return fmt.Errorf("probers: %w", err)
	}
	b.report.Probers = &row
	row.print()
	return nil
}

func (b *bench) rpcs() error {
	if !b.wants("rpcs") {
		return nil
	}
	fmt.Println("\nRPCs ...")
	row, err := measureRPCs(b.self, rpcCase(b.places[0]), b.pace().calls())
	if err != nil {
		return fmt.Errorf("RPCs: %w", err)
	}
	b.report.RPCs = &row
	row.print()
	return nil
}

func (b *bench) roundTrips() (err error) {
	if b.lab == nil || !b.wants("round trips") {
		return nil
	}
	fmt.Println("\nround trips ...")
	b.report.RoundTrips, err = measureRoundTrips(b.self, b.lab, b.pace().roundTrips())
	printRoundTrips(b.report.RoundTrips)
	return err
}

func (b *bench) fetches() (err error) {
	if b.lab == nil || !b.wants("fetches") {
		return nil
	}
	fmt.Println("\nfetches with one backend dead ...")
	b.report.Fetches, err = fetchAll(b.lab, b.pace().fetches(), availableFetchers(b.report))
	for _, row := range b.report.Fetches {
		row.print()
	}
	return err
}
