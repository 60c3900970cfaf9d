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
// multicast, unspecified and broadcast addresses, and port 0. The error is a
// *DeniedError.
//
// An IPv4 address inside an IPv6 one is judged as IPv4, whoever may take it out on the
// way: IPv4-mapped and IPv4-compatible addresses, those of translators below
// 64:ff9b::/32 and ::ffff:0:0:0/96, of the tunnels 6to4 and Teredo, and ISATAP's
// in any network. Where an address can be read in several ways, none may be denied. Not
// seen is what is in addresses of an operator's own prefix for translation or 6rd:
// nothing in these tells them from others.
//
// An address with a zone is denied too. Those that need one are link-local, and for all
// others the zone is one more way to choose an interface, past what the caller may ask
// for and gets told.
func Check(endpoint netip.AddrPort) (Allowed, error) {
	zone := endpoint.Addr().Zone() // which an IPv4-mapped address loses as IPv4
	endpoint = netip.AddrPortFrom(endpoint.Addr().Unmap(), endpoint.Port())
	reason := denial(endpoint.Addr())
	switch {
	case reason != "":
	case zone != "":
		reason = "address with a zone"
	case endpoint.Port() == 0:
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
	case addr.Is6() && !addr.IsLoopback(): // ::1 is no 0.0.0.1
		return denialInside(addr)
	}
	return ""
}
