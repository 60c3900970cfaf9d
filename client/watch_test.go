package client_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// rounds is a daemon whose watch has n rounds and ends with err.
func rounds(n int64, err error) *scripted {
	return &scripted{watch: func(_ *connracev1.WatchProbeRequest, stream connracev1.RacerService_WatchProbeServer) error {
		for round := int64(1); round <= n; round++ {
			if err := stream.Send(&connracev1.WatchProbeResponse{Round: round}); err != nil {
				return err
			}
		}
		return err
	}}
}

// endless is a daemon whose watch goes on for as long as somebody is there, and
// then says so.
func endless(gone chan<- struct{}) *scripted {
	return &scripted{watch: func(_ *connracev1.WatchProbeRequest, stream connracev1.RacerService_WatchProbeServer) error {
		defer close(gone)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for round := int64(1); ; round++ {
			if err := stream.Send(&connracev1.WatchProbeResponse{Round: round}); err != nil {
				return err
			}
			select {
			case <-tick.C:
			case <-stream.Context().Done():
				return stream.Context().Err()
			}
		}
	}}
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	c := asking(t, rounds(3, nil))
	for range 2 { // each loop is a watch of its own
		var got []int64
		for round, err := range c.WatchProbe(patient(t), &connracev1.WatchProbeRequest{}) {
			must(t, err)
			got = append(got, round.GetRound())
		}
		if want := []int64{1, 2, 3}; !slices.Equal(got, want) {
			t.Errorf("rounds are %v, want %v", got, want)
		}
	}
}

// The error comes after the rounds, alone, and nothing comes after it.
func TestWatchFails(t *testing.T) {
	t.Parallel()
	c := asking(t, rounds(2, asked(t, codes.Unavailable, "SHUTTING_DOWN")))
	var got []int64
	var last error
	for round, err := range c.WatchProbe(patient(t), &connracev1.WatchProbeRequest{}) {
		if last != nil {
			t.Errorf("%v and %v come after the error", round, err)
		}
		if last = err; err != nil {
			if round != nil {
				t.Errorf("with the error comes %v", round)
			}
			continue // the loop must end by itself
		}
		got = append(got, round.GetRound())
	}
	if want := []int64{1, 2}; !slices.Equal(got, want) {
		t.Errorf("rounds are %v, want %v", got, want)
	}
	is(t, "WatchProbe", last, "ErrUnavailable")
}

// Leaving the loop, by whichever way, ends the stream at the daemon.
func TestWatchIsLeft(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*testing.T, func(yield func(*connracev1.WatchProbeResponse, error) bool)){
		"break": func(t *testing.T, watch func(yield func(*connracev1.WatchProbeResponse, error) bool)) {
			for round, err := range watch {
				must(t, err)
				if round.GetRound() == 2 {
					break
				}
			}
		},
		"panic": func(_ *testing.T, watch func(yield func(*connracev1.WatchProbeResponse, error) bool)) {
			defer func() { _ = recover() }()
			for range watch {
				panic("out of the loop")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gone := make(chan struct{})
			leave(t, asking(t, endless(gone)).WatchProbe(context.Background(), &connracev1.WatchProbeRequest{}))
			select {
			case <-gone:
			case <-time.After(patience):
				t.Errorf("the stream is still there after %v", patience)
			}
		})
	}
}

// The caller's context ends a watch with an error that is not the daemon's.
func TestWatchIsCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	gone := make(chan struct{})
	var last error
	for round, err := range asking(t, endless(gone)).WatchProbe(ctx, &connracev1.WatchProbeRequest{}) {
		if last = err; round.GetRound() == 2 {
			cancel()
		}
	}
	if e := is(t, "WatchProbe", last); e.Status.Code() != codes.Canceled {
		t.Errorf("the watch ends with %v, want CANCELLED", last)
	}
	<-gone
}

// Nothing is asked before the loop begins, and the request arrives as it is.
func TestWatchRequest(t *testing.T) {
	t.Parallel()
	asked := make(chan *connracev1.WatchProbeRequest, 1)
	c := asking(t, &scripted{watch: func(req *connracev1.WatchProbeRequest, _ connracev1.RacerService_WatchProbeServer) error {
		asked <- req
		return nil
	}})
	want := &connracev1.WatchProbeRequest{Target: "example.com:443", FailUnlessReachable: true}
	watch := c.WatchProbe(patient(t), want)
	if len(asked) > 0 {
		t.Error("asked before the loop began")
	}
	for round, err := range watch {
		t.Errorf("%v, %v out of nothing", round, err)
	}
	if got := <-asked; !proto.Equal(got, want) {
		t.Errorf("the daemon was asked %v, want %v", got, want)
	}
}
