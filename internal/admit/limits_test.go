package admit

import (
	"slices"
	"testing"

	"github.com/connrace/connrace/racer/sched"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		want   []FieldError
	}{
		{Limits{}, nil},
		{Limits{1, 1, 1, 1, 1, 1, 1, 1, 1}, nil},
		{Limits{MaxLimit, MaxLimit, MaxLimit, MaxLimit, MaxLimit, MaxLimit, MaxLimit, MaxLimit, MaxLimit}, nil},
		{Limits{InFlight: -1, Waiting: -5}, []FieldError{
			{"limits.in_flight", "is -1; allowed is 0 (no limit) to 1000000"},
			{"limits.waiting", "is -5; allowed is 0 (10000) to 1000000"},
		}},
		{Limits{0, -1, -2, -3, -4, -5, -6, MaxLimit + 1, 0}, []FieldError{
			{"limits.per_second", "is -1; allowed is 0 (no limit) to 1000000"},
			{"limits.caller_in_flight", "is -2; allowed is 0 (no limit) to 1000000"},
			{"limits.caller_per_second", "is -3; allowed is 0 (no limit) to 1000000"},
			{"limits.destination_in_flight", "is -4; allowed is 0 (no limit) to 1000000"},
			{"limits.destination_per_second", "is -5; allowed is 0 (no limit) to 1000000"},
			{"limits.prefix_in_flight", "is -6; allowed is 0 (no limit) to 1000000"},
			{"limits.prefix_per_second", "is 1000001; allowed is 0 (no limit) to 1000000"},
		}},
	} {
		if got := c.limits.Check(); !slices.Equal(got, c.want) {
			t.Errorf("%+v.Check() = %q, want %q", c.limits, got, c.want)
		}
	}
}

func TestReasonsAreStableWords(t *testing.T) {
	for r, want := range map[sched.DeferReason]string{
		0: "", sched.DeferDescriptors: "descriptors", sched.DeferInFlight: "in_flight", sched.DeferRate: "rate",
		sched.DeferCallerInFlight: "caller_in_flight", sched.DeferCallerRate: "caller_rate",
		sched.DeferDestinationInFlight: "destination_in_flight", sched.DeferDestinationRate: "destination_rate",
		sched.DeferPrefixInFlight: "prefix_in_flight", sched.DeferPrefixRate: "prefix_rate", sched.DeferPrefixRate + 1: "?", 255: "?",
	} {
		if r.String() != want {
			t.Errorf("%d is %q, want %q", r, r, want)
		}
	}
}

func TestSpareDescriptors(t *testing.T) {
	for limit, want := range map[uint64]int{
		0: 1, 1: 1, 2: 1, 40: 20, 128: 64, 200: 136, 256: 192, 1024: 768, 4096: 3072, 20_000: 17_952, 1 << 63: 1<<30 - 2048,
	} {
		if got := spare(limit); got != want {
			t.Errorf("of %d attempts may use %d, want %d", limit, got, want)
		}
	}
}
