package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

type watchStream = grpc.ServerStreamingClient[connracev1.WatchProbeResponse]

// watch begins a watch that ends with the test.
func watch(t *testing.T, d *daemon, req *connracev1.WatchProbeRequest) watchStream {
	t.Helper()
	stream, err := d.rpc.WatchProbe(patient(t), req)
	must(t, err)
	return stream
}

func receive(t *testing.T, stream watchStream) *connracev1.WatchProbeResponse {
	t.Helper()
	m, err := stream.Recv()
	must(t, err)
	return m
}

// often is an interval that does not hold up a test.
func often() *durationpb.Duration { return durationpb.New(10 * time.Millisecond) }

func TestWatchProbe(t *testing.T) {
	t.Parallel()
	d, good := serve(t, plain()), host(t, netlab.Accept).Addr()
	interval := 50 * time.Millisecond
	before := time.Now()
	stream := watch(t, d, &connracev1.WatchProbeRequest{Target: good.String(), Interval: durationpb.New(interval)})
	p := probed(1, 1, 1, good, connracev1.Outcome_OUTCOME_CONNECTED)
	last(p.GetCandidate())
	for round := int64(1); round <= 3; round++ {
		m := receive(t, stream)
		p.GetCandidate().GetAttempts()[0].Number = int32(round)
		began(t, m.GetRun(), before)
		before = m.GetRun().GetStartTime().AsTime().Add(interval) // the next one
		same(t, m, &connracev1.WatchProbeResponse{
			Run:      run(connracev1.EndReason_END_REASON_COMPLETED),
			Options:  defaultProbeOptions,
			Round:    round,
			Interval: durationpb.New(interval),
			Report: &connracev1.ProbeReport{
				Verdict:            connracev1.Verdict_VERDICT_REACHABLE,
				VerdictExplanation: someText,
				Candidates:         []*connracev1.ProbedCandidate{p},
				Families: []*connracev1.ProbedFamily{{
					Family:         connracev1.AddressFamily_ADDRESS_FAMILY_IPV4,
					Verdict:        connracev1.Verdict_VERDICT_REACHABLE,
					AddressCount:   1,
					ReachableCount: 1,
					Stats:          p.GetStats(),
				}},
			},
		})
	}
}

func TestWatchProbeDefaultInterval(t *testing.T) {
	t.Parallel()
	d, good := serve(t, plain()), host(t, netlab.Accept).Addr()
	m := receive(t, watch(t, d, &connracev1.WatchProbeRequest{Target: good.String()}))
	if got := m.GetInterval().AsDuration(); got != time.Second {
		t.Errorf("the interval is %v, want 1s", got)
	}
}

// A name that moves is followed.
func TestWatchProbeResolvesAnew(t *testing.T) {
	t.Parallel()
	p := port(t)
	from, to := netip.AddrPortFrom(one, p), netip.AddrPortFrom(two, p)
	hostAt(t, netlab.Accept, from)
	hostAt(t, netlab.Accept, to)
	dns := names(t, map[string]netlab.Answers{"moving.example": addresses(one)})
	d := serve(t, named(dns))
	stream := watch(t, d, &connracev1.WatchProbeRequest{Target: fmt.Sprintf("moving.example:%d", p), Interval: often()})
	endpoint := func() string {
		return receive(t, stream).GetReport().GetCandidates()[0].GetCandidate().GetEndpoint()
	}
	if got := endpoint(); got != from.String() {
		t.Errorf("probed %s, want %v", got, from)
	}
	dns.Set("moving.example", addresses(two))
	eventually(t, "the other address is probed", func() bool { return endpoint() == to.String() })
}

// The transcript is on request in every message, and is of the message's round.
func TestWatchProbeTranscript(t *testing.T) {
	t.Parallel()
	d, good := serve(t, plain()), host(t, netlab.Accept).Addr()
	stream := watch(t, d, &connracev1.WatchProbeRequest{Target: good.String(), Interval: often(), IncludeTranscript: true})
	for range 3 {
		m := receive(t, stream)
		tellsRounds(t, m.GetRun(), m.GetReport(), int32(m.GetRound()))
		for _, e := range m.GetRun().GetTranscript() {
			if int64(e.GetRound()) != m.GetRound() {
				t.Errorf("the message of round %d tells of round %d", m.GetRound(), e.GetRound())
			}
		}
	}
}

// The caller's deadline is how a watch ends well.
func TestWatchProbeEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	for name, interval := range map[string]time.Duration{
		"in a round":     10 * time.Millisecond,
		"between rounds": time.Hour,
	} {
		d, good := serve(t, plain()), host(t, netlab.Accept).Addr()
		inTime(t, func(ctx context.Context) error {
			stream, err := d.rpc.WatchProbe(ctx, &connracev1.WatchProbeRequest{
				Target: good.String(), Interval: durationpb.New(interval),
			})
			must(t, err)
			for rounds := 0; ; rounds++ {
				_, err := stream.Recv()
				if errors.Is(err, io.EOF) && rounds == 0 {
					return fmt.Errorf("%w: %s: it ends before it began", errHurried, name)
				}
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
			}
		})
	}
}

// Nor does the switch turn a round that the deadline cut short into a failure:
// what was reachable in every round is not unreachable because time is up.
func TestWatchProbeEndsWellInMidRound(t *testing.T) {
	t.Parallel()
	good := host(t, netlab.Accept).Addr()
	slow := addresses(good.Addr())
	slow.A.Delay = 150 * time.Millisecond // the deadline falls into a resolution
	dns := names(t, map[string]netlab.Answers{"slow.example.": slow})
	d := serve(t, named(dns))
	inTime(t, func(ctx context.Context) error {
		stream, err := d.rpc.WatchProbe(ctx, &connracev1.WatchProbeRequest{
			Target:              fmt.Sprintf("slow.example.:%d", good.Port()),
			Selection:           &connracev1.SelectionOptions{OnlyFamily: connracev1.AddressFamily_ADDRESS_FAMILY_IPV4},
			Interval:            often(),
			FailUnlessReachable: true,
		})
		must(t, err)
		for err == nil {
			_, err = stream.Recv()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	})
}
