package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"
)

// A daemon whose line is full says so, and when to come back: at a Unix socket here.
func TestOverloaded(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // connections come up, and no byte ever comes
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	silent := l.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	at := "unix:" + filepath.Join(t.TempDir(), "daemon.sock")
	logs, stderr := io.Pipe()
	running.Go(func() {
		run(ctx, []string{"serve", "--listen", at, "--in-flight", "1", "--waiting", "1", "--shutdown-timeout", "1s"}, io.Discard, stderr)
		_ = stderr.Close()
	})
	if _, err := bufio.NewReader(logs).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	running.Go(func() { _, _ = io.Copy(io.Discard, logs) })
	for range 2 { // one is in flight, one waits
		running.Go(func() {
			run(ctx, []string{"race", silent, "--first-byte", "--attempt-timeout", "1m", "--timeout", "1m", "--max-backups", "0", "--server", at}, io.Discard, io.Discard)
		})
	}
	want := regexp.MustCompile(`^connrace: the daemon at unix:.*: too many attempts of this caller wait for this daemon's budget in_flight; try again in \d.*s, or ask another daemon\n$`)
	const patience = 20 * time.Second
	for deadline := time.Now().Add(patience); ; {
		var told bytes.Buffer
		code := run(t.Context(), []string{"race", "169.254.0.1:1", "--server", at}, io.Discard, &told)
		if code == exitFailed {
			if !want.MatchString(told.String()) {
				t.Errorf("it says %q", &told)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not overloaded after %v", patience)
		}
	}
}
