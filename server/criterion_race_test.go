package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// Short names for the stages.
const (
	phaseTCP    = connracev1.PhaseKind_PHASE_KIND_TCP_CONNECT
	phaseTLS    = connracev1.PhaseKind_PHASE_KIND_TLS_HANDSHAKE
	phaseHTTP   = connracev1.PhaseKind_PHASE_KIND_HTTP_RESPONSE
	phaseHealth = connracev1.PhaseKind_PHASE_KIND_GRPC_HEALTH
	phaseByte   = connracev1.PhaseKind_PHASE_KIND_FIRST_BYTE
)

// behaving starts a host that does this with its connections.
func behaving(t *testing.T, b netlab.Behaviour) *netlab.Host {
	t.Helper()
	return host(t, func(at netip.AddrPort) (*netlab.Host, error) { return netlab.Serve(at, b) })
}

// banner is a host that speaks first, and then no more.
func banner(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "S")
			io.Copy(io.Discard, c) // until the peer closes
			c.Close()
		}
	}()
	t.Cleanup(func() { must(t, l.Close()); <-done })
	return l.Addr().String()
}

// lab is an authority and what it has signed.
type lab struct {
	*netlab.Authority

	cert, expired tls.Certificate
}

func newLab(t *testing.T) *lab {
	t.Helper()
	a, err := netlab.NewAuthority()
	must(t, err)
	l := &lab{Authority: a}
	l.cert, err = a.Certificate(netlab.Valid, "lab.example", "127.0.0.1")
	must(t, err)
	l.expired, err = a.Certificate(netlab.Expired, "lab.example")
	must(t, err)
	return l
}

// tls is a host that speaks TLS.
func (l *lab) tls(cert tls.Certificate, then netlab.Behaviour, alpn ...string) netlab.Behaviour {
	return netlab.TLS(netlab.TLSServer{Certificate: cert, ALPN: alpn}, then)
}

// trusting adds to a criterion that TLS is spoken, to lab.example.
func (l *lab) trusting(c *connracev1.SuccessCriterion) *connracev1.SuccessCriterion {
	c.Tls = &connracev1.TlsCheck{ServerName: "lab.example", RootCertificatesPem: string(l.PEM())}
	return c
}

// healthOf are hosts whose service lab.v1.Service is in this state.
func healthOf(t *testing.T, state netlab.HealthState) netlab.Behaviour {
	t.Helper()
	s := netlab.NewHealthServer()
	must(t, s.Set("lab.v1.Service", state))
	return netlab.Health(s)
}

// theOnly returns the one attempt of a race of one candidate.
func theOnly(t *testing.T, reply *connracev1.RaceResponse) *connracev1.Attempt {
	t.Helper()
	if len(reply.GetCandidates()) != 1 || len(reply.GetCandidates()[0].GetAttempts()) != 1 {
		t.Fatalf("the reply is %v, want one candidate with one attempt", reply)
	}
	return reply.GetCandidates()[0].GetAttempts()[0]
}

// follows wants these stages, each after the one before and within the attempt, the
// last of them with this error.
func follows(t *testing.T, a *connracev1.Attempt, errorType string, want ...connracev1.PhaseKind) {
	t.Helper()
	var kinds []connracev1.PhaseKind
	at := a.GetStartOffset().AsDuration()
	for i, p := range a.GetPhases() {
		kinds = append(kinds, p.GetKind())
		if p.GetStartOffset().AsDuration() < at || p.GetDuration().AsDuration() < 0 {
			t.Errorf("%s is from %v for %v, before what it follows ended at %v", p.GetKind(), p.GetStartOffset().AsDuration(), p.GetDuration().AsDuration(), at)
		}
		at = p.GetStartOffset().AsDuration() + p.GetDuration().AsDuration()
		expect := ""
		if i == len(a.GetPhases())-1 {
			expect = errorType
		}
		if p.GetErrorType() != expect {
			t.Errorf("%s has the error %q, want %q", p.GetKind(), p.GetErrorType(), expect)
		}
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("the stages are %v, want %v", kinds, want)
	}
	if at > a.GetEndOffset().AsDuration() {
		t.Errorf("the stages end at %v, the attempt at %v", at, a.GetEndOffset().AsDuration())
	}
}

// yearZero is a certificate that was good in the year 0 only, which no Timestamp can hold.
func yearZero(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	must(t, err)
	return der
}

// A peer's certificate with a date that can't be told costs that date, and not the reply.
func TestCertificateOfTheYearZero(t *testing.T) {
	t.Parallel()
	l, d := newLab(t), serve(t, plain())
	l.cert.Certificate = append(l.cert.Certificate, yearZero(t))
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Target:  behaving(t, l.tls(l.cert, netlab.Read())).Addr().String(),
		Options: &connracev1.RaceOptions{Criterion: l.trusting(overTLS(nil))},
	})
	must(t, err)
	facts := theOnly(t, reply).GetTls()
	if len(facts.GetCertificates()) != 2 || !facts.GetVerified() {
		t.Fatalf("the facts are %v, want two certificates, verified", facts)
	}
	own, old := facts.GetCertificates()[0], facts.GetCertificates()[1]
	if own.GetValidFromTime() == nil || own.GetExpireTime() == nil || old.GetValidFromTime() != nil || old.GetExpireTime() != nil || facts.GetEarliestExpireTime() != nil {
		t.Errorf("the facts are %v, want the dates of the first certificate alone", facts)
	}
	if _, err := protojson.Marshal(reply); err != nil {
		t.Errorf("the reply is no JSON: %v", err)
	}
}

// Each criterion against a host that meets it and against hosts that do not: which
// stages there were, how the last one ended, and what it brought.
func TestCriteria(t *testing.T) {
	t.Parallel()
	l, d := newLab(t), serve(t, plain())
	service := func() *connracev1.SuccessCriterion {
		return byHealth(&connracev1.GrpcHealthCheck{Service: "lab.v1.Service"})
	}
	const target, unsaid = connracev1.Fault_FAULT_TARGET, connracev1.Fault_FAULT_UNSPECIFIED
	for name, c := range map[string]struct {
		at        string
		criterion *connracev1.SuccessCriterion
		failure   string // its error.type; empty: it wins
		says      string // its message
		fault     connracev1.Fault
		phases    []connracev1.PhaseKind
		alpn      string // agreed on
		http      *connracev1.HttpFacts
		health    string
	}{
		"TLS": {
			at: behaving(t, l.tls(l.cert, netlab.Read())).Addr().String(), criterion: l.trusting(overTLS(nil)),
			phases: []connracev1.PhaseKind{phaseTCP, phaseTLS},
		},
		"expired": {
			at: behaving(t, l.tls(l.expired, netlab.Read())).Addr().String(), criterion: l.trusting(overTLS(nil)),
			failure: "certificate_expired", says: "renew it", fault: target, phases: []connracev1.PhaseKind{phaseTCP, phaseTLS},
		},
		"garbage instead of TLS": {
			at: behaving(t, netlab.Garbage()).Addr().String(), criterion: l.trusting(overTLS(nil)),
			failure: "tls_not_spoken", says: "not TLS", fault: target, phases: []connracev1.PhaseKind{phaseTCP, phaseTLS},
		},
		"HTTP": {
			at: behaving(t, netlab.HTTP(netlab.HTTPServer{Status: 204})).Addr().String(), criterion: byHTTP(nil),
			phases: []connracev1.PhaseKind{phaseTCP, phaseHTTP}, http: &connracev1.HttpFacts{Status: 204, Protocol: "HTTP/1.1"},
		},
		"HTTP that fails": {
			at: behaving(t, netlab.HTTP(netlab.HTTPServer{Status: 503})).Addr().String(), criterion: byHTTP(&connracev1.HttpCheck{Path: "/healthz"}),
			failure: "503", says: "GET /healthz", fault: target, phases: []connracev1.PhaseKind{phaseTCP, phaseHTTP},
			http: &connracev1.HttpFacts{Status: 503, Protocol: "HTTP/1.1"},
		},
		"HTTP that is to fail": {
			at:        behaving(t, netlab.HTTP(netlab.HTTPServer{Status: 503})).Addr().String(),
			criterion: byHTTP(&connracev1.HttpCheck{Method: "HEAD", SuccessStatuses: []int32{404, 503}}),
			phases:    []connracev1.PhaseKind{phaseTCP, phaseHTTP}, http: &connracev1.HttpFacts{Status: 503, Protocol: "HTTP/1.1"},
		},
		"HTTP over TLS": {
			at:        behaving(t, l.tls(l.cert, netlab.HTTP(netlab.HTTPServer{}), "h2", "http/1.1")).Addr().String(),
			criterion: l.trusting(byHTTP(nil)), phases: []connracev1.PhaseKind{phaseTCP, phaseTLS, phaseHTTP}, alpn: "http/1.1",
			http: &connracev1.HttpFacts{Status: 200, Protocol: "HTTP/1.1"},
		},
		"garbage instead of HTTP": {
			at: behaving(t, netlab.Garbage()).Addr().String(), criterion: byHTTP(nil),
			failure: "http_malformed", says: "not HTTP", fault: target, phases: []connracev1.PhaseKind{phaseTCP, phaseHTTP},
		},
		"serving": {
			at: behaving(t, healthOf(t, netlab.Serving)).Addr().String(), criterion: service(),
			phases: []connracev1.PhaseKind{phaseTCP, phaseHealth}, health: "SERVING",
		},
		"not serving": {
			at: behaving(t, healthOf(t, netlab.NotServing)).Addr().String(), criterion: service(),
			failure: "grpc_not_serving", says: `"lab.v1.Service"`, fault: target,
			phases: []connracev1.PhaseKind{phaseTCP, phaseHealth}, health: "NOT_SERVING",
		},
		"serving over TLS": {
			at: behaving(t, l.tls(l.cert, healthOf(t, netlab.Serving), "h2")).Addr().String(), criterion: l.trusting(service()),
			phases: []connracev1.PhaseKind{phaseTCP, phaseTLS, phaseHealth}, alpn: "h2", health: "SERVING",
		},
		"no such service": {
			at: behaving(t, healthOf(t, netlab.Serving)).Addr().String(), criterion: byHealth(&connracev1.GrpcHealthCheck{Service: "other"}),
			failure: "grpc_service_unknown", says: `"other"`, fault: target, phases: []connracev1.PhaseKind{phaseTCP, phaseHealth},
		},
		"first byte": {
			at: banner(t), criterion: byFirstByte(), phases: []connracev1.PhaseKind{phaseTCP, phaseByte},
		},
		"nothing listens": {
			at: host(t, netlab.Refuse).Addr().String(), criterion: l.trusting(service()),
			failure: "connection_refused", says: "nothing listens", fault: target, phases: []connracev1.PhaseKind{phaseTCP},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
				Target: c.at, Options: &connracev1.RaceOptions{Criterion: c.criterion, MaxBackupAttempts: proto.Int32(0)}, IncludeTranscript: true,
			})
			must(t, err)
			a := theOnly(t, reply)
			if won := reply.GetWinner().GetEndpoint() == c.at; won != (c.failure == "") {
				t.Errorf("the winner is %v, the attempt %v", reply.GetWinner(), a)
			}
			if f := a.GetFailure(); f.GetErrorType() != c.failure || !strings.Contains(f.GetMessage(), c.says) || f.GetFault() != c.fault && c.fault != unsaid {
				t.Errorf("the failure is %v, want %s of %s that says %q", f, c.failure, c.fault, c.says)
			}
			follows(t, a, c.failure, c.phases...)
			if got := a.GetTls().GetAlpnProtocol(); got != c.alpn {
				t.Errorf("the protocol is %q, want %q", got, c.alpn)
			}
			if (a.GetTls() != nil) != slices.Contains(c.phases, phaseTLS) {
				t.Errorf("facts of TLS are %v", a.GetTls())
			}
			if http := a.GetHttp(); http != nil {
				phase := a.GetPhases()[len(a.GetPhases())-1]
				if first := http.GetFirstByteDuration().AsDuration(); first <= 0 || first > phase.GetDuration().AsDuration() {
					t.Errorf("the first byte came after %v of %v", first, phase)
				}
				http.FirstByteDuration = nil
			}
			if !proto.Equal(a.GetHttp(), c.http) || a.GetHealthStatus() != c.health {
				t.Errorf("HTTP brought %v and health %q, want %v and %q", a.GetHttp(), a.GetHealthStatus(), c.http, c.health)
			}
			tellsRace(t, reply)
			progressed(t, reply, len(c.phases) > 1)
		})
	}
}

// progressed wants the transcript to say that TCP came up and the next stage began,
// once each and in this order, or neither.
func progressed(t *testing.T, reply *connracev1.RaceResponse, want bool) {
	t.Helper()
	const (
		up   = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_PROGRESSED
		went = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_PROCEEDED
	)
	var got, all []connracev1.TranscriptEventKind
	for _, e := range reply.GetRun().GetTranscript() {
		if e.GetKind() == up || e.GetKind() == went {
			got = append(got, e.GetKind())
			if e.GetAttempt() != 1 || e.GetEndpoint() != reply.GetCandidates()[0].GetEndpoint() {
				t.Errorf("%v is not about the attempt", e)
			}
		}
	}
	if want {
		all = []connracev1.TranscriptEventKind{up, went}
	}
	if !slices.Equal(got, all) {
		t.Errorf("the transcript has %v, want %v", got, all)
	}
}

// What is known of a TLS connection is told in full, of one that failed too: when
// which certificate expires is what an operator looks for.
func TestTLSFacts(t *testing.T) {
	t.Parallel()
	l, d := newLab(t), serve(t, plain())
	for name, c := range map[string]struct {
		cert tls.Certificate
		good bool
	}{"valid": {l.cert, true}, "expired": {l.expired, false}} {
		reply, err := d.rpc.Probe(patient(t), &connracev1.ProbeRequest{
			Target:  behaving(t, l.tls(c.cert, netlab.Read(), "h2")).Addr().String(),
			Options: &connracev1.ProbeOptions{Criterion: l.trusting(overTLS(nil))}, IncludeTranscript: true,
		})
		must(t, err)
		tellsProbe(t, reply.GetRun(), reply.GetReport())
		got, leaf := reply.GetReport().GetCandidates()[0].GetCandidate().GetAttempts()[0].GetTls(), c.cert.Leaf
		sum := sha256.Sum256(leaf.Raw)
		if got.GetVerified() != c.good || got.GetServerName() != "lab.example" || got.GetAlpnProtocol() != "" {
			t.Errorf("%s: facts are %v", name, got)
		}
		if got.GetVersion() != "TLS 1.3" || !strings.HasPrefix(got.GetCipherSuite(), "TLS_") {
			t.Errorf("%s: %s with %s", name, got.GetVersion(), got.GetCipherSuite())
		}
		if len(got.GetCertificates()) != 1 {
			t.Fatalf("%s: %d certificates, want 1", name, len(got.GetCertificates()))
		}
		cert := got.GetCertificates()[0]
		if cert.GetSubject() != leaf.Subject.String() || cert.GetIssuer() != leaf.Issuer.String() || cert.GetSha256Fingerprint() != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: the certificate is %v", name, cert)
		}
		if cert.GetSerialNumber() != leaf.SerialNumber.Text(16) || cert.GetNames()[0] != "lab.example" {
			t.Errorf("%s: the certificate is %v", name, cert)
		}
		if !cert.GetExpireTime().AsTime().Equal(leaf.NotAfter) || !cert.GetValidFromTime().AsTime().Equal(leaf.NotBefore) || !got.GetEarliestExpireTime().AsTime().Equal(leaf.NotAfter) {
			t.Errorf("%s: valid %v to %v, earliest %v, want %v to %v", name, cert.GetValidFromTime().AsTime(), cert.GetExpireTime().AsTime(),
				got.GetEarliestExpireTime().AsTime(), leaf.NotBefore, leaf.NotAfter)
		}
	}
}

// An address that accepts and then fails in a later stage wins nothing: the next one
// does, and the reply says what was hidden, and in which stage it failed.
func TestLaterStageLosesTheRace(t *testing.T) {
	t.Parallel()
	l, d := newLab(t), serve(t, plain())
	good := behaving(t, l.tls(l.cert, healthOf(t, netlab.Serving), "h2")).Addr().String()
	for name, c := range map[string]struct {
		bad     netlab.Behaviour
		outcome connracev1.Outcome
		phase   connracev1.PhaseKind
		failure string
	}{
		"garbage":     {netlab.Garbage(), connracev1.Outcome_OUTCOME_FAILED, phaseTLS, "tls_not_spoken"},
		"expired":     {l.tls(l.expired, netlab.Read(), "h2"), connracev1.Outcome_OUTCOME_FAILED, phaseTLS, "certificate_expired"},
		"not serving": {l.tls(l.cert, healthOf(t, netlab.NotServing), "h2"), connracev1.Outcome_OUTCOME_FAILED, phaseHealth, "grpc_not_serving"},
		"stalls":      {netlab.StallTLS(), connracev1.Outcome_OUTCOME_CANCELLED, phaseTLS, ""},
		"stalls then": {l.tls(l.cert, healthOf(t, netlab.HealthHangs), "h2"), connracev1.Outcome_OUTCOME_CANCELLED, phaseHealth, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := behaving(t, c.bad).Addr().String()
			reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
				Candidates: candidates(bad, good),
				Options: &connracev1.RaceOptions{
					Criterion: l.trusting(byHealth(&connracev1.GrpcHealthCheck{Service: "lab.v1.Service"})), MaxBackupAttempts: proto.Int32(0),
					AttemptDelay: durationpb.New(2 * time.Second), // a busy machine needs time for a handshake
				},
				IncludeTranscript: true,
			})
			must(t, err)
			tellsRace(t, reply)
			if reply.GetWinner().GetEndpoint() != good || len(reply.GetMasked().GetAddresses()) != 1 {
				t.Fatalf("the winner is %v and masks %v, want %s", reply.GetWinner(), reply.GetMasked(), good)
			}
			if got := reply.GetMasked().GetAddresses()[0]; got.GetEndpoint() != bad || got.GetPhase() != c.phase || got.GetOutcome() != c.outcome || got.GetFailure().GetErrorType() != c.failure {
				t.Errorf("masked is %v, want %s in %s with %q", got, c.outcome, c.phase, c.failure)
			}
		})
	}
}

// A stage that takes longer than an attempt may is the one that timed out.
func TestStageTimesOut(t *testing.T) {
	t.Parallel()
	l, d := newLab(t), serve(t, plain())
	for name, c := range map[string]struct {
		at        netlab.Behaviour
		criterion *connracev1.SuccessCriterion
		phase     connracev1.PhaseKind
		says      string
	}{
		"TLS":        {netlab.StallTLSMidway(), l.trusting(overTLS(nil)), phaseTLS, "the TLS handshake"},
		"HTTP":       {netlab.Hang(), byHTTP(nil), phaseHTTP, "the HTTP response"},
		"health":     {healthOf(t, netlab.HealthHangs), byHealth(&connracev1.GrpcHealthCheck{Service: "lab.v1.Service"}), phaseHealth, "the health check"},
		"first byte": {netlab.Read(), byFirstByte(), phaseByte, "the first byte"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
				Target:  behaving(t, c.at).Addr().String(),
				Options: &connracev1.RaceOptions{Criterion: c.criterion, MaxBackupAttempts: proto.Int32(0), AttemptTimeout: durationpb.New(2 * time.Second)},
			})
			must(t, err)
			a := theOnly(t, reply)
			if a.GetOutcome() != connracev1.Outcome_OUTCOME_TIMED_OUT || a.GetFailure().GetErrorType() != "timed_out" || !strings.Contains(a.GetFailure().GetMessage(), c.says) {
				t.Errorf("the attempt is %v, want it timed out in %s", a, c.says)
			}
			follows(t, a, "timed_out", phaseTCP, c.phase)
		})
	}
}

// A source of one family leaves the other's candidates out, and a source that is none
// is this host's trouble.
func TestSources(t *testing.T) {
	t.Parallel()
	d, good := serve(t, plain()), host(t, netlab.Accept).Addr().String()
	from := func(addr string) *connracev1.RaceResponse {
		reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
			Candidates: candidates(good, "[::1]:9"),
			Options: &connracev1.RaceOptions{
				Source: &connracev1.SourceOptions{BindAddresses: []string{addr}}, MaxBackupAttempts: proto.Int32(0),
			},
			IncludeTranscript: true,
		})
		must(t, err)
		return reply
	}
	reply := from("127.0.0.9")
	tellsRace(t, reply)
	if w := reply.GetWinner(); w.GetEndpoint() != good || !strings.HasPrefix(w.GetLocalEndpoint(), "127.0.0.9:") {
		t.Errorf("the winner is %v, want %s from 127.0.0.9", w, good)
	}
	if c := reply.GetCandidates()[1]; c.GetOutcome() != connracev1.Outcome_OUTCOME_SKIPPED || c.GetSkipReason() != connracev1.SkipReason_SKIP_REASON_SOURCE_EXCLUDED {
		t.Errorf("the other family is %v, want it skipped", c)
	}
	reply = from("192.0.2.77")
	f := reply.GetCandidates()[0].GetAttempts()[0].GetFailure()
	if reply.GetWinner() != nil || f.GetFault() != connracev1.Fault_FAULT_HOST || !strings.Contains(f.GetMessage(), "192.0.2.77 is no address of this host") {
		t.Errorf("the failure is %v, want it this host's", f)
	}
}

// What a server sees of a connection: a RST, or a FIN if that is asked for.
func TestCloseWithFIN(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for fin, want := range map[bool]string{false: "reset", true: "EOF"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		saw := make(chan string, 1)
		go func() {
			c, err := l.Accept()
			if err != nil {
				saw <- err.Error()
				return
			}
			defer c.Close()
			_, err = c.Read(make([]byte, 1))
			saw <- err.Error()
		}()
		reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{Target: l.Addr().String(), Options: &connracev1.RaceOptions{CloseWithFin: fin}})
		must(t, err)
		if got := <-saw; !strings.Contains(got, want) || reply.GetWinner() == nil {
			t.Errorf("close_with_fin %v: the server saw %q, want %s", fin, got, want)
		}
		must(t, l.Close())
	}
}
