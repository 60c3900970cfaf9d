package sched

import (
	"fmt"
	"strings"
	"time"
)

// history is a race from its first Step to its last.
type history struct {
	cfg   Config
	steps []step
}

// step is one Step and the Next behind it.
type step struct {
	now     time.Duration
	events  []Event
	actions []Action
	next    time.Duration
	waits   bool // next counts
}

// log returns the transcript.
func (h *history) log() []Entry {
	var log []Entry
	for _, s := range h.steps {
		log = Record(log, s.now, s.events, s.actions)
	}
	return log
}

// lines returns the transcript, one entry a line.
func (h *history) lines() string {
	var b strings.Builder
	for _, entry := range h.log() {
		fmt.Fprintln(&b, entry)
	}
	return b.String()
}

// text returns the parameters, what the transcript leaves out of the candidates and
// the transcript for a failure message.
func (h *history) text() string { return fmt.Sprintf("%+v\n%s%s", h.cfg, h.facts(), h.lines()) }

// facts are those of the candidates that have any, each time they are told.
func (h *history) facts() string {
	var b strings.Builder
	for _, entry := range h.log() {
		for _, c := range entry.Event.Candidates {
			plain := Candidate{ID: c.ID, Endpoint: c.Endpoint, Source: c.Source, SourceBits: c.SourceBits}
			if got, want := fmt.Sprintf("%+v", c), fmt.Sprintf("%+v", plain); got != want {
				fmt.Fprintln(&b, entry.At, got)
			}
		}
	}
	return b.String()
}
