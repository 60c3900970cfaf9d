package main

import (
	"fmt"
	"strings"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// targetArgs are what to connect to.
type targetArgs struct {
	Targets []string `arg:"" name:"target" help:"One name or address with a port, such as example.com:443 or [2001:db8::1]:443. Several, or one written as label=host:port, are candidates to choose from."`
}

// target returns the target, or the candidates if that is what was given.
func (t *targetArgs) target() (string, []*pb.CandidateSpec) {
	if len(t.Targets) == 1 && !strings.Contains(t.Targets[0], "=") {
		return t.Targets[0], nil
	}
	specs := make([]*pb.CandidateSpec, len(t.Targets))
	for i, arg := range t.Targets {
		specs[i] = candidateSpec(arg)
	}
	return "", specs
}

// candidateSpec takes "label=host:port" apart. Endpoints have no equals sign, so
// the last one ends the label.
func candidateSpec(arg string) *pb.CandidateSpec {
	at := strings.LastIndexByte(arg, '=')
	if at < 0 {
		return &pb.CandidateSpec{Endpoint: arg}
	}
	return &pb.CandidateSpec{Label: arg[:at], Endpoint: arg[at+1:]}
}

// title is what a heading calls the target.
func (t *targetArgs) title() string {
	if len(t.Targets) == 1 {
		return t.Targets[0]
	}
	return fmt.Sprintf("%d candidates", len(t.Targets))
}
