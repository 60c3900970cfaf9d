package server_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/connect"
	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer/addrsel"
)

// What a reply says of the options when the request says nothing.
var (
	defaultSelection = &connracev1.SelectionOptions{
		FirstAddressFamilyCount: 1,
		ResolutionDelay:         durationpb.New(50 * time.Millisecond),
		MaxAddressesPerAnswer:   64,
	}
	defaultOptions = &connracev1.RaceOptions{
		Strategy:               connracev1.Strategy_STRATEGY_STAGGERED,
		Version:                connracev1.HappyEyeballsVersion_HAPPY_EYEBALLS_VERSION_V3,
		AttemptDelay:           durationpb.New(250 * time.Millisecond),
		AttemptDelayMultiplier: 1,
		MaxBackupAttempts:      proto.Int32(2),
		Grace:                  durationpb.New(0),
		AttemptTimeout:         durationpb.New(5 * time.Second),
		Timeout:                durationpb.New(30 * time.Second),
		MaxInFlight:            128,
	}
	defaultProbeOptions = &connracev1.ProbeOptions{
		AttemptTimeout: durationpb.New(5 * time.Second),
		Timeout:        durationpb.New(30 * time.Second),
		MaxInFlight:    32,
	}
	// sequential makes it certain why the next attempt starts, also on a machine
	// that is too busy for the attempt delay.
	sequential = &connracev1.RaceOptions{Strategy: connracev1.Strategy_STRATEGY_SEQUENTIAL}
	// sequentially is what a reply makes of sequential.
	sequentially = &connracev1.RaceOptions{
		Strategy:          connracev1.Strategy_STRATEGY_SEQUENTIAL,
		Version:           connracev1.HappyEyeballsVersion_HAPPY_EYEBALLS_VERSION_V3,
		MaxBackupAttempts: proto.Int32(0),
		Grace:             durationpb.New(0),
		AttemptTimeout:    durationpb.New(5 * time.Second),
		Timeout:           durationpb.New(30 * time.Second),
		MaxInFlight:       128,
	}
	refusal = &connracev1.Failure{
		ErrorType: "connection_refused",
		Errno:     "ECONNREFUSED",
		Message:   connect.Classify(syscall.ECONNREFUSED).Text,
		Fault:     connracev1.Fault_FAULT_TARGET,
	}
)

// run is what all replies of the daemon of plain have in common.
func run(end connracev1.EndReason) *connracev1.Run {
	return &connracev1.Run{
		StartTime:     someTime,
		Duration:      someDuration,
		DaemonVersion: "v1.2.3",
		Vantage:       "lab",
		EndReason:     end,
		Selection:     defaultSelection,
	}
}

// literal is a candidate at an address of the test hosts, never tried.
func literal(position int32, at netip.AddrPort) *connracev1.Candidate {
	return &connracev1.Candidate{
		Position:        position,
		Endpoint:        at.String(),
		Address:         at.Addr().String(),
		Port:            int32(at.Port()),
		Family:          connracev1.AddressFamily_ADDRESS_FAMILY_IPV4,
		Origin:          connracev1.Origin_ORIGIN_LITERAL,
		Outcome:         connracev1.Outcome_OUTCOME_NOT_STARTED,
		RankReason:      connracev1.RankReason_RANK_REASON_INPUT_ORDER,
		RankExplanation: addrsel.ReasonInputOrder.Text() + " (RFC 6724 rule 10)",
		SourceAddress:   "127.0.0.1",
	}
}

// last takes the reason to stand before the next one from a candidate.
func last(c *connracev1.Candidate) *connracev1.Candidate {
	c.RankReason, c.RankExplanation = connracev1.RankReason_RANK_REASON_UNSPECIFIED, ""
	return c
}

// tried gives a candidate an attempt, which decides its outcome.
func tried(c *connracev1.Candidate, number int32, why connracev1.AttemptTrigger, how connracev1.Outcome) *connracev1.Candidate {
	a := &connracev1.Attempt{
		Number:      number,
		Trigger:     why,
		StartOffset: someDuration,
		EndOffset:   someDuration,
		Phases: []*connracev1.Phase{{
			Kind:        connracev1.PhaseKind_PHASE_KIND_TCP_CONNECT,
			StartOffset: someDuration,
			Duration:    someDuration,
		}},
		Outcome: how,
	}
	if how == connracev1.Outcome_OUTCOME_FAILED {
		a.Failure, a.Phases[0].ErrorType = refusal, refusal.GetErrorType()
	}
	if how == connracev1.Outcome_OUTCOME_WON {
		c.IfFirstDifference = someDuration
	}
	c.Outcome, c.Attempts = how, append(c.GetAttempts(), a)
	return c
}

// paced gives a candidate's latest attempt the delay that the caller asked for.
func paced(c *connracev1.Candidate, delay time.Duration) *connracev1.Candidate {
	a := c.GetAttempts()[len(c.GetAttempts())-1]
	a.AttemptDelay, a.DelayBasis = durationpb.New(delay), connracev1.DelayBasis_DELAY_BASIS_CONFIGURED
	return c
}

func won(position, attempt int32, at netip.AddrPort) *connracev1.Winner {
	return &connracev1.Winner{
		Position:        position,
		Endpoint:        at.String(),
		Address:         at.Addr().String(),
		Port:            int32(at.Port()),
		Family:          connracev1.AddressFamily_ADDRESS_FAMILY_IPV4,
		LocalEndpoint:   someText,
		WinOffset:       someDuration,
		ConnectDuration: someDuration,
		AttemptNumber:   attempt,
	}
}

func TestRaceToOneAddress(t *testing.T) {
	t.Parallel()
	d, good := serve(t, plain()), host(t, netlab.Accept)
	before := time.Now()
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{Target: good.Addr().String()})
	must(t, err)

	began(t, reply.GetRun(), before)
	fits(t, reply.GetRun(), reply.GetCandidates())
	first := connracev1.AttemptTrigger_ATTEMPT_TRIGGER_FIRST
	same(t, reply, &connracev1.RaceResponse{
		Run:     run(connracev1.EndReason_END_REASON_WON),
		Options: defaultOptions,
		Winner:  won(1, 1, good.Addr()),
		Candidates: []*connracev1.Candidate{
			paced(tried(last(literal(1, good.Addr())), 1, first, connracev1.Outcome_OUTCOME_WON), 250*time.Millisecond),
		},
		Cost: &connracev1.Cost{AttemptCount: 1, ConnectedCount: 1},
	})
	c, err := net.Dial("tcp", reply.GetWinner().GetEndpoint())
	must(t, err)
	must(t, c.Close())
}

// The caller's own candidates come back with their labels and indices, and what
// failed before the winner is told.
func TestRaceOfCandidates(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	bad, good := host(t, netlab.Refuse).Addr(), host(t, netlab.Accept).Addr()
	before := time.Now()
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Candidates: []*connracev1.CandidateSpec{
			{Endpoint: bad.String(), Label: "blue"},
			{Endpoint: good.String(), Label: "green"},
			{Endpoint: good.String(), Label: "green again"},
		},
		Options: sequential,
	})
	must(t, err)

	began(t, reply.GetRun(), before)
	fits(t, reply.GetRun(), reply.GetCandidates())
	failed := tried(literal(1, bad), 1, connracev1.AttemptTrigger_ATTEMPT_TRIGGER_FIRST, connracev1.Outcome_OUTCOME_FAILED)
	failed.Label, failed.Index = "blue", proto.Int32(0)
	first := tried(last(literal(2, good)), 2, connracev1.AttemptTrigger_ATTEMPT_TRIGGER_FAILURE, connracev1.Outcome_OUTCOME_WON)
	first.Label, first.Index = "green", proto.Int32(1)
	twin := last(literal(3, good))
	twin.Label, twin.Index = "green again", proto.Int32(2)
	twin.Outcome, twin.SkipReason = connracev1.Outcome_OUTCOME_SKIPPED, connracev1.SkipReason_SKIP_REASON_DUPLICATE
	winner := won(2, 2, good)
	winner.Label, winner.Index = "green", proto.Int32(1)
	same(t, reply, &connracev1.RaceResponse{
		Run:        run(connracev1.EndReason_END_REASON_WON),
		Options:    sequentially,
		Winner:     winner,
		Candidates: []*connracev1.Candidate{failed, first, twin},
		Cost:       &connracev1.Cost{AttemptCount: 2, ConnectedCount: 1},
		Masked: &connracev1.Masked{
			Addresses: []*connracev1.MaskedAddress{{
				Position: 1,
				Endpoint: bad.String(),
				Family:   connracev1.AddressFamily_ADDRESS_FAMILY_IPV4,
				Outcome:  connracev1.Outcome_OUTCOME_FAILED,
				Phase:    connracev1.PhaseKind_PHASE_KIND_TCP_CONNECT,
				Duration: someDuration,
				Failure:  refusal,
			}},
			Summary: someText,
		},
	})
	for _, word := range []string{bad.String(), "connection_refused"} {
		if got := reply.GetMasked().GetSummary(); !strings.Contains(got, word) {
			t.Errorf("the summary is %q and does not say %q", got, word)
		}
	}
	winsAsItsAttemptSays(t, reply)
}

// winsAsItsAttemptSays holds the winner against its candidate.
func winsAsItsAttemptSays(t *testing.T, reply *connracev1.RaceResponse) {
	t.Helper()
	w := reply.GetWinner()
	a := winning(t, reply)
	took := a.GetEndOffset().AsDuration() - a.GetStartOffset().AsDuration()
	if w.GetLocalEndpoint() != a.GetLocalEndpoint() || w.GetWinOffset().AsDuration() != a.GetEndOffset().AsDuration() ||
		w.GetConnectDuration().AsDuration() != took {
		t.Errorf("the winner is %v, its attempt %v", w, a)
	}
	local, err := netip.ParseAddrPort(w.GetLocalEndpoint())
	if err != nil || local.Addr() != one || local.Port() == 0 {
		t.Errorf("the local end is %q (%v), want a port of 127.0.0.1", w.GetLocalEndpoint(), err)
	}
}

// winning returns the attempt that the winner's number means, which must be the
// only one that won.
func winning(t *testing.T, reply *connracev1.RaceResponse) *connracev1.Attempt {
	t.Helper()
	w := reply.GetWinner()
	var won []*connracev1.Attempt
	for _, c := range reply.GetCandidates() {
		for _, a := range c.GetAttempts() {
			if a.GetOutcome() == connracev1.Outcome_OUTCOME_WON {
				won = append(won, a)
			}
		}
	}
	at := reply.GetCandidates()[w.GetPosition()-1]
	if len(won) != 1 || won[0].GetNumber() != w.GetAttemptNumber() || !slices.Contains(at.GetAttempts(), won[0]) {
		t.Fatalf("the attempts that won are %v, want one, of the number and the candidate that %v names", won, w)
	}
	return won[0]
}

// One question is answered, the other one never is: the race does not wait.
func TestRaceByName(t *testing.T) {
	t.Parallel()
	p := port(t)
	bad, good := netip.AddrPortFrom(two, p), netip.AddrPortFrom(one, p)
	hostAt(t, netlab.Refuse, bad)
	hostAt(t, netlab.Accept, good)
	dns := names(t, map[string]netlab.Answers{
		"both.example": {A: netlab.Answer{Addrs: []netip.Addr{two, one}}, AAAA: netlab.Answer{Drop: true}},
	})
	d := serve(t, named(dns))
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{Target: fmt.Sprintf("both.example:%d", p), Options: sequential})
	must(t, err)

	fits(t, reply.GetRun(), reply.GetCandidates())
	failed := tried(literal(1, bad), 1, connracev1.AttemptTrigger_ATTEMPT_TRIGGER_FIRST, connracev1.Outcome_OUTCOME_FAILED)
	winner := tried(last(literal(2, good)), 2, connracev1.AttemptTrigger_ATTEMPT_TRIGGER_FAILURE, connracev1.Outcome_OUTCOME_WON)
	for _, c := range []*connracev1.Candidate{failed, winner} {
		c.Origin, c.Name = connracev1.Origin_ORIGIN_A, "both.example"
	}
	want := &connracev1.RaceResponse{
		Run:        run(connracev1.EndReason_END_REASON_WON),
		Options:    sequentially,
		Winner:     won(2, 2, good),
		Candidates: []*connracev1.Candidate{failed, winner},
		Cost:       &connracev1.Cost{AttemptCount: 2, ConnectedCount: 1},
		Masked:     unmeasured(reply.GetMasked()),
	}
	want.Run.Resolution = &connracev1.Resolution{Queries: []*connracev1.Query{{
		Name:        "both.example",
		Type:        connracev1.RecordType_RECORD_TYPE_AAAA,
		StartOffset: someDuration,
		Outcome:     connracev1.QueryOutcome_QUERY_OUTCOME_PENDING,
	}, {
		Name:        "both.example",
		Type:        connracev1.RecordType_RECORD_TYPE_A,
		StartOffset: someDuration,
		Duration:    someDuration,
		Outcome:     connracev1.QueryOutcome_QUERY_OUTCOME_ANSWERED,
		Addresses:   []string{"127.0.0.2", "127.0.0.1"},
	}}}
	same(t, reply, want)
	waited := reply.GetCandidates()[0].GetAttempts()[0].GetStartOffset().AsDuration()
	if waited < 50*time.Millisecond {
		t.Errorf("the first attempt starts after %v, want the resolution delay of 50ms at least", waited)
	}
}

// A silent address is masked when it had a head start.
func TestRaceMasksSilence(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	hole, good := host(t, netlab.Swallow).Addr(), host(t, netlab.Accept).Addr()
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Candidates: candidates(hole.String(), good.String()),
		Options:    &connracev1.RaceOptions{AttemptDelay: durationpb.New(100 * time.Millisecond)},
	})
	must(t, err)

	fits(t, reply.GetRun(), reply.GetCandidates())
	silent := tried(literal(1, hole), 1, connracev1.AttemptTrigger_ATTEMPT_TRIGGER_FIRST, connracev1.Outcome_OUTCOME_CANCELLED)
	winner := tried(last(literal(2, good)), 2, connracev1.AttemptTrigger_ATTEMPT_TRIGGER_ATTEMPT_DELAY, connracev1.Outcome_OUTCOME_WON)
	for i, c := range []*connracev1.Candidate{silent, winner} {
		paced(c, 100*time.Millisecond).Index = proto.Int32(int32(i))
	}
	same(t, &connracev1.RaceResponse{Candidates: reply.GetCandidates(), Cost: reply.GetCost()}, &connracev1.RaceResponse{
		Candidates: []*connracev1.Candidate{silent, winner},
		Cost:       &connracev1.Cost{AttemptCount: 2, ConnectedCount: 1},
	})
	tellsDifferences(t, reply)
	masked := reply.GetMasked().GetAddresses()[0]
	silence := masked.GetDuration().AsDuration()
	if masked.GetOutcome() != connracev1.Outcome_OUTCOME_CANCELLED || masked.GetFailure() != nil || silence < 100*time.Millisecond {
		t.Errorf("masked is %v, want it CANCELLED after 100ms at least, without a failure", masked)
	}
	if got := reply.GetMasked().GetSummary(); !strings.Contains(got, hole.String()) {
		t.Errorf("the summary is %q and does not say %v", got, hole)
	}
}

// Everything connects at once; one wins, and the cost counts all of them.
func TestRaceAllAtOnce(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Candidates: candidates(host(t, netlab.Accept).Addr().String(), host(t, netlab.Accept).Addr().String()),
		Options:    &connracev1.RaceOptions{Strategy: connracev1.Strategy_STRATEGY_ALL_AT_ONCE},
	})
	must(t, err)
	fits(t, reply.GetRun(), reply.GetCandidates())
	winsAsItsAttemptSays(t, reply)
	var begun int32 // the other one may have been given up before it was
	count := map[connracev1.Outcome]int32{}
	for _, c := range reply.GetCandidates() {
		count[c.GetOutcome()]++
		if c.GetAttempts()[0].GetStartOffset() != nil {
			begun++
		}
		if got := c.GetAttempts()[0].GetTrigger(); got != connracev1.AttemptTrigger_ATTEMPT_TRIGGER_ALL_AT_ONCE {
			t.Errorf("%s started because of %v", c.GetEndpoint(), got)
		}
	}
	late := count[connracev1.Outcome_OUTCOME_CONNECTED_LATE]
	if count[connracev1.Outcome_OUTCOME_WON] != 1 || late+count[connracev1.Outcome_OUTCOME_CANCELLED] != 1 {
		t.Errorf("outcomes are %v, want one winner and one that lost", count)
	}
	want := &connracev1.Cost{AttemptCount: begun, ConnectedCount: 1 + late, DroppedCount: late}
	if !proto.Equal(reply.GetCost(), want) {
		t.Errorf("the cost is %v, want %v", reply.GetCost(), want)
	}
	if reply.GetMasked() != nil {
		t.Errorf("masked is %v: neither had a head start", reply.GetMasked())
	}
}

// A race that nobody wins is a result, and its end says which of the many ways
// it was.
func TestRaceTimesOut(t *testing.T) {
	t.Parallel()
	d, hole := serve(t, plain()), host(t, netlab.Swallow).Addr()
	before := time.Now()
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Target:  hole.String(),
		Options: &connracev1.RaceOptions{AttemptTimeout: durationpb.New(30 * time.Millisecond)},
	})
	must(t, err)
	began(t, reply.GetRun(), before)
	c := paced(tried(last(literal(1, hole)), 1, connracev1.AttemptTrigger_ATTEMPT_TRIGGER_FIRST, connracev1.Outcome_OUTCOME_TIMED_OUT), 250*time.Millisecond)
	message := reply.GetCandidates()[0].GetAttempts()[0].GetFailure().GetMessage()
	if !strings.Contains(message, "30ms") {
		t.Errorf("the failure is %q and does not say how long the silence was", message)
	}
	c.Attempts[0].Failure = &connracev1.Failure{
		ErrorType: "timed_out", Message: message, Fault: connracev1.Fault_FAULT_TARGET,
	}
	c.Attempts[0].Phases[0].ErrorType = "timed_out"
	options := proto.CloneOf(defaultOptions)
	options.AttemptTimeout = durationpb.New(30 * time.Millisecond)
	same(t, reply, &connracev1.RaceResponse{
		Run:        run(connracev1.EndReason_END_REASON_EXHAUSTED),
		Options:    options,
		Candidates: []*connracev1.Candidate{c},
		Cost:       &connracev1.Cost{AttemptCount: 1},
	})
	a := reply.GetCandidates()[0].GetAttempts()[0]
	if took := a.GetPhases()[0].GetDuration().AsDuration(); took < 30*time.Millisecond {
		t.Errorf("the attempt timed out after %v, want 30ms at least", took)
	}
}
