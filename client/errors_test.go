package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/client"
	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// sentinels are all values of errors.Is.
var sentinels = map[string]error{
	"ErrInvalidRequest": client.ErrInvalidRequest,
	"ErrNotRanked":      client.ErrNotRanked,
	"ErrNotWon":         client.ErrNotWon,
	"ErrNotReachable":   client.ErrNotReachable,
	"ErrOverloaded":     client.ErrOverloaded,
	"ErrUnavailable":    client.ErrUnavailable,
}

// asked makes a status as the daemon does.
func asked(t *testing.T, code codes.Code, reason string, details ...protoadapt.MessageV1) error {
	t.Helper()
	if reason != "" {
		details = append([]protoadapt.MessageV1{&errdetails.ErrorInfo{Domain: "connrace.v1", Reason: reason}}, details...)
	}
	st, err := status.New(code, "in a sentence").WithDetails(details...)
	must(t, err)
	return st.Err()
}

func TestErrors(t *testing.T) {
	t.Parallel()
	run := &connracev1.Run{DaemonVersion: "v1.2.3"}
	bad := &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
		{Field: "target", Description: "target is missing"},
		{Field: "options.timeout", Description: "options.timeout is 0s"},
	}}
	for name, c := range map[string]struct {
		err    error
		is     []string
		reason string
		fields []client.FieldViolation
		reply  proto.Message
		retry  time.Duration
	}{
		"bad request": {
			err: asked(t, codes.InvalidArgument, "INVALID_REQUEST", bad), is: []string{"ErrInvalidRequest"}, reason: "INVALID_REQUEST",
			fields: []client.FieldViolation{{"target", "target is missing"}, {"options.timeout", "options.timeout is 0s"}},
		},
		"not ranked": {
			err: asked(t, codes.FailedPrecondition, "NOT_RANKED", &connracev1.ResolveAndRankResponse{Run: run}),
			is:  []string{"ErrNotRanked"}, reason: "NOT_RANKED", reply: &connracev1.ResolveAndRankResponse{Run: run},
		},
		"not won": {
			err: asked(t, codes.FailedPrecondition, "NOT_WON", &connracev1.RaceResponse{Run: run}),
			is:  []string{"ErrNotWon"}, reason: "NOT_WON", reply: &connracev1.RaceResponse{Run: run},
		},
		"not reachable": {
			err: asked(t, codes.FailedPrecondition, "NOT_REACHABLE", &connracev1.ProbeResponse{Run: run}),
			is:  []string{"ErrNotReachable"}, reason: "NOT_REACHABLE", reply: &connracev1.ProbeResponse{Run: run},
		},
		"not reachable any more": {
			err: asked(t, codes.FailedPrecondition, "NOT_REACHABLE", &connracev1.WatchProbeResponse{Run: run, Round: 7}),
			is:  []string{"ErrNotReachable"}, reason: "NOT_REACHABLE", reply: &connracev1.WatchProbeResponse{Run: run, Round: 7},
		},
		"shutting down": {
			err: asked(t, codes.Unavailable, "SHUTTING_DOWN"), is: []string{"ErrUnavailable"}, reason: "SHUTTING_DOWN",
		},
		"overloaded": {
			err: asked(t, codes.ResourceExhausted, "OVERLOADED",
				&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)}, &errdetails.QuotaFailure{}),
			is: []string{"ErrOverloaded"}, reason: "OVERLOADED", retry: 1500 * time.Millisecond,
		},
		"overloaded, and no word of when": {
			err: asked(t, codes.ResourceExhausted, "OVERLOADED"), is: []string{"ErrOverloaded"}, reason: "OVERLOADED",
		},
		"another limit":            {err: asked(t, codes.ResourceExhausted, "")}, // of the transport
		"internal":                 {err: asked(t, codes.Internal, "INTERNAL"), reason: "INTERNAL"},
		"a reason of later":        {err: asked(t, codes.PermissionDenied, "TARGET_DENIED"), reason: "TARGET_DENIED"},
		"a detail of later":        {err: asked(t, codes.Internal, "INTERNAL", &errdetails.RetryInfo{}), reason: "INTERNAL"},
		"a precondition of others": {err: asked(t, codes.FailedPrecondition, "")},
		"no status at all":         {err: errors.New("in a sentence")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for rpc, err := range calls(patient(t), asking(t, failing(c.err))) {
				e := is(t, rpc, err, c.is...)
				if e.Reason != c.reason || !slices.Equal(e.Fields, c.fields) || !proto.Equal(e.Reply, c.reply) || e.RetryAfter != c.retry {
					t.Errorf("%s: reason %q, fields %v, reply %v, retry after %v; want %q, %v, %v, %v",
						rpc, e.Reason, e.Fields, e.Reply, e.RetryAfter, c.reason, c.fields, c.reply, c.retry)
				}
				if !strings.Contains(e.Error(), "in a sentence") {
					t.Errorf("%s: %q lacks the daemon's sentence", rpc, e)
				}
			}
		})
	}
}

// is wants an *Error that is these sentinels and no others, wrapped or not, and
// carries the status.
func is(t *testing.T, what string, err error, want ...string) *client.Error {
	t.Helper()
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		t.Fatalf("%s: error is %T %v, want an *Error", what, err, err)
	}
	wrapped := fmt.Errorf("wrapped: %w", err)
	for name, sentinel := range sentinels {
		if got := errors.Is(wrapped, sentinel); got != slices.Contains(want, name) {
			t.Errorf("%s: errors.Is(%v, %s) is %v", what, err, name, got)
		}
	}
	st, ok := status.FromError(wrapped)
	if !ok || st.Code() != e.Status.Code() || status.Code(err) != e.Status.Code() {
		t.Errorf("%s: the status is %v (%v), want %v", what, st, ok, e.Status)
	}
	return e
}

// Nobody listens there.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	h, err := netlab.Refuse(netip.MustParseAddrPort("127.0.0.1:0"))
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	for rpc, err := range calls(patient(t), dial(t, h.Addr().String())) {
		if e := is(t, rpc, err, "ErrUnavailable"); e.Reason != "" || e.Reply != nil {
			t.Errorf("%s: %+v, want neither reason nor reply: no daemon said anything", rpc, e)
		}
	}
}

// A caller who leaves gets an *Error too, which is none of the values.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for rpc, err := range calls(gone, asking(t, failing(errors.New("never asked")))) {
		if e := is(t, rpc, err); e.Status.Code() != codes.Canceled {
			t.Errorf("%s: %v, want CANCELLED", rpc, e)
		}
	}
}

func TestClosedClient(t *testing.T) {
	t.Parallel()
	c := asking(t, failing(nil))
	must(t, c.Close())
	for rpc, err := range calls(patient(t), c) {
		is(t, rpc, err)
	}
}
