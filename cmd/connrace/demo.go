package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/client"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/server"
)

// demoCmd shows what the daemon does, on backends of its own.
type demoCmd struct {
	Hold bool `help:"Keep the daemon and the backends up until interrupted, so that you can ask them yourself."`
}

const (
	// demoTimeout bounds the whole demo, --hold aside.
	demoTimeout = time.Minute
	// demoAttemptTimeout is short, so that nobody waits for the sequential race.
	demoAttemptTimeout = 2 * time.Second
	// demoProbeTimeout survives the lost SYN, which costs a second.
	demoProbeTimeout = 1500 * time.Millisecond
	// demoDrain is when the lossy backend wakes up: the SYN it lost was sent at
	// the start of the probe.
	demoDrain = 100 * time.Millisecond
)

// Help is shown by --help.
func (demoCmd) Help() string {
	return `Starts a name server, four backends behind one name and a daemon, all on loopback and without privileges, asks the daemon over TCP, and ends by itself.`
}

// Run implements the command.
func (c *demoCmd) Run(ctx context.Context, out *output) error {
	lab, err := newDemoLab()
	if err != nil {
		return &exitError{exitFailed, err}
	}
	defer lab.Close()
	address, stop, err := serveDemo(ctx, lab, out.stderr)
	if err != nil {
		return &exitError{exitFailed, err}
	}
	defer stop()
	d := demo{lab: lab, out: out, address: address}
	if err := d.show(ctx); err != nil {
		if ctx.Err() != nil {
			return errInterrupted()
		}
		return &exitError{exitFailed, err}
	}
	return c.end(ctx, d)
}

// end tells how to ask the daemon oneself, and leaves the time for it.
func (c *demoCmd) end(ctx context.Context, d demo) error {
	d.title("Ask it yourself")
	request, err := protojson.Marshal(&connracev1.RaceRequest{Target: d.lab.target})
	if err != nil {
		return err
	}
	if !c.Hold {
		d.sayf("`make demo ARGS=--hold` keeps the daemon up and prints this line for it:")
	}
	d.sayf("grpcurl -plaintext -d '%s' %s connrace.v1.RacerService/Race", request, d.address)
	if c.Hold {
		d.sayf("The daemon and the backends are up; Ctrl-C ends them.")
		<-ctx.Done()
	}
	return nil
}

// serveDemo starts a daemon that asks the lab's name server.
func serveDemo(ctx context.Context, lab *demoLab, stderr io.Writer) (address string, stop func(), err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := server.New(server.Config{
		Racer:   racer.New(racer.Config{DNSServer: lab.dns.Addr()}),
		Version: buildVersion(),
		Vantage: "demo",
		Logger:  slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(listener) }) // the client says what went wrong
	return listener.Addr().String(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		srv.Shutdown(ctx)
		serving.Wait()
	}, nil
}

// demo asks the daemon and shows what it answers.
type demo struct {
	lab     *demoLab
	out     *output
	address string
	daemon  *client.Client
}

func (d *demo) show(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	var err error
	if d.daemon, err = client.New(d.address); err != nil {
		return err
	}
	defer func() { _ = d.daemon.Close() }()

	d.sayf("Behind %s on this machine:", d.lab.target)
	for _, b := range d.lab.backends {
		d.sayf("  %-18s %s", b.endpoint, b.story)
	}
	if !d.lab.dualStack {
		d.sayf("(This system has no IPv6 on loopback: an IPv4 address stands in for the first.)")
	}
	d.sayf("A connrace daemon listens on %s. It is asked over gRPC.", d.address)
	if err := d.rank(ctx); err != nil {
		return err
	}
	if err := d.races(ctx); err != nil {
		return err
	}
	return d.probe(ctx)
}

func (d *demo) rank(ctx context.Context) error {
	d.title("ResolveAndRank: in which order, and why")
	reply, err := d.daemon.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Target: d.lab.target})
	if err != nil {
		return err
	}
	printRank(d.out, reply, d.lab.target, d.out.style)
	return nil
}

// demoStrategies are raced one after the other on the same backends.
var demoStrategies = []struct {
	strategy connracev1.Strategy
	title    string
}{
	{connracev1.Strategy_STRATEGY_SEQUENTIAL, "one address after the other, as a plain client does"},
	{connracev1.Strategy_STRATEGY_STAGGERED, "staggered (RFC 8305, Happy Eyeballs), the default"},
	{connracev1.Strategy_STRATEGY_ALL_AT_ONCE, "all at once"},
}

func (d *demo) races(ctx context.Context) error {
	var (
		replies []*connracev1.RaceResponse
		wins    []time.Duration // offsets in the transcripts
	)
	for _, s := range demoStrategies {
		d.title("Race: " + s.title)
		reply, err := d.daemon.Race(ctx, &connracev1.RaceRequest{
			Target: d.lab.target,
			Options: &connracev1.RaceOptions{
				Strategy:       s.strategy,
				AttemptTimeout: durationpb.New(demoAttemptTimeout),
			},
			IncludeTranscript: true,
		})
		if err != nil {
			return err
		}
		if reply.GetWinner() == nil {
			return fmt.Errorf("the demo's healthy backend at %s did not win: %s", d.lab.target, reply.GetRun().GetEndReason())
		}
		replies = append(replies, reply)
		wins = append(wins, wonAt(reply))
		reply.Run.Transcript = nil // it has said when the race was won; the picture says the rest
		printRace(d.out, reply, d.lab.target, d.out.style)
	}
	d.compare(replies, wins)
	return nil
}

// compare prints how long each strategy took, as the transcripts have it.
func (d *demo) compare(replies []*connracev1.RaceResponse, wins []time.Duration) {
	d.title("The same backends, measured")
	d.sayf("%-14s %15s %12s %10s %13s", "strategy", "connected after", "faster by", "attempts", "connections")
	for i, reply := range replies {
		d.sayf("%-14s %15s %11.1fx %10d %13d", strategyWord(demoStrategies[i].strategy), humanDuration(wins[i]),
			float64(wins[0])/float64(wins[i]), reply.GetCost().GetAttemptCount(), reply.GetCost().GetConnectedCount())
	}
	d.sayf("\nOne dead address costs a plain client its whole attempt timeout, a staggered race about")
	d.sayf("the attempt delay, a race of all at once about a round trip and more attempts.")
}

// wonAt returns the offset of the win in the transcript.
func wonAt(reply *connracev1.RaceResponse) time.Duration {
	for _, e := range reply.GetRun().GetTranscript() {
		if e.GetKind() == connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_WON {
			return e.GetOffset().AsDuration()
		}
	}
	return 0
}

func (d *demo) probe(ctx context.Context) error {
	d.title("Probe: every address, nothing hidden")
	wake := time.AfterFunc(demoDrain, d.lab.wakeLossy)
	defer wake.Stop()
	reply, err := d.daemon.Probe(ctx, &connracev1.ProbeRequest{
		Target:   d.lab.target,
		Options:  &connracev1.ProbeOptions{AttemptTimeout: durationpb.New(demoProbeTimeout)},
		Rounds:   3,
		Interval: durationpb.New(demoProbeTimeout),
	})
	if err != nil {
		return err
	}
	printProbe(d.out, reply, d.lab.target, d.out.style)
	d.sayf("The first SYN to %s was lost on purpose: its kernel sent the next one a second later.", d.lab.lossy.Addr())
	return nil
}

func (d *demo) title(text string) { d.sayf("\n== %s\n", text) }

func (d *demo) sayf(format string, args ...any) {
	_, _ = fmt.Fprintf(d.out, format+"\n", args...) // the output remembers its errors
}
