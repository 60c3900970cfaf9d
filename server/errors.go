package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/racer"
)

// domain is the ErrorInfo domain of all our errors.
const domain = "connrace.v1"

// Reasons of ErrorInfo.
const (
	reasonInvalid      = "INVALID_REQUEST"
	reasonNotRanked    = "NOT_RANKED"
	reasonNotWon       = "NOT_WON"
	reasonNotReachable = "NOT_REACHABLE"
	reasonShuttingDown = "SHUTTING_DOWN"
	reasonCallerLeft   = "CALLER_LEFT"
	reasonOverloaded   = "OVERLOADED"
	reasonInternal     = "INTERNAL"
)

// errShuttingDown ends a watch when the daemon stops, and a call that is still there
// when its time for that is up.
var errShuttingDown = errors.New("the daemon is shutting down")

// toStatus is the one place where errors become gRPC statuses.
func toStatus(err error) error {
	if invalid, ok := errors.AsType[*racer.RequestError](err); ok {
		return invalidError(invalid)
	}
	if overloaded, ok := errors.AsType[*racer.OverloadedError](err); ok {
		return overloadedError(overloaded)
	}
	switch {
	case errors.Is(err, errShuttingDown):
		return detailed(codes.Unavailable, "the daemon is shutting down; ask another one, or again later",
			&errdetails.ErrorInfo{Reason: reasonShuttingDown, Domain: domain})
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		st := status.FromContextError(err)
		return detailed(st.Code(), st.Message(), &errdetails.ErrorInfo{Reason: reasonCallerLeft, Domain: domain})
	}
	if _, ok := status.FromError(err); ok {
		return err // from the transport, or made here
	}
	return internalError()
}

// overloadedError says when to come back, which budget is used up, and by whom.
func overloadedError(overloaded *racer.OverloadedError) error {
	budget, whose, attempts := overloaded.Budget.String(), "other_callers", "attempts of other callers"
	if overloaded.Own {
		whose, attempts = "this_caller", "attempts of this caller"
	}
	return detailed(codes.ResourceExhausted,
		fmt.Sprintf("too many %s wait for this daemon's budget %s; try again in %v, or ask another daemon", attempts, budget, overloaded.RetryAfter.Round(10*time.Millisecond)),
		&errdetails.ErrorInfo{Reason: reasonOverloaded, Domain: domain, Metadata: map[string]string{"budget": budget, "whose": whose}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(overloaded.RetryAfter)},
		&errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{
			Subject: "budget:" + budget, Description: attempts + " that wait for " + budget + " have taken the places in line that this call could have",
		}}})
}

// internalError tells the caller nothing about our insides.
func internalError() error {
	return detailed(codes.Internal, "internal error; the daemon's log has the details",
		&errdetails.ErrorInfo{Reason: reasonInternal, Domain: domain})
}

func invalidError(invalid *racer.RequestError) error {
	info := &errdetails.ErrorInfo{Reason: reasonInvalid, Domain: domain, Metadata: map[string]string{
		"field":           invalid.Fields[0].Field,
		"violation_count": strconv.Itoa(len(invalid.Fields)),
	}}
	bad := &errdetails.BadRequest{}
	for _, f := range invalid.Fields[:min(len(invalid.Fields), inDetails)] {
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: f.Field, Description: f.Field + " " + f.Message,
		})
	}
	return detailed(codes.InvalidArgument, summary(invalid), info, bad)
}

// summary names as many fields as fit into a message.
func summary(invalid *racer.RequestError) string {
	shown := racer.RequestError{Fields: invalid.Fields[:min(len(invalid.Fields), mostInMessage)]}
	for len(shown.Fields) > 1 && wireLength(shown.Error()) > maxMessageBytes {
		shown.Fields = shown.Fields[:len(shown.Fields)-1]
	}
	if more := len(invalid.Fields) - len(shown.Fields); more > 0 {
		return fmt.Sprintf("%s; and %d more", shown.Error(), more)
	}
	return shown.Error()
}

// wireLength is how long a message is in a trailer, where gRPC writes a percent
// sign and all that is not printable ASCII as three bytes.
func wireLength(message string) int {
	n := len(message)
	for _, c := range []byte(message) {
		if c < ' ' || c > '~' || c == '%' {
			n += 2
		}
	}
	return n
}

// How much is said when everything is wrong with a request. It keeps such a status
// as short as maxDetailBytes does that of a large reply: what is said about a field
// is ASCII and at most about 250 bytes long.
const (
	maxMessageBytes = 1500
	mostInMessage   = 20
	inDetails       = 10
)

func detailed(code codes.Code, message string, details ...protoadapt.MessageV1) error {
	st := status.New(code, message)
	if with, err := st.WithDetails(details...); err == nil {
		st = with
	}
	return st.Err()
}

// maxDetailBytes is how much of a reply rides along with an error. A status
// travels in the trailers, and clients written in C++ or Java refuse more than
// 8 KiB of these: base64 and the rest of the status fit in with this.
const maxDetailBytes = 5 << 10

// lostError is the error of a call whose caller wants one when nothing was won:
// the reply is its detail. cut makes the reply smaller when it is too large, and
// returns false when it cannot.
func lostError(reason, message string, reply proto.Message, cut func() bool) error {
	info := &errdetails.ErrorInfo{Reason: reason, Domain: domain, Metadata: map[string]string{"reply": "whole"}}
	size := proto.Size(reply)
	for proto.Size(reply) > maxDetailBytes && cut() {
		info.Metadata["reply"] = "cut"
		info.Metadata["reply_bytes"] = strconv.Itoa(size)
	}
	return detailed(codes.FailedPrecondition, message+"; the reply is among the details", info, protoadapt.MessageV1Of(reply))
}
