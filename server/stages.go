package server

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/racer/sched"
)

// phasesOf encodes an attempt's stages. What failed, or did not end in time, did so in
// the last of them.
func (w *written) phasesOf(a *racer.Attempt) []*connracev1.Phase {
	all := a.Phases()
	if len(all) == 0 {
		return nil
	}
	w.tcp.Kind = phaseKinds[all[0].Kind]
	w.tcp.StartOffset, w.tcp.Duration = put(&w.tcpStart, all[0].Start), put(&w.tcpDuration, all[0].Duration)
	w.phases[0] = &w.tcp
	ms := w.phases[:]
	for _, p := range all[1:] {
		ms = append(ms, &connracev1.Phase{
			Kind: phaseKinds[p.Kind], StartOffset: durationpb.New(p.Start), Duration: durationpb.New(p.Duration),
		})
	}
	ms[len(ms)-1].ErrorType = a.Failure.Type
	return ms
}

// stages encodes what the stages beyond TCP brought.
func stages(m *connracev1.Attempt, s *sched.Stages) {
	if s == nil {
		return
	}
	m.HealthStatus = s.Health
	if s.TLS != nil {
		m.Tls = tlsFacts(s.TLS)
	}
	if s.HTTP != nil {
		m.Http = &connracev1.HttpFacts{
			Status: int32(s.HTTP.Status), Protocol: s.HTTP.Protocol, FirstByteDuration: durationpb.New(s.HTTP.FirstByte),
		}
	}
}

func tlsFacts(t *sched.TLS) *connracev1.TlsFacts {
	m := &connracev1.TlsFacts{
		Version: t.Version, CipherSuite: t.CipherSuite, AlpnProtocol: t.ALPN,
		ServerName: t.ServerName, Verified: t.Verified,
	}
	var earliest time.Time
	for i := range t.Certificates {
		c := &t.Certificates[i]
		m.Certificates = append(m.Certificates, certificate(c))
		if i == 0 || c.NotAfter.Before(earliest) {
			earliest = c.NotAfter
		}
	}
	if len(t.Certificates) > 0 {
		m.EarliestExpireTime = timestamp(earliest)
	}
	return m
}

func certificate(c *sched.Certificate) *connracev1.CertificateFacts {
	return &connracev1.CertificateFacts{
		Subject: c.Subject, Issuer: c.Issuer, Names: c.Names,
		ValidFromTime: timestamp(c.NotBefore), ExpireTime: timestamp(c.NotAfter),
		SerialNumber: c.Serial, Sha256Fingerprint: c.Fingerprint,
	}
}

// timestamp is unset for a time outside of the years 1 to 9999, which a peer's
// certificate may have: no message with such a google.protobuf.Timestamp can be written
// as JSON.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if m := timestamppb.New(t); m.IsValid() {
		return m
	}
	return nil
}
