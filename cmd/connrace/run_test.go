package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// host starts a host of package netlab for the test.
func host(t *testing.T, start func(netip.AddrPort) (*netlab.Host, error)) string {
	t.Helper()
	h, err := start(netip.MustParseAddrPort("127.0.0.1:0"))
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h.Addr().String()
}

// exits runs the program and demands an exit code.
func exits(ctx context.Context, t *testing.T, want int, stdout io.Writer, args ...string) {
	t.Helper()
	var stderr bytes.Buffer
	if got := run(ctx, args, stdout, &stderr); got != want {
		t.Errorf("connrace %s: exit code %d, want %d; stderr: %s", strings.Join(args, " "), got, want, &stderr)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	silent := host(t, netlab.Swallow)
	for _, command := range []string{"race", "probe", "watch"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			exits(ctx, t, exitInterrupted, io.Discard, command, silent)
		})
	}
}

// onWrite calls itself for each write.
type onWrite func(p []byte)

func (f onWrite) Write(p []byte) (int, error) { f(p); return len(p), nil }

// Ctrl-C ends a watch with a summary and the code of the last round.
func TestInterruptedWatch(t *testing.T) {
	t.Parallel()
	good := host(t, netlab.Accept)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout bytes.Buffer
	writes := 0
	exits(ctx, t, exitOK, onWrite(func(p []byte) {
		stdout.Write(p)
		if writes++; writes == 2 {
			cancel()
		}
	}), "watch", good, "-i", "10ms")
	// A round more may have been there when it was interrupted.
	shown := strings.Count(stdout.String(), " connected\n")
	want := fmt.Sprintf(" · %d rounds · %d reachable · the last one reachable\n", shown, shown)
	if shown < 2 || !strings.HasSuffix(stdout.String(), want) {
		t.Errorf("no summary of the %d rounds shown:\n%s", shown, &stdout)
	}
}

// A result that could not be written is no success.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	good := host(t, netlab.Accept)
	for _, args := range [][]string{{"race", good}, {"race", good, "-o", "json"}, {"watch", good}, {"version"}, {"--help"}, {"race", "--help"}, {"help"}, {"help", "race"}, {"sim", "--worlds", "1", "--dialers", "curl"}} {
		r, w := io.Pipe()
		_ = r.CloseWithError(errors.New("no space left"))
		exits(t.Context(), t, exitFailed, w, args...)
	}
}

// The first line a daemon logs is its configuration, with the real port; a race
// through it works; ending it is a success.
func TestServe(t *testing.T) {
	t.Parallel()
	good := host(t, netlab.Accept)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	logs, stderr := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--vantage", "lab", "--shutdown-timeout", "1s"}, io.Discard, stderr)
		_ = stderr.Close()
	}()
	first, err := bufio.NewReader(logs).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, logs) }()
	m := regexp.MustCompile(`msg=serving listen=(127\.0\.0\.1:\d+) .*vantage=lab dns=system .*shutdown_timeout=1s`).FindStringSubmatch(first)
	if m == nil {
		t.Fatalf("the first line is no configuration: %s", first)
	}
	var stdout bytes.Buffer
	exits(t.Context(), t, exitOK, &stdout, "race", good, "--server", m[1])
	if !strings.Contains(stdout.String(), "from lab") {
		t.Errorf("the reply is not that daemon's:\n%s", &stdout)
	}
	stop()
	if code := <-done; code != exitOK {
		t.Errorf("serve: exit code %d", code)
	}
}

// A thousand candidates that all failed are a thousand rows.
func TestManyCandidates(t *testing.T) {
	t.Parallel()
	const n = 1000
	r := &pb.RaceResponse{Run: &pb.Run{EndReason: pb.EndReason_END_REASON_EXHAUSTED, Duration: durationpb.New(n)}}
	for i := range int32(n) {
		r.Candidates = append(r.Candidates, &pb.Candidate{
			Position: i + 1, Endpoint: fmt.Sprintf("192.0.2.1:%d", i+1), Outcome: pb.Outcome_OUTCOME_FAILED,
			Attempts: []*pb.Attempt{{
				Outcome: pb.Outcome_OUTCOME_FAILED, StartOffset: durationpb.New(1), EndOffset: durationpb.New(2),
				Failure: &pb.Failure{ErrorType: "connection_refused"},
			}},
		})
	}
	var b bytes.Buffer
	printRace(&b, r, "1000 candidates", style{width: 100})
	if got := strings.Count(b.String(), "refused"); got != n {
		t.Errorf("%d rows, want %d", got, n)
	}
}
