package racer

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/connrace/connrace/internal/connect"
	"github.com/connrace/connrace/internal/connect/stage"
	"github.com/connrace/connrace/internal/hostname"
)

// Criterion says what an attempt must have done to count as a success: others are
// given up only when one has met it. The zero value: TCP is up.
type Criterion = stage.Criterion

// The parts of a Criterion.
type (
	// TLSCheck says how TLS is spoken.
	TLSCheck = stage.TLS
	// HTTPCheck is an HTTP request.
	HTTPCheck = stage.HTTP
	// HealthCheck is a call of grpc.health.v1.Health/Check.
	HealthCheck = stage.Health
)

// RootsFromPEM returns the certificates of a PEM file for TLSCheck.Roots. The error
// says what is wrong with the file.
var RootsFromPEM = stage.RootsFromPEM

// Source is where attempts leave from. The zero value leaves it to the routes.
type Source = connect.Source

// criterion checks what counts as a success. It returns a copy: a race that is shared
// may go on when the caller who gave the criterion has left.
func (c *checker) criterion(criterion Criterion) Criterion {
	for _, p := range criterion.Check() {
		c.wrongf("options.criterion."+p.Field, "%s", p.Message)
	}
	if tls := criterion.TLS; tls != nil {
		own := *tls
		own.ALPN = slices.Clone(tls.ALPN)
		criterion.TLS = &own
	}
	if http := criterion.HTTP; http != nil {
		own := *http
		own.Statuses = slices.Clone(http.Statuses)
		criterion.HTTP = &own
	}
	if health := criterion.Health; health != nil {
		criterion.Health = new(*health)
	}
	return criterion
}

// MaxDSCP bounds Source.DSCP: six bits (RFC 2474 section 3).
const MaxDSCP = 63

// maxInterfaceName is what a kernel has room for.
const maxInterfaceName = 15

func (c *checker) source(s Source) Source {
	const addresses = "options.source.bind_addresses"
	if s.IPv4.IsValid() && !s.IPv4.Is4() {
		c.wrongf(addresses, "has %s, which is no IPv4 address", s.IPv4)
	}
	if s.IPv6.IsValid() && (!s.IPv6.Is6() || s.IPv6.Is4In6()) {
		c.wrongf(addresses, "has %s, which is no IPv6 address", s.IPv6)
	}
	if s.IPv6.Zone() != "" {
		c.wrongf(addresses, "has %s, an address with a zone; leave the zone out and set the interface", s.IPv6)
	}
	for _, addr := range []netip.Addr{s.IPv4, s.IPv6} {
		if kind := nobodys(addr); kind != "" {
			c.wrongf(addresses, "has %s, %s address; allowed is one that a host has, or none", addr, kind)
		}
	}
	if len(s.Interface) > maxInterfaceName {
		c.wrongf("options.source.interface", "is %d bytes long; %d are allowed", len(s.Interface), maxInterfaceName)
	} else if strings.ContainsFunc(s.Interface, notInInterface) {
		c.wrongf("options.source.interface", "is %s; allowed is a name without white space, control characters, '/' and ':'", hostname.Quote(s.Interface))
	}
	if s.DSCP > MaxDSCP {
		c.wrongf("options.source.dscp", "is %d; allowed is 0 to %d", s.DSCP, MaxDSCP)
	}
	return s
}

var broadcast4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// nobodys says of what kind an address is that no host can have; "": some can, or it is
// none. Binding to such a one succeeds and binds nothing, and the routes choose.
func nobodys(addr netip.Addr) string {
	switch {
	case addr.IsUnspecified():
		return "the unspecified"
	case addr.IsMulticast():
		return "a multicast"
	case addr == broadcast4:
		return "the broadcast"
	default:
		return ""
	}
}

// notInInterface is what Linux allows in no interface's name, and what nobody can see in
// one. A kernel reads a name up to its first NUL, which would make it another one.
func notInInterface(c rune) bool {
	return unicode.IsSpace(c) || unicode.IsControl(c) || c == '/' || c == ':'
}
