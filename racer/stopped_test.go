package racer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// That the caller's side wants the end is said once, however long it takes until
// everything has been given up, and nothing is done in between.
func TestEndIsSaidOnce(t *testing.T) {
	for name, until := range map[string]func(context.Context, time.Time) (context.Context, context.CancelFunc){
		"a context that is done": context.WithDeadline,
		"one that goes on": func(ctx context.Context, at time.Time) (context.Context, context.CancelFunc) {
			return early{ctx, at}, func() {}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.everyHost(literals(3), silent)
			ctx, cancel := until(t.Context(), time.Now().Add(300*ms))
			defer cancel()
			result, err := n.racer().Race(ctx, RaceRequest{Target: literals(3), Options: Options{Strategy: sched.AllAtOnce}})
			must(t, err)
			checkRace(t, result)
			var stops []time.Duration
			for _, e := range result.Transcript {
				if e.Event.Kind == sched.Stopped {
					stops = append(stops, e.At)
				}
			}
			if len(stops) != 1 || stops[0] != 300*ms || result.End != sched.EndDeadlineNear {
				t.Errorf("%s: %s, and its end was said at %v", name, result.End, stops)
			}
		})
	}
}
