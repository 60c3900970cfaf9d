package server_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/server"
)

// Clients retry UNAVAILABLE by themselves, so no target may ever cause it: each
// of these is a result.
func TestHopelessTargets(t *testing.T) {
	t.Parallel()
	dns := names(t, map[string]netlab.Answers{
		"sick.example.":    {A: netlab.Answer{RCode: 2}, AAAA: netlab.Answer{RCode: 2}},
		"mute.example.":    {A: netlab.Answer{Drop: true}, AAAA: netlab.Answer{Drop: true}},
		"refused.example.": {A: netlab.Answer{RCode: 5}, AAAA: netlab.Answer{RCode: 5}},
		"denied.example.":  addresses(netip.MustParseAddr("169.254.169.254")),
		"empty.example.":   {},
	})
	d := serve(t, named(dns))
	for _, target := range []string{
		host(t, netlab.Refuse).Addr().String(),
		host(t, netlab.Swallow).Addr().String(),
		"none.example.:80", "sick.example.:80", "mute.example.:80", "refused.example.:80", "denied.example.:80", "empty.example.:80",
		denied, "0.0.0.0:80", "255.255.255.255:80", "224.0.0.1:80",
		"[::]:80", "[fe80::1%lo]:80", "[ff02::1]:80", "[::ffff:169.254.169.254]:80", "[64:ff9b::169.254.169.254]:80",
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			isAResult(t, d, target)
		})
	}
}

// A name server that is down is not this service being unavailable either.
func TestHopelessNameServer(t *testing.T) {
	t.Parallel()
	dns, err := netlab.StartDNS(netip.AddrPortFrom(one, 0))
	must(t, err)
	gone := dns.Addr()
	must(t, dns.Close())
	d := serve(t, server.Config{Racer: racer.New(racer.Config{DNSServer: gone})})
	isAResult(t, d, "some.example.:80")
}

// isAResult asks for a target by all RPCs and wants a result that nobody won.
func isAResult(t *testing.T, d *daemon, target string) {
	t.Helper()
	ctx, soon := patient(t), durationpb.New(50*time.Millisecond)
	race, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Target: target, Options: &connracev1.RaceOptions{Timeout: soon}})
	hopeless(t, "race", race.GetRun(), err)
	if race.GetWinner() != nil {
		t.Errorf("%s won", target)
	}
	rank, err := d.rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{
		Target: target, Options: &connracev1.RaceOptions{Timeout: soon},
	})
	hopeless(t, "rank", rank.GetRun(), err)
	probe, err := d.rpc.Probe(ctx, &connracev1.ProbeRequest{Target: target, Options: &connracev1.ProbeOptions{Timeout: soon}})
	hopeless(t, "probe", probe.GetRun(), err)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := d.rpc.WatchProbe(ctx, &connracev1.WatchProbeRequest{
		Target: target, Options: &connracev1.ProbeOptions{Timeout: soon}, Interval: often(),
	})
	must(t, err)
	for range 2 { // and it goes on
		round, err := stream.Recv()
		hopeless(t, fmt.Sprintf("round %d", round.GetRound()), round.GetRun(), err)
	}
}

func hopeless(t *testing.T, what string, run *connracev1.Run, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if got := run.GetEndReason(); got == connracev1.EndReason_END_REASON_UNSPECIFIED || got == connracev1.EndReason_END_REASON_WON {
		t.Errorf("%s: the end is %v", what, got)
	}
}
