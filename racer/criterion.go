package racer

import (
	"slices"

	"github.com/connrace/connrace/internal/connect"
	"github.com/connrace/connrace/internal/connect/stage"
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
	if s.IPv4.IsValid() && !s.IPv4.Is4() {
		c.wrongf("options.source.bind_addresses", "has %s, which is no IPv4 address", s.IPv4)
	}
	if s.IPv6.IsValid() && (!s.IPv6.Is6() || s.IPv6.Is4In6()) {
		c.wrongf("options.source.bind_addresses", "has %s, which is no IPv6 address", s.IPv6)
	}
	if s.IPv6.Zone() != "" {
		c.wrongf("options.source.bind_addresses", "has %s, an address with a zone; leave the zone out and set the interface", s.IPv6)
	}
	if len(s.Interface) > maxInterfaceName {
		c.wrongf("options.source.interface", "is %d bytes long; %d are allowed", len(s.Interface), maxInterfaceName)
	}
	if s.DSCP > MaxDSCP {
		c.wrongf("options.source.dscp", "is %d; allowed is 0 to %d", s.DSCP, MaxDSCP)
	}
	return s
}
