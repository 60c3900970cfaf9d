package sched

import "time"

// PhaseKind is a stage of an attempt.
type PhaseKind uint8

const (
	// PhaseTCP is the TCP handshake.
	PhaseTCP PhaseKind = iota + 1
	// PhaseTLS is the TLS handshake, the peer's certificate verified.
	PhaseTLS
	// PhaseHTTP is from the first byte of an HTTP request to the end of the response's
	// head.
	PhaseHTTP
	// PhaseHealth is a call of grpc.health.v1.Health/Check.
	PhaseHealth
	// PhaseFirstByte is the wait for the first byte the peer sends by itself.
	PhaseFirstByte
)

var phaseNames = []string{"?", "tcp_connect", "tls_handshake", "http_response", "grpc_health", "first_byte"}

// String returns a stable word such as "tls_handshake".
func (k PhaseKind) String() string { return word(phaseNames, int(k)) }

var phaseTexts = []string{"?", "the TCP handshake", "the TLS handshake", "the wait for the HTTP response", "the health check", "the wait for the first byte"}

// Text returns the stage as it stands in a sentence.
func (k PhaseKind) Text() string { return word(phaseTexts, int(k)) }

// Phase is one stage of an attempt.
type Phase struct {
	Kind     PhaseKind     // which
	Start    time.Duration // since the race began
	Duration time.Duration // until it was done, failed or was given up
	Failed   bool          // it is the one that failed
}

// Stages are what the stages of an attempt after TCP have brought. The race passes
// them on and never looks at them. nil: there were none.
type Stages struct {
	Phases []Phase // those that were begun, in order
	TLS    *TLS    // what is known of the TLS connection; nil: nothing
	HTTP   *HTTP   // the response; nil: none
	Health string  // the health service's word, such as "SERVING"; empty: it gave none
}

// TLS is what is known of a TLS connection.
type TLS struct {
	Version     string // such as "TLS 1.3"; empty: not negotiated
	CipherSuite string // by its IANA name; empty: not negotiated
	ALPN        string // the protocol agreed upon; empty: none
	ServerName  string // what was asked for (SNI) and verified
	// Verified says that the chain leads to a trusted root and fits ServerName.
	Verified bool
	// Certificates are the peer's, its own first; also those that failed.
	Certificates []Certificate
}

// Certificate is what an operator wants to know of one.
type Certificate struct {
	Subject     string    // by RFC 2253
	Issuer      string    // by RFC 2253
	Names       []string  // DNS names and addresses it is for
	NotBefore   time.Time // it is valid from then on
	NotAfter    time.Time // it expires then
	Serial      string    // in hexadecimal
	Fingerprint string    // SHA-256 of the certificate, in hexadecimal
}

// HTTP is what is known of an HTTP response.
type HTTP struct {
	Status   int    // such as 200
	Protocol string // such as "HTTP/1.1"
	// FirstByte is how long after the first byte of the request the first byte of the
	// response came that Status is of, not of an interim one.
	FirstByte time.Duration
}
