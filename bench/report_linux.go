package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// report is a whole run.
type report struct {
	Machine    machine        `json:"machine"`
	Rounds     int            `json:"rounds"`
	Sample     string         `json:"sample"`  // how long each one is
	LeftOut    []string       `json:"leftOut"` // with the reasons
	Rows       []row          `json:"rows"`
	Calls      []callsRow     `json:"systemCalls"`
	Pending    *pendingRow    `json:"pending"` // nil: not measured
	Probers    *callRow       `json:"probers"` // likewise
	RPCs       *callRow       `json:"rpcs"`    // likewise
	RoundTrips []roundTripRow `json:"roundTrips"`
	Fetches    []fetchRow     `json:"fetches"`
	Bars       []bar          `json:"bars"`
}

func newReport(p pace) *report {
	return &report{Machine: thisMachine(), Rounds: p.rounds, Sample: p.measure.String()}
}

// leaveOut says that something is missing, and why.
func (r *report) leaveOut(what string) {
	fmt.Println("left out:", what)
	r.LeftOut = append(r.LeftOut, what)
}

// judge compares all that was measured with what it is to be.
func (r *report) judge() {
	for _, x := range r.Rows {
		r.Bars = append(r.Bars, x.bars()...)
	}
	if r.Pending != nil {
		r.Bars = append(r.Bars, r.Pending.bars()...)
	}
	if r.Probers != nil {
		r.Bars = append(r.Bars, proberBars(*r.Probers)...)
	}
	if r.RPCs != nil {
		r.Bars = append(r.Bars, rpcBars(*r.RPCs)...)
	}
	for _, x := range r.RoundTrips {
		r.Bars = append(r.Bars, x.bar())
	}
}

// write writes the whole report; no file is fine.
func (r *report) write(file string) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

func readReport(file string) (*report, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(report)
	return r, json.Unmarshal(text, r)
}
