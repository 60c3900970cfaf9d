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

// answerInTime returns a context that ends so long before the caller's deadline
// that the reply still arrives: a tenth of the time that is left, within bounds. Without
// a deadline there is nothing to add.
func answerInTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	reserve := min(max(time.Until(deadline)/10, minReserve), maxReserve)
	return context.WithDeadline(ctx, deadline.Add(-reserve))
}
