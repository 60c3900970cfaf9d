package sched

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// RFC 6298 section 2, by hand. With samples of 100, 120 and 80 ms:
//
//	100:  SRTT = 100                      RTTVAR = 100/2                     = 50
//	120:  SRTT = 7/8*100   + 120/8 = 102.5     RTTVAR = 3/4*50   + |100-120|/4   = 42.5
//	 80:  SRTT = 7/8*102.5 +  80/8 = 99.6875   RTTVAR = 3/4*42.5 + |102.5-80|/4  = 37.5
//
// The deviation is taken from the mean before the sample counts in it.
func TestSmoothing(t *testing.T) {
	us := func(n float64) time.Duration { return time.Duration(n * float64(time.Microsecond)) }
	for _, c := range []struct {
		name           string
		samples        []time.Duration
		rtt, deviation time.Duration
	}{
		{"nothing", nil, 0, 0},
		{"one", []time.Duration{100 * ms}, 100 * ms, 50 * ms},
		{"two", []time.Duration{100 * ms, 120 * ms}, us(102_500), us(42_500)},
		{"three", []time.Duration{100 * ms, 120 * ms, 80 * ms}, us(99_687.5), us(37_500)},
		{"the other way round", []time.Duration{80 * ms, 120 * ms, 100 * ms}, us(86_875), us(33_750)},
		{"always the same", slices.Repeat([]time.Duration{64 * ms}, 4), 64 * ms, us(13_500)},
		{"the same for long, which is not to know nothing", slices.Repeat([]time.Duration{64 * ms}, 100), 64 * ms, 1},
		{"one that took long", []time.Duration{8 * ms, 8 * ms, 1008 * ms}, 133 * ms, us(252_250)},
	} {
		got := Learn(c.samples...)
		if want := (Expectation{RTT: c.rtt, Deviation: c.deviation, Past: slices.Sorted(slices.Values(c.samples))}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, want)
		}
	}
}
