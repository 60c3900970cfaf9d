package server

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// calls are the unary calls that are running. Streams are not among them: they end
// with the daemon.
type calls struct {
	mu      sync.Mutex
	running map[context.Context]context.CancelCauseFunc
	ended   time.Time // when the latest one did
	over    bool      // no other may begin
}

// follow is the interceptor by which calls are known from their beginning to their end.
func (c *calls) follow(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if !c.enter(ctx, end) {
		return nil, toStatus(errShuttingDown)
	}
	defer c.leave(ctx)
	return handler(ctx, req)
}

func (c *calls) enter(ctx context.Context, end context.CancelCauseFunc) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.running[ctx] = end
	}
	return !c.over
}

func (c *calls) leave(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, ctx)
	c.ended = time.Now()
}

// quietSince is since when no call has run, from start on; false: one does.
func (c *calls) quietSince(start time.Time) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if start.Before(c.ended) {
		start = c.ended
	}
	return start, len(c.running) == 0
}

// cutOff ends all that are running, and says whether there were any.
func (c *calls) cutOff() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for _, end := range c.running {
		end(errShuttingDown)
	}
	return len(c.running) > 0
}
