package policy

import (
	"errors"
	"net/netip"
	"testing"
)

func TestCheckDenies(t *testing.T) {
	for endpoint, reason := range map[string]string{
		"169.254.169.254:80":          "link-local address",
		"[::ffff:169.254.169.254]:80": "link-local address",
		"[fe80::1]:443":               "link-local address",
		"[fe80::1%eth0]:443":          "link-local address",
		"0.0.0.0:80":                  "unspecified address",
		"0.1.2.3:80":                  "unspecified address",
		"[::]:80":                     "unspecified address",
		"[::ffff:0.0.0.0]:80":         "unspecified address",
		"224.0.0.1:80":                "multicast address",
		"239.255.255.255:80":          "multicast address",
		"[ff02::1]:80":                "multicast address",
		"[::ffff:224.0.0.1]:80":       "multicast address",
		"255.255.255.255:80":          "broadcast address",
		"[::ffff:255.255.255.255]:80": "broadcast address",
		"[2001:db8::1%eth0]:80":       "address with a zone",
		"192.0.2.1:0":                 "port 0",
		"[::1%lo]:80":                 "address with a zone",
		"[::ffff:127.0.0.1%lo]:80":    "address with a zone",
		"[::ffff:169.254.0.1%lo]:80":  "link-local address",
	} {
		allowed, err := Check(netip.MustParseAddrPort(endpoint))
		var denied *DeniedError
		if !errors.As(err, &denied) || denied.Reason != reason {
			t.Errorf("Check(%s) = %v, want a denial because of %q", endpoint, err, reason)
		}
		if allowed != (Allowed{}) {
			t.Errorf("Check(%s) denied and still gave out %v", endpoint, allowed)
		}
	}
	if _, err := Check(netip.AddrPort{}); err == nil {
		t.Error("Check of no address at all must deny")
	}
}

func TestCheckAllows(t *testing.T) {
	for endpoint, want := range map[string]string{
		"127.0.0.1:80":           "127.0.0.1:80",
		"[::1]:80":               "[::1]:80",
		"10.0.0.1:65535":         "10.0.0.1:65535",
		"192.0.2.1:443":          "192.0.2.1:443",
		"[::ffff:192.0.2.1]:443": "192.0.2.1:443",
		"[2001:db8::1]:443":      "[2001:db8::1]:443",
		"[fd00::1]:443":          "[fd00::1]:443",
	} {
		allowed, err := Check(netip.MustParseAddrPort(endpoint))
		if err != nil {
			t.Errorf("Check(%s) = %v, want it allowed", endpoint, err)
			continue
		}
		if got := allowed.Endpoint().String(); got != want {
			t.Errorf("Check(%s) allows %s, want %s", endpoint, got, want)
		}
	}
}

// FuzzCheck holds that no spelling of an address gets past the rules.
func FuzzCheck(f *testing.F) {
	f.Add([]byte{169, 254, 169, 254}, uint16(80))
	f.Add(netip.MustParseAddr("::ffff:169.254.169.254").AsSlice(), uint16(80))
	f.Fuzz(func(t *testing.T, b []byte, port uint16) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		allowed, err := Check(netip.AddrPortFrom(addr, port))
		if err != nil {
			return
		}
		got := allowed.Endpoint().Addr()
		if got != addr.Unmap() || got.IsLinkLocalUnicast() || got.IsMulticast() || got.IsUnspecified() || got.Is4In6() {
			t.Errorf("Check(%s) lets %s through", addr, got)
		}
	})
}
