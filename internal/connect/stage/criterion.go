package stage

import (
	"cmp"
	"crypto/x509"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Criterion says what must have been done, beyond TCP, for an attempt to count as a
// success. The zero value: TCP alone. A Criterion serves many attempts at a time and
// is not changed by them.
type Criterion struct {
	// TLS is spoken before anything else. nil: it is not.
	TLS *TLS

	// At most one of the following.

	// HTTP is a request that must be answered. nil: there is none.
	HTTP *HTTP
	// Health is a call of grpc.health.v1 that must say SERVING. nil: there is none.
	Health *Health
	// FirstByte waits for a byte that the peer sends by itself, as SSH, SMTP and
	// databases do.
	FirstByte bool
}

// TLS is a handshake in which the peer's certificate is verified.
type TLS struct {
	// ServerName is a name that is sent as SNI and verified, or an address, which is
	// verified and not sent (RFC 6066 section 3). Empty: Peer.Name.
	ServerName string
	// ALPN are the protocols offered, the preferred first, at most MaxALPN of 1 to 255
	// bytes; h2 is one of them with Health. The server must agree on one. None: http/1.1
	// with HTTP, which a server without ALPN is spoken to all the same, h2 with Health, and
	// otherwise no offer.
	ALPN []string
	// Roots are trusted. nil: the system's.
	Roots *x509.CertPool
}

// HTTP is a request without a body. No redirect is followed.
type HTTP struct {
	// Method is GET or HEAD. Empty: GET.
	Method string
	// Path, with the query, is at most MaxPathLength bytes. Empty: "/".
	Path string
	// Host is the header of this name. Empty: Peer.Name, or else TLS.ServerName, or
	// else the address, and the port if it is not the usual one.
	Host string
	// Statuses count as success, at most MaxStatuses of 101 and 200 to 599: after
	// all other 1xx another response follows. None: 200 to 399.
	Statuses []int
}

// Health is a call of grpc.health.v1.Health/Check.
type Health struct {
	// Service is whose health is asked for, at most MaxServiceLength bytes. Empty: the
	// server as a whole.
	Service string
	// Authority is the pseudo-header of this name. Empty: as HTTP.Host.
	Authority string
}

// Peer is whom a connection leads to.
type Peer struct {
	Name     string         // that was asked for; empty: the endpoint's address stands for it
	Endpoint netip.AddrPort // required
	// Progress is told of each stage as it begins and ends. nil: nobody asks.
	Progress *Progress
}

// IsTCP says that nothing is wanted beyond TCP.
func (c *Criterion) IsTCP() bool { return c.TLS == nil && c.Usable() }

// Usable says that a connection that has met c can still be used by somebody: nothing
// was said over it but the TLS handshake.
func (c *Criterion) Usable() bool {
	return c.HTTP == nil && c.Health == nil && !c.FirstByte
}

// serverName is whom the certificate must be for.
func (c *Criterion) serverName(p Peer) string {
	return bareHost(cmp.Or(c.TLS.ServerName, p.Name, p.Endpoint.Addr().String()))
}

// protocols are what ALPN offers.
func (c *Criterion) protocols() []string {
	switch {
	case len(c.TLS.ALPN) > 0:
		return c.TLS.ALPN
	case c.HTTP != nil:
		return []string{http11}
	case c.Health != nil:
		return []string{http2Protocol}
	default:
		return nil
	}
}

// The protocols by their names in ALPN (RFC 7301 section 6).
const (
	http11        = "http/1.1"
	http2Protocol = "h2"
)

// authority is the peer as a client writes it into a request (RFC 9110 section 7.2):
// without the port that its scheme implies.
func (c *Criterion) authority(p Peer) string {
	name, usual := p.Name, uint16(80)
	if c.TLS != nil {
		name, usual = cmp.Or(name, c.TLS.ServerName), 443
	}
	host := bareHost(cmp.Or(name, p.Endpoint.Addr().String()))
	if port := p.Endpoint.Port(); port != usual {
		return net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// bareHost is a name without its final dot, or an address without its zone, as they
// stand in SNI, in certificates and in requests.
func bareHost(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.WithZone("").Unmap().String()
	}
	return strings.TrimSuffix(host, ".")
}
