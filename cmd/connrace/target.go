package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// targetArgs are what to connect to. The variable url of their help is about URLs: a
// command that takes none sets it to nothing.
type targetArgs struct {
	Targets []string `arg:"" name:"target" help:"One name or address with a port, such as example.com:443 or [2001:db8::1]:443. Several, or one written as label=host:port or host:port@RTT, are candidates to choose from.${url}"`
}

// asked is what the arguments say.
type asked struct {
	target     string
	candidates []*pb.CandidateSpec
	criterion  *pb.SuccessCriterion // of a URL; nil: it was none
}

// target returns the target, or the candidates if that is what was given.
func (t *targetArgs) target() (string, []*pb.CandidateSpec, error) {
	a, err := t.asked()
	if err == nil && a.criterion != nil {
		err = usage("a URL says what is to be asked for, and this command asks for nothing; write the target as host:port")
	}
	return a.target, a.candidates, err
}

// asked takes the arguments apart.
func (t *targetArgs) asked() (a asked, err error) {
	if len(t.Targets) == 1 && strings.Contains(t.Targets[0], "://") {
		a.target, a.criterion, err = urlTarget(t.Targets[0])
		return a, err
	}
	if i := slices.IndexFunc(t.Targets, func(arg string) bool { return strings.Contains(arg, "://") }); i >= 0 {
		return a, usage(fmt.Sprintf("candidate %d: a URL stands alone, since it says what counts as a success for all; write candidates as host:port, and add --tls, --http or --grpc-health", i+1))
	}
	a.target, a.candidates, err = t.plain()
	return a, err
}

func (t *targetArgs) plain() (string, []*pb.CandidateSpec, error) {
	if len(t.Targets) == 1 && !strings.ContainsAny(t.Targets[0], "=@") {
		return t.Targets[0], nil, nil
	}
	specs := make([]*pb.CandidateSpec, len(t.Targets))
	for i, arg := range t.Targets {
		spec, err := candidateSpec(arg)
		if err != nil {
			return "", nil, &exitError{exitUsage, fmt.Errorf("candidate %d: %w", i+1, err)}
		}
		specs[i] = spec
	}
	return "", specs, nil
}

// candidateSpec takes "label=host:port@20ms" apart. Endpoints have neither an
// equals sign nor an at sign: the last of the former ends the label, and the first
// of the latter behind it begins what is known of the endpoint.
func candidateSpec(arg string) (*pb.CandidateSpec, error) {
	at := strings.LastIndexByte(arg, '=')
	endpoint, known, hinted := strings.Cut(arg[at+1:], "@")
	spec := &pb.CandidateSpec{Label: arg[:max(at, 0)], Endpoint: endpoint}
	if !hinted {
		return spec, nil
	}
	return spec, addKnown(spec, known)
}

// addKnown takes in what is known of a candidate: one time is that of a round
// trip, several are those of past connects.
func addKnown(spec *pb.CandidateSpec, known string) error {
	var times []*durationpb.Duration
	for text := range strings.SplitSeq(known, ",") {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is no time; write what is known of it with a unit: %s@20ms", text, printable(spec.GetEndpoint()))
		}
		times = append(times, durationpb.New(d))
	}
	if len(times) == 1 {
		spec.ExpectedRtt = times[0]
	} else {
		spec.PastConnectDurations = times
	}
	return nil
}

// title is what a heading calls the target.
func (t *targetArgs) title() string {
	if len(t.Targets) == 1 {
		return t.Targets[0]
	}
	return fmt.Sprintf("%d candidates", len(t.Targets))
}
