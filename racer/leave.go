package racer

import (
	"context"
	"errors"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// stopped appends that the caller's side wants the end, if it does.
func (e *engine) stopped(ctx context.Context, now time.Duration, batch []sched.Event) (all []sched.Event, left bool) {
	why := sched.EndDeadlineNear
	switch {
	case ctx.Err() != nil:
		why = whyLeft(ctx)
	case !e.bounded || now < e.due:
		return batch, false
	}
	return append(batch, sched.Event{Kind: sched.Stopped, At: now, End: why}), true
}

// timed returns a context that is done at its deadline. One may have an earlier
// deadline than it is done at, which saves its maker a timer; a race knows by its own.
func timed(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline)
	}
	return ctx, func() {}
}

// whyLeft tells a caller who wants an answer now from one who wants none.
func whyLeft(ctx context.Context) sched.EndReason {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return sched.EndDeadlineNear
	}
	return sched.EndCallerLeft
}
