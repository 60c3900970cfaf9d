package main

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A quick answer leaves no trace, a slow one a line that is wiped out again.
func TestTick(t *testing.T) {
	for after, want := range map[time.Duration]string{
		900 * time.Millisecond:  "",
		2500 * time.Millisecond: "\rlap 1 … 1 s\rlap 2 … 2 s\r\x1b[K",
	} {
		synctest.Test(t, func(t *testing.T) {
			var screen bytes.Buffer
			done := make(chan struct{})
			time.AfterFunc(after, func() { close(done) })
			lap := 0
			tick(&screen, func() string { lap++; return fmt.Sprintf("lap %d", lap) }, done)
			if got := screen.String(); got != want {
				t.Errorf("after %v the screen has seen %q, want %q", after, got, want)
			}
		})
	}
}

// What is no terminal is told nothing.
func TestAwaitedIsQuietForPrograms(t *testing.T) {
	var stderr bytes.Buffer
	got, err := awaited(newOutput(&bytes.Buffer{}, &stderr), "racing", func() (int, error) { return 42, nil })
	if got != 42 || err != nil || stderr.Len() > 0 {
		t.Errorf("got %d, %v, and stderr %q", got, err, stderr.String())
	}
}
