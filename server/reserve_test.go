package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// The bubble's clock stands still, so the bounds are exact.
func TestAnswerInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ left, reserve time.Duration }{
			{time.Hour, 500 * time.Millisecond},
			{5 * time.Second, 500 * time.Millisecond},
			{4 * time.Second, 400 * time.Millisecond},
			{400 * time.Millisecond, 40 * time.Millisecond},
			{50 * time.Millisecond, 5 * time.Millisecond},
			{20 * time.Millisecond, 5 * time.Millisecond},
			{5 * time.Millisecond, 5 * time.Millisecond},
			{0, 5 * time.Millisecond},
			{-time.Second, 5 * time.Millisecond},
		} {
			theirs, cancelTheirs := context.WithDeadline(t.Context(), time.Now().Add(c.left))
			deadline, ok := answerInTime(theirs).Deadline()
			want := time.Now().Add(c.left - c.reserve)
			if !ok || !deadline.Equal(want) {
				t.Errorf("with %v left the answer leaves at %v, want %v", c.left, deadline, want)
			}
			cancelTheirs()
		}
	})
}

func TestAnswerInTimeWithoutDeadline(t *testing.T) {
	t.Parallel()
	theirs, cancel := context.WithCancel(t.Context())
	ours := answerInTime(theirs)
	if _, ok := ours.Deadline(); ok {
		t.Error("a deadline came from nowhere")
	}
	cancel()
	if ours.Err() == nil {
		t.Error("the caller has left, and the context goes on")
	}
}
