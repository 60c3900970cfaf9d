package client

import (
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// What a program may want to tell apart, with errors.Is.
var (
	// ErrInvalidRequest: the daemon refuses the request; Error.Fields say why.
	ErrInvalidRequest = errors.New("invalid request")
	// ErrNotRanked, ErrNotWon, ErrNotReachable: what fail_unless_ranked,
	// fail_unless_won and fail_unless_reachable ask for; Error.Reply is the reply.
	ErrNotRanked    = errors.New("no address may be tried")
	ErrNotWon       = errors.New("nothing connected")
	ErrNotReachable = errors.New("nothing is reachable")
	// ErrOverloaded: too many attempts wait for the daemon's budgets already; try again
	// after Error.RetryAfter.
	ErrOverloaded = errors.New("the daemon is overloaded")
	// ErrUnavailable: no daemon answers, or it is shutting down. Connect without
	// its advice, and ask again later.
	ErrUnavailable = errors.New("the daemon is unavailable")
)

// Error is what every call of a Client returns when it fails. It works with
// errors.Is for the values above and with status.FromError.
type Error struct {
	// Status is what came over the wire.
	Status *status.Status
	// Reason is the ErrorInfo's reason, such as "NOT_WON"; empty when the error
	// does not come from the daemon.
	Reason string
	// Fields say what is wrong with the request.
	Fields []FieldViolation
	// RetryAfter is how long to wait before asking again, with ErrOverloaded; 0: not
	// said.
	RetryAfter time.Duration
	// Reply is the reply that rides along when nothing was won: a
	// *ResolveAndRankResponse, *RaceResponse, *ProbeResponse or
	// *WatchProbeResponse. Large ones are cut; see docs/reference.md.
	Reply proto.Message
}

// FieldViolation is one field of a request and what is wrong with it.
type FieldViolation struct {
	Field       string // such as "options.timeout"
	Description string // what is wrong and what is allowed
}

// Error returns the daemon's sentence.
func (e *Error) Error() string { return "connrace: " + e.Status.Message() }

// GRPCStatus returns the status, for status.FromError.
func (e *Error) GRPCStatus() *status.Status { return e.Status }

// Is reports whether the error is one of the values above.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrInvalidRequest:
		return e.Status.Code() == codes.InvalidArgument
	case ErrNotRanked:
		return e.Reason == "NOT_RANKED"
	case ErrNotWon:
		return e.Reason == "NOT_WON"
	case ErrNotReachable:
		return e.Reason == "NOT_REACHABLE"
	case ErrOverloaded:
		return e.Reason == "OVERLOADED"
	case ErrUnavailable:
		return e.Status.Code() == codes.Unavailable
	}
	return false
}

// fromStatus is the one place where statuses become errors.
func fromStatus(err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Status: status.Convert(err)}
	for _, detail := range e.Status.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			e.Reason = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.Fields = append(e.Fields, FieldViolation{Field: v.GetField(), Description: v.GetDescription()})
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = d.GetRetryDelay().AsDuration()
		case *connracev1.ResolveAndRankResponse, *connracev1.RaceResponse, *connracev1.ProbeResponse, *connracev1.WatchProbeResponse:
			e.Reply, _ = d.(proto.Message)
		}
	}
	return e
}
