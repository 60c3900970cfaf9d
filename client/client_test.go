package client_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/client"
	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/server"
)

// Requests and replies go through unchanged.
func TestCalls(t *testing.T) {
	t.Parallel()
	c := asking(t, &scripted{
		rank: func(_ context.Context, req *connracev1.ResolveAndRankRequest) (*connracev1.ResolveAndRankResponse, error) {
			return &connracev1.ResolveAndRankResponse{Run: &connracev1.Run{Vantage: req.GetTarget()}}, nil
		},
		race: func(_ context.Context, req *connracev1.RaceRequest) (*connracev1.RaceResponse, error) {
			return &connracev1.RaceResponse{Run: &connracev1.Run{Vantage: req.GetTarget()}}, nil
		},
		probe: func(_ context.Context, req *connracev1.ProbeRequest) (*connracev1.ProbeResponse, error) {
			return &connracev1.ProbeResponse{Run: &connracev1.Run{Vantage: req.GetTarget()}}, nil
		},
	})
	ctx, want := patient(t), &connracev1.Run{Vantage: "example.com:443"}
	rank, err := c.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Target: want.GetVantage()})
	must(t, err)
	race, err := c.Race(ctx, &connracev1.RaceRequest{Target: want.GetVantage()})
	must(t, err)
	probe, err := c.Probe(ctx, &connracev1.ProbeRequest{Target: want.GetVantage()})
	must(t, err)
	for rpc, got := range map[string]*connracev1.Run{"rank": rank.GetRun(), "race": race.GetRun(), "probe": probe.GetRun()} {
		if !proto.Equal(got, want) {
			t.Errorf("%s: %v, want %v", rpc, got, want)
		}
	}
}

// A reply may be larger than the 4 MiB gRPC allows by itself.
func TestLargeReplies(t *testing.T) {
	t.Parallel()
	large := &connracev1.ProbeReport{VerdictExplanation: strings.Repeat("a", 6<<20)}
	c := asking(t, &scripted{
		probe: func(context.Context, *connracev1.ProbeRequest) (*connracev1.ProbeResponse, error) {
			return &connracev1.ProbeResponse{Report: large}, nil
		},
		watch: func(_ *connracev1.WatchProbeRequest, stream connracev1.RacerService_WatchProbeServer) error {
			return stream.Send(&connracev1.WatchProbeResponse{Report: large})
		},
	})
	probe, err := c.Probe(patient(t), &connracev1.ProbeRequest{})
	must(t, err)
	if got := len(probe.GetReport().GetVerdictExplanation()); got != 6<<20 {
		t.Errorf("%d bytes arrive of the probe", got)
	}
	for round, err := range c.WatchProbe(patient(t), &connracev1.WatchProbeRequest{}) {
		must(t, err)
		if got := len(round.GetReport().GetVerdictExplanation()); got != 6<<20 {
			t.Errorf("%d bytes arrive of the watch", got)
		}
	}
}

// The caller's dial options come after ours and so have the last word.
func TestDialOptions(t *testing.T) {
	t.Parallel()
	address := daemon(t)
	c := dial(t, address, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1)))
	_, err := c.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{Target: "127.0.0.1:80"})
	if e := is(t, "ResolveAndRank", err); e.Status.Code() != codes.ResourceExhausted {
		t.Errorf("a reply of more than a byte arrives: %v", err)
	}
}

// daemon starts a real one and returns its address.
func daemon(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := server.New(server.Config{Racer: racer.New(racer.Config{}), Version: "v1.2.3"})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s.Shutdown(ctx)
		must(t, <-served)
	})
	return l.Addr().String()
}

// The whole way, with a real daemon and a host that refuses.
func TestRealDaemon(t *testing.T) {
	t.Parallel()
	c := dial(t, daemon(t))
	bad := host(t, netlab.Refuse)
	ctx := patient(t)

	_, err := c.Race(ctx, &connracev1.RaceRequest{Target: bad, FailUnlessWon: true})
	race := is(t, "Race", err, "ErrNotWon").Reply.(*connracev1.RaceResponse)
	if got := race.GetCandidates()[0].GetEndpoint(); got != bad || race.GetRun().GetDaemonVersion() != "v1.2.3" {
		t.Errorf("the reply is about %q: %v", got, race)
	}
	_, err = c.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Target: "169.254.169.254:80", FailUnlessRanked: true})
	_ = is(t, "ResolveAndRank", err, "ErrNotRanked").Reply.(*connracev1.ResolveAndRankResponse)
	_, err = c.Probe(ctx, &connracev1.ProbeRequest{Target: bad, FailUnlessReachable: true})
	_ = is(t, "Probe", err, "ErrNotReachable").Reply.(*connracev1.ProbeResponse)
	for round, err := range c.WatchProbe(ctx, &connracev1.WatchProbeRequest{Target: bad, FailUnlessReachable: true}) {
		if round != nil {
			t.Errorf("a round is sent: %v", round)
		}
		_ = is(t, "WatchProbe", err, "ErrNotReachable").Reply.(*connracev1.WatchProbeResponse)
	}

	_, err = c.Race(ctx, &connracev1.RaceRequest{Target: "example.com"})
	e := is(t, "Race", err, "ErrInvalidRequest")
	if len(e.Fields) != 1 || e.Fields[0].Field != "target" || !strings.Contains(e.Fields[0].Description, "port") {
		t.Errorf("the fields are %v, want target and what it lacks", e.Fields)
	}
	reply, err := c.Race(ctx, &connracev1.RaceRequest{Target: bad})
	must(t, err)
	if reply.GetWinner() != nil || reply.GetRun().GetEndReason() != connracev1.EndReason_END_REASON_EXHAUSTED {
		t.Errorf("the reply is %v", reply)
	}
}

// What a request says of its candidates and of the race goes the whole way, and what
// comes of it goes back: delays and where they come from, backups, what a loser would
// have come to.
func TestRealDaemonWithKnownCandidates(t *testing.T) {
	t.Parallel()
	c := dial(t, daemon(t))
	silent, good := host(t, netlab.Swallow), host(t, netlab.Accept)
	reply, err := c.Race(patient(t), &connracev1.RaceRequest{
		Candidates: []*connracev1.CandidateSpec{
			{Endpoint: silent, ExpectedRtt: durationpb.New(20 * time.Millisecond)},
			{Endpoint: good, PastConnectDurations: []*durationpb.Duration{durationpb.New(8 * time.Millisecond)}},
		},
		Options: &connracev1.RaceOptions{
			Strategy: connracev1.Strategy_STRATEGY_ADAPTIVE, AdaptiveQuantile: 0.9,
			MaxBackupAttempts: proto.Int32(1), Grace: durationpb.New(100 * time.Millisecond),
		},
	})
	must(t, err)
	first, second := reply.GetCandidates()[0], reply.GetCandidates()[1]
	wantDelay(t, first, 60*time.Millisecond, connracev1.DelayBasis_DELAY_BASIS_RETRANSMISSION_TIMEOUT)
	wantDelay(t, second, 10*time.Millisecond, connracev1.DelayBasis_DELAY_BASIS_QUANTILE)
	if w := reply.GetWinner(); w.GetEndpoint() != good || w.GetAttemptNumber() != 2 {
		t.Errorf("the winner is %v", w)
	}
	if d := second.GetIfFirstDifference(); d == nil || d.AsDuration() > -60*time.Millisecond || first.GetIfFirstDifference() != nil {
		t.Errorf("the differences are %v and %v", first.GetIfFirstDifference(), d)
	}
	o := reply.GetOptions()
	if o.GetMaxBackupAttempts() != 1 || o.GetGrace().AsDuration() != 100*time.Millisecond || o.GetVersion() != connracev1.HappyEyeballsVersion_HAPPY_EYEBALLS_VERSION_V3 {
		t.Errorf("in effect are %v", o)
	}

	reply, err = c.Race(patient(t), &connracev1.RaceRequest{
		Target: silent, Options: &connracev1.RaceOptions{AttemptTimeout: durationpb.New(2 * time.Second)},
	})
	must(t, err)
	attempts := reply.GetCandidates()[0].GetAttempts()
	if len(attempts) != 2 || attempts[1].GetTrigger() != connracev1.AttemptTrigger_ATTEMPT_TRIGGER_BACKUP || reply.GetCost().GetBackupCount() != 1 {
		t.Errorf("attempts are %v, cost is %v", attempts, reply.GetCost())
	}
}

func host(t *testing.T, behave func(netip.AddrPort) (*netlab.Host, error)) (endpoint string) {
	t.Helper()
	h, err := behave(netip.MustParseAddrPort("127.0.0.1:0"))
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	return h.Addr().String()
}

func wantDelay(t *testing.T, c *connracev1.Candidate, delay time.Duration, basis connracev1.DelayBasis) {
	t.Helper()
	if a := c.GetAttempts()[0]; a.GetAttemptDelay().AsDuration() != delay || a.GetDelayBasis() != basis {
		t.Errorf("the attempt at %s has the delay %v from %s, want %v from %s", c.GetEndpoint(), a.GetAttemptDelay(), a.GetDelayBasis(), delay, basis)
	}
}

// A target that leads nowhere is nobody there, at the latest when it is used.
func TestNowhere(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"", "unix:", "unix:///no/such/socket", "passthrough:///127.0.0.1:0"} {
		c, err := client.New(target)
		if err != nil {
			continue
		}
		_, err = c.Race(patient(t), &connracev1.RaceRequest{})
		is(t, fmt.Sprintf("%q", target), err, "ErrUnavailable")
		must(t, c.Close())
	}
}
