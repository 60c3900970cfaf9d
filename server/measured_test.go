package server_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// measured fields differ from run to run, and two are sentences about them. All
// others are exact, the durations of options, intervals and attempt delays too.
var measured = map[protoreflect.Name][]protoreflect.Name{
	"Run":             {"start_time", "duration"},
	"Query":           {"start_offset", "duration"},
	"Candidate":       {"if_first_difference"},
	"Attempt":         {"start_offset", "end_offset"},
	"Phase":           {"start_offset", "duration"},
	"Winner":          {"local_endpoint", "win_offset", "connect_duration"},
	"Masked":          {"summary"},
	"MaskedAddress":   {"duration"},
	"ProbeReport":     {"verdict_explanation"},
	"ScheduledStart":  {"start_offset"},
	"ConnectStats":    {"min", "median", "p90", "max", "last", "samples"},
	"TranscriptEvent": {"offset"},
}

// hostly fields are set where the host's kernel tells something, and are not compared.
// fitsAttempt looks at them.
var hostly = map[protoreflect.Name][]protoreflect.Name{"Attempt": {"kernel", "notice_delay", "local_endpoint"}}

// What stands in the place of a measured value that is set.
var (
	someDuration = durationpb.New(time.Second)
	someTime     = timestamppb.New(time.Unix(1, 0))
	someText     = "measured"
)

// unmeasured returns a copy in which every measured value that is set is the
// same one, so that whole replies can be compared.
func unmeasured[M proto.Message](m M) M {
	c := proto.CloneOf(m)
	blank(c.ProtoReflect())
	return c
}

func blank(m protoreflect.Message) {
	for _, name := range hostly[m.Descriptor().Name()] {
		m.Clear(m.Descriptor().Fields().ByName(name))
	}
	for _, name := range measured[m.Descriptor().Name()] {
		f := m.Descriptor().Fields().ByName(name)
		switch {
		case !m.Has(f):
		case f.IsList():
			for i := range m.Get(f).List().Len() {
				m.Mutable(f).List().Set(i, some(f))
			}
		default:
			m.Set(f, some(f))
		}
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for i := range v.List().Len() {
				blank(v.List().Get(i).Message())
			}
		default:
			blank(v.Message())
		}
		return true
	})
}

func some(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch {
	case f.Kind() == protoreflect.StringKind:
		return protoreflect.ValueOfString(someText)
	case f.Message().Name() == "Timestamp":
		return protoreflect.ValueOfMessage(someTime.ProtoReflect())
	default:
		return protoreflect.ValueOfMessage(someDuration.ProtoReflect())
	}
}

// same compares two replies but for what was measured.
func same(t *testing.T, got, want proto.Message) {
	t.Helper()
	got, want = unmeasured(got), unmeasured(want)
	if !proto.Equal(got, want) {
		t.Errorf("reply is\n%s\nwant\n%s", prototext.Format(got), prototext.Format(want))
	}
}

// began checks that a run lies between before and now, by the same clock.
func began(t *testing.T, run *connracev1.Run, before time.Time) {
	t.Helper()
	now, start, took := time.Now(), run.GetStartTime().AsTime(), run.GetDuration().AsDuration()
	const slewed = time.Millisecond // start_time's clock may be, a duration's is not
	if start.Before(before) || start.Add(took).After(now.Add(slewed)) {
		t.Errorf("the run took %v from %v; it was asked for after %v, and now is %v", took, start, before, now)
	}
}

// fits checks how the measured values of candidates hang together.
func fits(t *testing.T, run *connracev1.Run, cs []*connracev1.Candidate) {
	t.Helper()
	for _, c := range cs {
		for _, a := range c.GetAttempts() {
			fitsAttempt(t, run, a)
		}
	}
}

func fitsAttempt(t *testing.T, run *connracev1.Run, a *connracev1.Attempt) {
	t.Helper()
	start, end := a.GetStartOffset().AsDuration(), a.GetEndOffset().AsDuration()
	if start < 0 || end < start || run.GetDuration().AsDuration() < end {
		t.Errorf("the attempt lasts from %v to %v, the run until %v", start, end, run.GetDuration().AsDuration())
	}
	fitsKernel(t, a)
	for _, p := range a.GetPhases() {
		if p.GetStartOffset().AsDuration() != start || p.GetDuration().AsDuration() != end-start {
			t.Errorf("the only phase starts at %v and takes %v, the attempt lasts from %v to %v",
				p.GetStartOffset().AsDuration(), p.GetDuration().AsDuration(), start, end)
		}
	}
}

// connects are the outcomes of attempts that have connected.
var connects = map[connracev1.Outcome]bool{
	connracev1.Outcome_OUTCOME_WON: true, connracev1.Outcome_OUTCOME_CONNECTED: true, connracev1.Outcome_OUTCOME_CONNECTED_LATE: true,
}

// fitsKernel checks what the kernel says of an attempt, where it says anything.
func fitsKernel(t *testing.T, a *connracev1.Attempt) {
	t.Helper()
	k := a.GetKernel()
	connected := connects[a.GetOutcome()]
	if connected && a.GetLocalEndpoint() == "" {
		t.Errorf("it connected from nowhere: %v", a)
	}
	if k == nil {
		return
	}
	took := a.GetEndOffset().AsDuration() - a.GetStartOffset().AsDuration()
	if rtt := k.GetRtt().AsDuration(); rtt < 0 || rtt > took+time.Microsecond {
		t.Errorf("the kernel says %v, the attempt took %v", rtt, took)
	}
	if connected != (k.GetMss() > 0) || k.GetSynRepeatCount() < 0 || a.GetNoticeDelay().AsDuration() < 0 {
		t.Errorf("the kernel says %v of an attempt from %q, noticed after %v", k, a.GetLocalEndpoint(), a.GetNoticeDelay().AsDuration())
	}
}
