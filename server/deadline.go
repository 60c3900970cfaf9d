package server

import (
	"context"
	"time"
)

// Bounds of the time kept back for the way of the answer.
const (
	minReserve = 5 * time.Millisecond
	maxReserve = 500 * time.Millisecond
)

// answerInTime returns a context with a deadline so long before the caller's that the
// reply still arrives: a tenth of the time that is left, within bounds. Without a
// deadline there is nothing to add.
func answerInTime(ctx context.Context) context.Context {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx
	}
	reserve := min(max(time.Until(deadline)/10, minReserve), maxReserve)
	return early{ctx, deadline.Add(-reserve)}
}

// early is a context with an earlier deadline than it is done at. Races keep to a
// deadline by themselves: a timer for each RPC would wake a thread of Go's when it is
// set.
type early struct {
	context.Context

	deadline time.Time
}

// Deadline returns the earlier one.
func (e early) Deadline() (time.Time, bool) { return e.deadline, true }
