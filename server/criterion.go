package server

import (
	"fmt"
	"net/netip"

	"github.com/connrace/connrace/internal/hostname"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
)

// criterion takes over what counts as a success; package racer checks it.
func (d *decoder) criterion(m *connracev1.SuccessCriterion) racer.Criterion {
	var c racer.Criterion
	if t := m.GetTls(); t != nil {
		c.TLS = d.tls(t)
	}
	switch app := m.GetApplication().(type) {
	case *connracev1.SuccessCriterion_Http:
		c.HTTP = http(app.Http)
	case *connracev1.SuccessCriterion_GrpcHealth:
		c.Health = &racer.HealthCheck{Service: app.GrpcHealth.GetService(), Authority: app.GrpcHealth.GetAuthority()}
	case *connracev1.SuccessCriterion_FirstByte:
		c.FirstByte = true
	}
	return c
}

func (d *decoder) tls(m *connracev1.TlsCheck) *racer.TLSCheck {
	t := &racer.TLSCheck{ServerName: m.GetServerName(), ALPN: m.GetAlpnProtocols()}
	if m.GetRootCertificatesPem() == "" {
		return t
	}
	roots, err := racer.RootsFromPEM([]byte(m.GetRootCertificatesPem()))
	if err != nil {
		d.wrongf("options.criterion.tls.root_certificates_pem", "%v", err)
	}
	t.Roots = roots
	return t
}

func http(m *connracev1.HttpCheck) *racer.HTTPCheck {
	h := &racer.HTTPCheck{Method: m.GetMethod(), Path: m.GetPath(), Host: m.GetHost()}
	for _, s := range m.GetSuccessStatuses() {
		h.Statuses = append(h.Statuses, int(s))
	}
	return h
}

// source takes over where attempts leave from. It has an address of each family at the
// most.
func (d *decoder) source(m *connracev1.SourceOptions) racer.Source {
	s := racer.Source{Interface: m.GetInterface(), Mark: m.GetMark()}
	for i, text := range m.GetBindAddresses() {
		d.bind(&s, fmt.Sprintf("options.source.bind_addresses[%d]", i), text)
	}
	if v := m.GetDscp(); v < 0 || v > racer.MaxDSCP {
		d.wrongf("options.source.dscp", "is %d; allowed is 0 to %d", v, racer.MaxDSCP)
	} else {
		s.DSCP = uint8(v)
	}
	return s
}

func (d *decoder) bind(s *racer.Source, field, text string) {
	addr, err := netip.ParseAddr(text)
	zone := addr.Zone()
	addr = addr.Unmap() // without its zone, where it is IPv4
	of := &s.IPv6
	if addr.Is4() {
		of = &s.IPv4
	}
	switch {
	case err != nil:
		d.wrongf(field, "is %s, which is no address; write it as in \"192.0.2.1\" or \"2001:db8::1\"", hostname.Quote(text))
	case addr.Is4() && zone != "":
		d.wrongf(field, "is %s, an IPv4 address with a zone; leave the zone out and set the interface", hostname.Quote(text))
	case of.IsValid():
		d.wrongf(field, "is a second address of its family; one of each is allowed")
	default:
		*of = addr
	}
}

// successCriterion encodes the criterion in effect, without the certificates that are
// trusted; unset for TCP alone.
func successCriterion(c *racer.Criterion) *connracev1.SuccessCriterion {
	if c.IsTCP() {
		return nil
	}
	m := new(connracev1.SuccessCriterion)
	if c.TLS != nil {
		m.Tls = &connracev1.TlsCheck{ServerName: c.TLS.ServerName, AlpnProtocols: c.TLS.ALPN}
	}
	switch {
	case c.HTTP != nil:
		h := &connracev1.HttpCheck{Method: c.HTTP.Method, Path: c.HTTP.Path, Host: c.HTTP.Host}
		for _, s := range c.HTTP.Statuses {
			h.SuccessStatuses = append(h.SuccessStatuses, int32(s))
		}
		m.Application = &connracev1.SuccessCriterion_Http{Http: h}
	case c.Health != nil:
		m.Application = &connracev1.SuccessCriterion_GrpcHealth{GrpcHealth: &connracev1.GrpcHealthCheck{
			Service: c.Health.Service, Authority: c.Health.Authority,
		}}
	case c.FirstByte:
		m.Application = &connracev1.SuccessCriterion_FirstByte{FirstByte: &connracev1.FirstByteCheck{}}
	}
	return m
}

// sourceOptions encodes where attempts leave from; unset where the routes say.
func sourceOptions(s racer.Source) *connracev1.SourceOptions {
	if s == (racer.Source{}) {
		return nil
	}
	m := &connracev1.SourceOptions{Interface: s.Interface, Mark: s.Mark, Dscp: int32(s.DSCP)}
	for _, addr := range []netip.Addr{s.IPv4, s.IPv6} {
		if addr.IsValid() {
			m.BindAddresses = append(m.BindAddresses, addr.String())
		}
	}
	return m
}
