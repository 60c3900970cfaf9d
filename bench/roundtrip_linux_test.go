package main

import (
	"net/netip"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/policy"
)

func TestRoundTripRow(t *testing.T) {
	var trips []roundTrip
	for i := range 100 {
		trips = append(trips, roundTrip{5 + float64(i%10)/10, 7 + float64(i)/100})
	}
	r := roundTripRowOf(5*ms, true, trips)
	if r.Kernel != (spread{5.5, 5, 5.9}) || r.KernelP90 != 5.8 || r.ProcessP90 != 7.89 || r.Connects != 100 || r.Handshake != 5 {
		t.Errorf("it is %+v", r)
	}
	if got := r.off(r.Kernel.Median); got != "+10.0 %" {
		t.Errorf("it is off by %q", got)
	}
	if b := r.bar(); b.met() || b.Value != 1.1 {
		t.Errorf("the bar is %+v", b)
	}
}

// Over loopback too the process knows later than the kernel.
func TestRoundTrips(t *testing.T) {
	host, err := netlab.Accept(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Close() })
	to, err := policy.Check(host.Addr())
	if err != nil {
		t.Fatal(err)
	}
	trips, err := roundTrips(to, 20)
	if err != nil || len(trips) != 20 {
		t.Fatalf("there are %d, %v", len(trips), err)
	}
	for _, trip := range trips {
		if trip.KernelMillis <= 0 || trip.ProcessMillis < trip.KernelMillis-0.001 {
			t.Errorf("it is %+v", trip)
		}
	}
	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	if trips, err := roundTrips(to, 3); err == nil {
		t.Errorf("of a host that is gone they are %+v", trips)
	}
}
