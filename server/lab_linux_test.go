package server_test

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/server"
)

func TestMain(m *testing.M) { os.Exit(netlabtest.Run(m)) }

// ipv6OfSite is the one in broken-v6.yaml.
var ipv6OfSite = netip.MustParseAddr("2001:db8:80::1")

// inLab starts the lab of a file and, in its client host, a daemon that asks the
// system's resolver and is reached over TCP.
func inLab(t *testing.T, file string) (*netlab.Scene, *daemon) {
	t.Helper()
	scene := netlabtest.Build(t, "../examples/lab/"+file)
	d, _ := serveTCP(t, server.Config{Racer: racer.New(racer.Config{}), Vantage: "client"})
	return scene, d
}

// syns are the endpoints that SYNs were sent to, in that order.
func syns(t *testing.T, scene *netlab.Scene) (to []string, at []time.Time) {
	t.Helper()
	packets, err := scene.Packets()
	must(t, err)
	for _, p := range packets {
		if p.Kind == link.SYN {
			to, at = append(to, p.To.String()), append(at, scene.Time(p.Sent))
		}
	}
	return to, at
}

// A race over gRPC, from name to reply: what the wire saw is what the reply says,
// the order exactly and the offsets within the slack. An answer of DNS that is late can
// change the order, and an attempt that is late what becomes of others.
func TestRaceInTheLab(t *testing.T) {
	netlabtest.Punctually(t, raceInTheLab)
}

func raceInTheLab(t *testing.T, watch *netlabtest.Watch) {
	scene, d := inLab(t, "six-addresses.yaml")
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{Target: "site.example:80"})
	must(t, err)
	const (
		cancelled  = connracev1.Outcome_OUTCOME_CANCELLED
		failed     = connracev1.Outcome_OUTCOME_FAILED
		won        = connracev1.Outcome_OUTCOME_WON
		notStarted = connracev1.Outcome_OUTCOME_NOT_STARTED
	)
	q := reply.GetRun().GetResolution().GetQueries()
	answered := func(i int) time.Duration { return q[i].GetStartOffset().AsDuration() + q[i].GetDuration().AsDuration() }
	if q[0].GetDuration() == nil || q[1].GetDuration() == nil || (answered(0)-answered(1)).Abs() > netlabtest.Slack {
		watch.Doubt(fmt.Sprintf("the answers are %v", q))
		return
	}
	if took := reply.GetRun().GetDuration().AsDuration(); took >= time.Second {
		watch.Doubt(fmt.Sprintf("the race took %v, so that a kernel has repeated a SYN", took))
		return
	}
	to, at := syns(t, scene)
	began := reply.GetRun().GetStartTime().AsTime()
	first := reply.GetCandidates()[0].GetAttempts()[0].GetStartOffset().AsDuration()
	for i, want := range []struct {
		endpoint string
		outcome  connracev1.Outcome
		start    time.Duration // since the first attempt
		failure  string
	}{
		{"[2001:db8:80::1]:80", cancelled, 0, ""},
		{"198.51.100.1:80", failed, 250 * time.Millisecond, "host_unreachable"},
		{"[2001:db8:80::2]:80", failed, 270 * time.Millisecond, "connection_refused"},
		{"198.51.100.2:80", won, 330 * time.Millisecond, ""},
		{"[2001:db8:80::3]:80", notStarted, 0, ""},
		{"198.51.100.3:80", notStarted, 0, ""},
	} {
		got := reply.GetCandidates()[i]
		if got.GetEndpoint() != want.endpoint {
			t.Errorf("place %d has %s, want %s", i+1, got.GetEndpoint(), want.endpoint)
		}
		if got.GetOutcome() != want.outcome {
			watch.Doubt(fmt.Sprintf("%s is %s, want %s", got.GetEndpoint(), got.GetOutcome(), want.outcome))
			return
		}
		if want.outcome == notStarted {
			continue
		}
		a := got.GetAttempts()[0]
		watch.Near("the start to "+want.endpoint, a.GetStartOffset().AsDuration(), first+want.start)
		if a.GetFailure().GetErrorType() != want.failure {
			t.Errorf("%s failed by %q, want %q", want.endpoint, a.GetFailure().GetErrorType(), want.failure)
		}
		if i >= len(to) || to[i] != want.endpoint {
			t.Errorf("SYN %d of %v is not to %s", i+1, to, want.endpoint)
		} else {
			off := at[i].Sub(began.Add(a.GetStartOffset().AsDuration())).Abs()
			watch.Between("the reply's start to "+want.endpoint+" against the wire's", off, 0, netlabtest.Slack)
		}
	}
	if len(to) != 4 || int(reply.GetCost().GetAttemptCount()) != len(to) {
		t.Errorf("SYNs went to %v, the reply counts %d attempts", to, reply.GetCost().GetAttemptCount())
	}
	watch.Near("the end", reply.GetRun().GetDuration().AsDuration(), first+410*time.Millisecond)
}

// The first SYN gets lost, and the second attempt at the same address wins long
// before the kernel would have repeated it.
func TestBackupInTheLab(t *testing.T) {
	netlabtest.Punctually(t, backupInTheLab)
}

func backupInTheLab(t *testing.T, watch *netlabtest.Watch) {
	scene, d := inLab(t, "lost-syn.yaml")
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{Target: "site.example:80", IncludeTranscript: true})
	must(t, err)
	tellsRace(t, reply)
	fits(t, reply.GetRun(), reply.GetCandidates())
	c := reply.GetCandidates()[0]
	if took := reply.GetRun().GetDuration().AsDuration(); took >= time.Second {
		watch.Doubt(fmt.Sprintf("the race took %v, so that a kernel has repeated the SYN", took))
		return
	}
	if len(c.GetAttempts()) != 2 || c.GetOutcome() != connracev1.Outcome_OUTCOME_WON || reply.GetWinner().GetAttemptNumber() != 2 {
		t.Fatalf("the candidate is %v, the winner %v; want the second attempt to win", c, reply.GetWinner())
	}
	first, second := c.GetAttempts()[0], c.GetAttempts()[1]
	if first.GetOutcome() != connracev1.Outcome_OUTCOME_CANCELLED || second.GetTrigger() != connracev1.AttemptTrigger_ATTEMPT_TRIGGER_BACKUP {
		t.Errorf("the attempts are %v and %v, want the second one to be a backup, and the first given up", first, second)
	}
	same(t, reply.GetCost(), &connracev1.Cost{AttemptCount: 2, ConnectedCount: 1, BackupCount: 1})
	start := first.GetStartOffset().AsDuration()
	watch.Near("the start of the backup", second.GetStartOffset().AsDuration(), start+250*time.Millisecond)
	watch.Near("the win", reply.GetWinner().GetWinOffset().AsDuration(), start+270*time.Millisecond)
	if won := winning(t, reply); won != second {
		t.Errorf("%v won, want the backup", won)
	}
	if to, _ := syns(t, scene); len(to) != 2 {
		t.Errorf("SYNs went to %v, want two", to)
	}
}

// With a grace the reply tells of everyone what it would have come to.
func TestGraceInTheLab(t *testing.T) {
	netlabtest.Punctually(t, graceInTheLab)
}

func graceInTheLab(t *testing.T, watch *netlabtest.Watch) {
	_, d := inLab(t, "six-addresses.yaml")
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Target: "site.example:80", IncludeTranscript: true,
		Options: &connracev1.RaceOptions{Strategy: allAtOnce, Grace: durationpb.New(400 * time.Millisecond)},
	})
	must(t, err)
	tellsRace(t, reply)
	first := firstStart(reply.GetCandidates())
	watch.Near("the win", reply.GetWinner().GetWinOffset().AsDuration(), first+10*time.Millisecond)
	watch.Near("the end", reply.GetRun().GetDuration().AsDuration(), reply.GetWinner().GetWinOffset().AsDuration()+400*time.Millisecond)
	const (
		won       = connracev1.Outcome_OUTCOME_WON
		late      = connracev1.Outcome_OUTCOME_CONNECTED_LATE
		failed    = connracev1.Outcome_OUTCOME_FAILED
		cancelled = connracev1.Outcome_OUTCOME_CANCELLED
	)
	want := map[string]struct {
		outcome connracev1.Outcome
		took    time.Duration // to connect
	}{
		"[2001:db8:80::1]:80": {cancelled, 0},
		"[2001:db8:80::2]:80": {failed, 0},
		"[2001:db8:80::3]:80": {late, 160 * time.Millisecond},
		"198.51.100.1:80":     {failed, 0},
		"198.51.100.2:80":     {late, 80 * time.Millisecond},
		"198.51.100.3:80":     {won, 10 * time.Millisecond},
	}
	for _, c := range reply.GetCandidates() {
		w := want[c.GetEndpoint()]
		if c.GetOutcome() != w.outcome { // one of the two answers of DNS may have been late
			watch.Doubt(fmt.Sprintf("%s is %v, want %v", c.GetEndpoint(), c.GetOutcome(), w.outcome))
			return
		}
		if w.took > 0 {
			since := max(first, known(reply.GetRun(), c))
			connected := reply.GetWinner().GetWinOffset().AsDuration() + c.GetIfFirstDifference().AsDuration()
			watch.Near("the handshake with "+c.GetEndpoint(), connected-since, w.took)
		}
	}
	same(t, reply.GetCost(), &connracev1.Cost{AttemptCount: 6, ConnectedCount: 3, DroppedCount: 2})
}

// A probe of the same: all six, each with its own trouble or time.
func TestProbeInTheLab(t *testing.T) {
	netlabtest.Punctually(t, probeInTheLab)
}

func probeInTheLab(t *testing.T, watch *netlabtest.Watch) {
	scene, d := inLab(t, "six-addresses.yaml")
	reply, err := d.rpc.Probe(patient(t), &connracev1.ProbeRequest{
		Target:  "site.example:80",
		Options: &connracev1.ProbeOptions{AttemptTimeout: durationpb.New(300 * time.Millisecond)},
	})
	must(t, err)
	want := map[string]struct {
		failure string
		took    time.Duration
	}{
		"[2001:db8:80::1]:80": {"timed_out", 300 * time.Millisecond},
		"[2001:db8:80::2]:80": {"connection_refused", 60 * time.Millisecond},
		"[2001:db8:80::3]:80": {"", 160 * time.Millisecond},
		"198.51.100.1:80":     {"host_unreachable", 20 * time.Millisecond},
		"198.51.100.2:80":     {"", 80 * time.Millisecond},
		"198.51.100.3:80":     {"", 10 * time.Millisecond},
	}
	for _, p := range reply.GetReport().GetCandidates() {
		c := p.GetCandidate()
		a, w := c.GetAttempts()[0], want[c.GetEndpoint()]
		if a.GetFailure().GetErrorType() != w.failure { // what is late enough has timed out instead
			watch.Doubt(fmt.Sprintf("%s failed by %q, want %q", c.GetEndpoint(), a.GetFailure().GetErrorType(), w.failure))
			return
		}
		watch.Near("the attempt to "+c.GetEndpoint(), a.GetEndOffset().AsDuration()-a.GetStartOffset().AsDuration(), w.took)
	}
	if to, _ := syns(t, scene); len(to) != 6 {
		t.Errorf("SYNs went to %v", to)
	}
	if best := reply.GetReport().GetCandidates()[0].GetCandidate().GetEndpoint(); best != "198.51.100.3:80" {
		t.Errorf("the best is %s", best)
	}
}

// A rank connects to nothing, and asks the system's resolver.
func TestRankInTheLab(t *testing.T) {
	scene, d := inLab(t, "broken-v6.yaml")
	reply, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{Target: "site.example:80"})
	must(t, err)
	var order []string
	for _, c := range reply.GetCandidates() {
		order = append(order, c.GetAddress()+" from "+c.GetSourceAddress())
	}
	if len(order) != 2 || order[0] != "2001:db8:80::1 from 2001:db8:1::1" || order[1] != "198.51.100.1 from 192.0.2.1" {
		t.Errorf("the order is %v", order)
	}
	if to, _ := syns(t, scene); len(to) != 0 {
		t.Errorf("SYNs went to %v", to)
	}
	if log := scene.DNS.Log(); len(log) != 2 || log[0].Type != "AAAA" || log[1].Type != "A" {
		t.Errorf("asked was %v", log)
	}
}

// A watch sees a family break and come back, round after round.
func TestWatchInTheLab(t *testing.T) {
	scene, d := inLab(t, "broken-v6.yaml")
	stream := watch(t, d, &connracev1.WatchProbeRequest{
		Target: "site.example:80", Interval: durationpb.New(50 * time.Millisecond),
		Options: &connracev1.ProbeOptions{AttemptTimeout: durationpb.New(100 * time.Millisecond)},
	})
	// Beside the black hole nobody listens on IPv6: up, it refuses.
	const broken, refused = "timed_out", "connection_refused"
	sixth := func(m *connracev1.WatchProbeResponse) string {
		for _, p := range m.GetReport().GetCandidates() {
			if c := p.GetCandidate(); c.GetFamily() == connracev1.AddressFamily_ADDRESS_FAMILY_IPV6 {
				return c.GetAttempts()[0].GetFailure().GetErrorType()
			}
		}
		return "missing"
	}
	// On a busy machine IPv4 may be late too, and rounds wait in the stream to be read.
	eventually(t, "IPv6 is broken, and IPv4 is not", func() bool {
		m := receive(t, stream)
		return sixth(m) == broken && m.GetReport().GetVerdict() == connracev1.Verdict_VERDICT_DEGRADED
	})
	for _, c := range []struct {
		state link.State
		sees  string
	}{{link.Up, refused}, {link.NetUnreachable, "network_unreachable"}, {link.Blackhole, broken}} {
		must(t, scene.SetPath(ipv6OfSite, link.Path{State: c.state}))
		eventually(t, fmt.Sprintf("with %s the watch sees %s", c.state, c.sees), func() bool {
			return sixth(receive(t, stream)) == c.sees
		})
	}
}
