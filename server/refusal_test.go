package server_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// refusedBecause checks an error's code and reason, that it says whose it is and
// has each type of detail once, and returns the status and its ErrorInfo.
func refusedBecause(t *testing.T, err error, code codes.Code, reason string) (*status.Status, *errdetails.ErrorInfo) {
	t.Helper()
	st, ok := status.FromError(err)
	if err == nil || !ok {
		t.Fatalf("error is %v, want a status", err)
	}
	if st.Code() != code || st.Message() == "" {
		t.Errorf("the status is %v, want %v and a message", st, code)
	}
	once(t, st)
	info := detail[*errdetails.ErrorInfo](t, st)
	if info.GetDomain() != "connrace.v1" || info.GetReason() != reason {
		t.Errorf("the ErrorInfo is %v, want domain connrace.v1 and reason %s", info, reason)
	}
	return st, info
}

// once wants each type of detail at most once, as AIP-193 demands.
func once(t *testing.T, st *status.Status) {
	t.Helper()
	seen := map[string]bool{}
	for _, d := range st.Proto().GetDetails() {
		if seen[d.GetTypeUrl()] {
			t.Errorf("a second detail of type %s", d.GetTypeUrl())
		}
		seen[d.GetTypeUrl()] = true
	}
}

// detail returns a status's detail of one type.
func detail[M proto.Message](t *testing.T, st *status.Status) M {
	t.Helper()
	for _, d := range st.Details() {
		if m, ok := d.(M); ok {
			return m
		}
	}
	var none M
	t.Fatalf("no detail %T in %v", none, st.Proto())
	return none
}

// violates checks an INVALID_ARGUMENT: exactly these fields are wrong, and each
// description goes by the field's name and says what is wrong or allowed.
func violates(t *testing.T, err error, want ...violation) {
	t.Helper()
	st, info := refusedBecause(t, err, codes.InvalidArgument, "INVALID_REQUEST")
	var fields, wanted []string
	violations := detail[*errdetails.BadRequest](t, st).GetFieldViolations()
	for _, v := range violations {
		fields = append(fields, v.GetField())
	}
	for _, w := range want {
		wanted = append(wanted, w.field)
	}
	slices.Sort(wanted)
	if got := slices.Sorted(slices.Values(fields)); !slices.Equal(got, wanted) {
		t.Errorf("wrong are %q, want %q", got, wanted)
		return
	}
	if got := info.GetMetadata()["field"]; !slices.Contains(fields, got) || !strings.Contains(st.Message(), got) {
		t.Errorf("the ErrorInfo's field is %q, want one of %q that the message %q names", got, fields, st.Message())
	}
	if got := info.GetMetadata()["violation_count"]; got != strconv.Itoa(len(want)) {
		t.Errorf("the ErrorInfo counts %s violations, want %d", got, len(want))
	}
	for _, w := range want {
		w.described(t, violations[slices.Index(fields, w.field)].GetDescription())
	}
}

// violation is a wrong field and words of its description.
type violation struct {
	field string
	says  []string
}

func wrong(field string, says ...string) violation { return violation{field: field, says: says} }

func (v violation) described(t *testing.T, description string) {
	t.Helper()
	if !strings.HasPrefix(description, v.field+" ") {
		t.Errorf("%q does not begin with %s", description, v.field)
	}
	for _, word := range v.says {
		if !strings.Contains(description, word) {
			t.Errorf("%q does not say %q", description, word)
		}
	}
}
