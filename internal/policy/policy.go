// Package policy decides where the daemon may connect.
//
// It stands on the only path to connect(): an attempt takes an Allowed, and
// nothing but Check makes one. The address that was checked is the address that
// is dialed.
package policy

import (
	"fmt"
	"net/netip"
)

// Allowed is an endpoint that has passed Check. Its zero value is none.
type Allowed struct{ endpoint netip.AddrPort }

// Endpoint returns the checked address and port; an IPv4-mapped address comes
// back as IPv4.
func (a Allowed) Endpoint() netip.AddrPort { return a.endpoint }

// DeniedError says which endpoint may not be connected to, and why.
type DeniedError struct {
	Endpoint netip.AddrPort // an IPv4-mapped one as IPv4
	Reason   string         // such as "link-local address"
}

// Error names the endpoint and the reason.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("policy denies %s: %s", e.Endpoint, e.Reason)
}

// Check allows or denies one endpoint. It denies what no client of a racer has
// business with: link-local addresses (cloud metadata services live there),
// multicast, unspecified and broadcast addresses, and port 0. An IPv4 address
// inside an IPv6 one is judged as IPv4. The error is a *DeniedError.
func Check(endpoint netip.AddrPort) (Allowed, error) {
	endpoint = netip.AddrPortFrom(endpoint.Addr().Unmap(), endpoint.Port())
	reason := denial(endpoint.Addr())
	if reason == "" && endpoint.Port() == 0 {
		reason = "port 0"
	}
	if reason != "" {
		return Allowed{}, &DeniedError{Endpoint: endpoint, Reason: reason}
	}
	return Allowed{endpoint: endpoint}, nil
}

var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8") // RFC 1122 section 3.2.1.3
	broadcast   = netip.MustParseAddr("255.255.255.255")

	// Prefixes that carry an IPv4 address in their last 32 bits.
	tailIPv4 = []netip.Prefix{
		netip.MustParsePrefix("::/96"),        // IPv4-compatible, RFC 4291 section 2.5.5.1
		netip.MustParsePrefix("64:ff9b::/96"), // NAT64, RFC 6052 section 2.1
	}
	sixToFour = netip.MustParsePrefix("2002::/16") // RFC 3056 section 2: bits 16 to 47
)

// denial returns why addr is denied, or "".
func denial(addr netip.Addr) string {
	switch {
	case !addr.IsValid():
		return "no address"
	case addr.IsUnspecified() || thisNetwork.Contains(addr):
		return "unspecified address"
	case addr.IsMulticast():
		return "multicast address"
	case addr.IsLinkLocalUnicast():
		return "link-local address"
	case addr == broadcast:
		return "broadcast address"
	case addr.Zone() != "":
		return "address with a zone"
	}
	if inner, ok := embedded(addr); ok && !addr.IsLoopback() {
		if reason := denial(inner); reason != "" {
			return reason + " " + inner.String() + " inside it"
		}
	}
	return ""
}

// embedded returns the IPv4 address a gateway would turn addr into.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if addr.Is4() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	for _, p := range tailIPv4 {
		if p.Contains(addr) {
			return netip.AddrFrom4([4]byte(b[12:16])), true
		}
	}
	if sixToFour.Contains(addr) {
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}
