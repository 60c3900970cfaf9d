package stage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// handshake puts TLS over the connection. Every handshake is a whole one: there is no
// cache of sessions.
func (r *run) handshake(ctx context.Context) (time.Duration, *sched.Failure) {
	name := r.serverName(r.peer)
	offered := r.protocols()
	conn := tls.Client(r.conn, &tls.Config{
		ServerName: name,
		NextProtos: offered,
		RootCAs:    r.TLS.Roots,
		MinVersion: tls.VersionTLS12,
	})
	// Run closes the connection when ctx is done, and waits for that: crypto/tls would
	// leave a goroutine behind for a moment.
	err := conn.HandshakeContext(context.WithoutCancel(ctx))
	done := r.now()
	state := conn.ConnectionState()
	r.stages.TLS = facts(&state, name, err)
	if err != nil {
		return done, handshakeFailure(err, name, offered)
	}
	r.conn = conn
	return done, r.disagreement(state.NegotiatedProtocol, offered)
}

// disagreement says what is wrong with what ALPN has agreed on, or nil. crypto/tls lets
// pass what a server agrees on that ignores ALPN: nothing.
func (r *run) disagreement(agreed string, offered []string) *sched.Failure {
	failure := &sched.Failure{Type: "tls_alpn_mismatch", Fault: sched.FaultTarget}
	switch {
	case r.Health != nil && agreed != http2Protocol && agreed != "":
		failure.Text = fmt.Sprintf("the server agreed on %+q, and gRPC over TLS needs h2; switch on h2 in the server's ALPN, or ask another port", agreed)
	case r.Health != nil && agreed == "":
		failure.Text = fmt.Sprintf("the server agreed on none of the protocols that were offered, %s, and gRPC over TLS needs h2; switch on ALPN with h2 at the server", listed("%+q", offered))
	case len(r.TLS.ALPN) > 0 && agreed == "":
		failure.Text = fmt.Sprintf("the server agreed on none of the protocols that were asked for, %s: it has no ALPN; switch on ALPN with one of them there, or ask for none", listed("%+q", offered))
	default:
		return nil
	}
	return failure
}

// facts are what is known after a handshake that ended with err.
func facts(state *tls.ConnectionState, name string, err error) *sched.TLS {
	chain := state.PeerCertificates
	if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		chain = unverified.UnverifiedCertificates
	}
	known := &sched.TLS{
		ALPN:         printable(state.NegotiatedProtocol, 255),
		ServerName:   name,
		Verified:     len(state.VerifiedChains) > 0,
		Certificates: certificates(chain),
	}
	if state.Version != 0 {
		known.Version = tls.VersionName(state.Version)
	}
	if state.CipherSuite != 0 {
		known.CipherSuite = tls.CipherSuiteName(state.CipherSuite)
	}
	return known
}

// handshakeFailure says why a handshake has failed.
func handshakeFailure(err error, name string, offered []string) *sched.Failure {
	if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return verificationFailure(unverified, name)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return &sched.Failure{
			Type: "tls_not_spoken", Fault: sched.FaultTarget,
			Text: "the peer answers with something that is not TLS; ask without TLS, or ask another port",
		}
	}
	if alert := alertOf(err); alert != "" {
		return alertFailure(alert, offered)
	}
	const unsupported = "tls: server selected unsupported protocol version"
	switch text := err.Error(); {
	case strings.HasPrefix(text, unsupported):
		return versionFailure()
	case strings.HasPrefix(text, "tls: failed to parse certificate"):
		return &sched.Failure{
			Type: "certificate_invalid", Fault: sched.FaultTarget,
			Text: "the server's certificate cannot be read (" + printable(text, maxText) + "); issue a new one",
		}
	case strings.HasPrefix(text, "tls: "), isLocalAlert(err):
		return malformedTLS(err)
	}
	return broken(err, "in the TLS handshake", "see whether it speaks TLS on this port and to this name")
}

// alertOf is what an alert of the peer is called; empty: err is none. crypto/tls has no
// type for it.
func alertOf(err error) string {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" || op.Err == nil {
		return ""
	}
	return strings.TrimPrefix(op.Err.Error(), "tls: ")
}

// isLocalAlert says that this side has found fault with what the peer sent.
func isLocalAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "local error"
}

// alertFailure says what an alert means (RFC 8446 section 6.2).
func alertFailure(alert string, offered []string) *sched.Failure {
	switch alert {
	case "no application protocol":
		return &sched.Failure{
			Type: "tls_alpn_mismatch", Fault: sched.FaultTarget,
			Text: fmt.Sprintf("the server speaks none of the protocols that were offered, %s (RFC 7301 no_application_protocol); offer one that it speaks", listed("%+q", offered)),
		}
	case "protocol version not supported":
		return versionFailure()
	case "certificate required", "bad certificate":
		return &sched.Failure{
			Type: "tls_alert", Fault: sched.FaultTarget,
			Text: fmt.Sprintf("the peer ended TLS with the alert %q: it wants a certificate of its clients, which cannot be given here; ask it without TLS whether it listens", alert),
		}
	case "unrecognized name":
		return &sched.Failure{
			Type: "tls_alert", Fault: sched.FaultTarget,
			Text: fmt.Sprintf("the peer ended TLS with the alert %q: it does not serve the name that was asked for; ask for another one", alert),
		}
	default:
		return &sched.Failure{
			Type: "tls_alert", Fault: sched.FaultTarget,
			Text: fmt.Sprintf("the peer ended TLS with the alert %q; its own log says why", printable(alert, maxText)),
		}
	}
}

func versionFailure() *sched.Failure {
	return &sched.Failure{
		Type: "tls_version_unsupported", Fault: sched.FaultTarget,
		Text: "the server speaks neither TLS 1.2 nor TLS 1.3; switch one of them on there",
	}
}

func malformedTLS(err error) *sched.Failure {
	return &sched.Failure{
		Type: "tls_malformed", Fault: sched.FaultTarget,
		Text: "the peer breaks the rules of TLS (" + printable(err.Error(), maxText) + "); something on the path may have changed what it sent",
	}
}

// verificationFailure says why a certificate is not accepted.
func verificationFailure(err *tls.CertificateVerificationError, name string) *sched.Failure {
	leaf := firstOf(err.UnverifiedCertificates)
	if wrong, ok := errors.AsType[x509.CertificateInvalidError](err.Err); ok && wrong.Reason == x509.Expired && wrong.Cert != nil {
		return validityFailure(wrong.Cert, leaf)
	}
	if _, ok := errors.AsType[x509.HostnameError](err.Err); ok {
		return &sched.Failure{
			Type: "certificate_name_mismatch", Fault: sched.FaultTarget,
			Text: fmt.Sprintf("the certificate is for %s and not for %q; ask for a name it is for, or see that the server has one for this name", namesOf(leaf), printable(name, maxText)),
		}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err.Err); ok {
		return &sched.Failure{
			Type: "certificate_unknown_authority", Fault: sched.FaultTarget,
			Text: unknownAuthority(leaf),
		}
	}
	if system, ok := errors.AsType[x509.SystemRootsError](err.Err); ok {
		return &sched.Failure{
			Type: "system_roots_unavailable", Fault: sched.FaultHost,
			Text: "the trusted roots of this host cannot be loaded (" + printable(system.Error(), maxText) + "); install them (ca-certificates) or give roots",
		}
	}
	return &sched.Failure{
		Type: "certificate_invalid", Fault: sched.FaultTarget,
		Text: "the certificate is not acceptable (" + printable(err.Err.Error(), maxText) + "); issue another one",
	}
}

func firstOf(chain []*x509.Certificate) *x509.Certificate {
	if len(chain) == 0 {
		return &x509.Certificate{}
	}
	return chain[0]
}

// validityFailure is of a certificate of the chain that is out of date.
func validityFailure(cert, leaf *x509.Certificate) *sched.Failure {
	whose := "the certificate"
	if !cert.Equal(leaf) {
		whose = "the authority's certificate " + printable(cert.Subject.String(), maxText)
	}
	if time.Now().Before(cert.NotBefore) {
		return &sched.Failure{
			Type: "certificate_not_yet_valid", Fault: sched.FaultTarget,
			Text: fmt.Sprintf("%s is valid from %s on; until then use another one, and compare the clocks here and where it was issued", whose, date(cert.NotBefore)),
		}
	}
	return &sched.Failure{
		Type: "certificate_expired", Fault: sched.FaultTarget,
		Text: fmt.Sprintf("%s expired on %s; renew it, and see that the server has loaded the new one", whose, date(cert.NotAfter)),
	}
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func unknownAuthority(leaf *x509.Certificate) string {
	if string(leaf.RawSubject) == string(leaf.RawIssuer) {
		return "the certificate is self-signed, and nobody here trusts it; give it as a root, or use one of a known authority"
	}
	return fmt.Sprintf("the certificate's issuer %s is not trusted here; give its root, or see that the server sends the certificates in between",
		printable(leaf.Issuer.String(), maxText))
}
