package netlab

import (
	"net/netip"
	"testing"
)

func TestGateway(t *testing.T) {
	for client, want := range map[string]string{
		"192.0.2.1/24":     "192.0.2.254",
		"192.0.2.254/24":   "192.0.2.253",
		"10.1.2.3/8":       "10.255.255.254",
		"192.0.2.1/30":     "192.0.2.2",
		"192.0.2.2/30":     "192.0.2.1",
		"192.0.2.5/29":     "192.0.2.6",
		"2001:db8:1::1/64": "fe80::1",
	} {
		if got := gateway(netip.MustParsePrefix(client)); got.String() != want {
			t.Errorf("gateway of %s is %v, want %s", client, got, want)
		}
	}
}
