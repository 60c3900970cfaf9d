package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// criterionFlags say what an attempt must have done to count as a success. A URL as the
// target says it too.
type criterionFlags struct {
	TLS        bool     `name:"tls" group:"success" help:"Speak TLS and verify the certificate."`
	ServerName string   `placeholder:"NAME" group:"success" help:"With TLS: the name asked for and verified. Default: the target's."`
	ALPN       []string `name:"alpn" placeholder:"PROTOCOL" group:"success" help:"With TLS: protocols to offer, such as h2,http/1.1. Default: what --http and --grpc-health speak."`
	CAFile     string   `name:"ca-file" placeholder:"FILE" group:"success" help:"With TLS: trust the certificates in this PEM file instead of the system's."`
	HTTP       *string  `name:"http" placeholder:"PATH" xor:"application" group:"success" help:"Ask for this path by HTTP, and want a status of 200 to 399."`
	HTTPMethod string   `name:"http-method" placeholder:"METHOD" group:"success" help:"With HTTP: GET (the default) or HEAD."`
	HTTPHost   string   `name:"http-host" placeholder:"HOST" group:"success" help:"With HTTP: the Host header. Default: the target's name and port."`
	HTTPStatus []int32  `name:"http-status" placeholder:"N" group:"success" help:"With HTTP: the statuses that count as success, such as 200,204."`
	GRPCHealth *string  `name:"grpc-health" placeholder:"SERVICE" xor:"application" group:"success" help:"Want SERVING of grpc.health.v1 for this service; an empty one is the server as a whole."`
	FirstByte  bool     `xor:"application" group:"success" help:"Wait for the first byte that the peer sends by itself, as servers of SSH and SMTP do."`
}

// criterion is what the flags and the target's URL say; nil: TCP is enough.
func (f *criterionFlags) criterion(fromURL *pb.SuccessCriterion) (*pb.SuccessCriterion, error) {
	m := new(pb.SuccessCriterion)
	if fromURL != nil {
		m = fromURL
	}
	if err := f.application(m); err != nil {
		return nil, err
	}
	if err := f.tls(m); err != nil {
		return nil, err
	}
	if proto.Size(m) == 0 {
		m = nil
	}
	return m, nil
}

func (f *criterionFlags) application(m *pb.SuccessCriterion) error {
	asked := f.HTTP != nil || f.GRPCHealth != nil || f.FirstByte
	switch {
	case asked && m.GetApplication() != nil:
		return usage("the URL says already what is asked for: leave --http, --grpc-health and --first-byte out, or write the target as host:port")
	case f.HTTP != nil:
		m.Application = &pb.SuccessCriterion_Http{Http: &pb.HttpCheck{Path: *f.HTTP}}
	case f.GRPCHealth != nil:
		m.Application = &pb.SuccessCriterion_GrpcHealth{GrpcHealth: &pb.GrpcHealthCheck{Service: *f.GRPCHealth}}
	case f.FirstByte:
		m.Application = &pb.SuccessCriterion_FirstByte{FirstByte: &pb.FirstByteCheck{}}
	}
	if f.HTTPMethod == "" && f.HTTPHost == "" && len(f.HTTPStatus) == 0 {
		return nil
	}
	h := m.GetHttp()
	if h == nil {
		return usage("--http-method, --http-host and --http-status are for HTTP: write the target as http://... or https://..., or as host:port with --http PATH")
	}
	h.Method, h.Host, h.SuccessStatuses = f.HTTPMethod, f.HTTPHost, f.HTTPStatus
	return nil
}

func (f *criterionFlags) tls(m *pb.SuccessCriterion) error {
	if f.TLS && m.GetTls() == nil {
		m.Tls = new(pb.TlsCheck)
	}
	if f.ServerName == "" && len(f.ALPN) == 0 && f.CAFile == "" {
		return nil
	}
	if m.GetTls() == nil {
		return usage("--server-name, --alpn and --ca-file are for TLS: add --tls, or write the target as https://...")
	}
	m.Tls.ServerName, m.Tls.AlpnProtocols = f.ServerName, f.ALPN
	if f.CAFile == "" {
		return nil
	}
	text, err := os.ReadFile(f.CAFile)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("--ca-file: %w", err)}
	}
	roots := pemBlocks(text)
	if err := checkRoots(roots); err != nil {
		return usage(fmt.Sprintf("--ca-file: %s %v", printable(f.CAFile), err))
	}
	m.Tls.RootCertificatesPem = string(roots)
	return nil
}

// pemBlocks leaves out of a file of certificates what stands between them: that is for
// people, may be longer than all of them, and in any encoding. Whatever looks like the
// begin or the end of one stays, so that the daemon can complain of what is broken.
func pemBlocks(text []byte) []byte {
	var blocks []byte
	inside := false
	for line := range bytes.Lines(text) {
		begin, end := bytes.Contains(line, []byte("-----BEGIN ")), bytes.Contains(line, []byte("-----END "))
		if inside || begin || end {
			blocks = append(blocks, line...)
		}
		inside = begin || inside && !end
	}
	return blocks
}

// maxRootBytes is what a daemon takes of PEM.
const maxRootBytes = 256 << 10

// checkRoots finds what would not get to the daemon, or would mean something else to it.
// Its error goes on after the file's name.
func checkRoots(roots []byte) error {
	switch {
	case len(roots) == 0: // on the wire that is no list of roots, and the system's would count
		return errors.New(`has no certificate; allowed is PEM, which begins with "-----BEGIN CERTIFICATE-----"`)
	case len(roots) > maxRootBytes:
		return fmt.Errorf("has %d bytes; allowed are %d, beside text between the certificates: leave out those of authorities that did not sign for the target", len(roots), maxRootBytes)
	case !utf8.Valid(roots):
		return errors.New("has bytes inside a certificate that are not text; allowed is PEM, which is ASCII")
	}
	return nil
}

func usage(text string) error { return &exitError{exitUsage, errors.New(text)} }

// sourceFlags say where attempts leave from, and how connections end.
type sourceFlags struct {
	Bind         []string `name:"bind" placeholder:"ADDR" group:"source" help:"Connect from this address of the daemon's host; one of each family at most. Candidates of a family that has none are skipped."`
	Interface    string   `placeholder:"NAME" group:"source" help:"Leave through this network interface."`
	Mark         uint32   `placeholder:"N" group:"source" help:"Mark packets for the routing policy (SO_MARK)."`
	DSCP         int32    `name:"dscp" placeholder:"N" group:"source" help:"The Differentiated Services Code Point of packets, 0 to 63."`
	CloseWithFIN bool     `name:"close-with-fin" group:"source" help:"End connections with a FIN instead of resetting them; ports stay in TIME_WAIT then."`
}

func (f *sourceFlags) source() *pb.SourceOptions {
	m := &pb.SourceOptions{BindAddresses: f.Bind, Interface: f.Interface, Mark: f.Mark, Dscp: f.DSCP}
	if proto.Size(m) == 0 {
		return nil
	}
	return m
}

// urlTarget takes a URL apart: whom to connect to, and what counts as a success there.
func urlTarget(text string) (target string, criterion *pb.SuccessCriterion, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", nil, usage(fmt.Sprintf("%s is no URL: %s; write it as in https://example.com/healthz, without a label", printable(text), printable(errors.Unwrap(err).Error())))
	}
	m, port := schemeCriterion(u)
	if m == nil {
		return "", nil, usage(fmt.Sprintf("%s: the scheme is %q; allowed is https, http, grpcs, grpc and tls, or host:port without one", printable(text), printable(u.Scheme)))
	}
	if part := unsent(u); part != "" {
		return "", nil, usage("the URL has a " + part + ", which is never sent; leave it out")
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if u.Hostname() == "" {
		return "", nil, usage(printable(text) + " has no host; write it as in https://example.com/healthz")
	}
	if port == "" {
		return "", nil, usage(printable(text) + " has no port, and " + u.Scheme + " has none of its own; write it as in " + u.Scheme + "://example.com:443/service")
	}
	return net.JoinHostPort(u.Hostname(), port), m, nil
}

// unsent is a part of a URL that has no place in what is asked for; empty: there is
// none.
func unsent(u *url.URL) string {
	web := u.Scheme == "https" || u.Scheme == "http"
	switch {
	case u.User != nil:
		return "user"
	case u.Fragment != "":
		return "fragment"
	case !web && (u.RawQuery != "" || u.ForceQuery):
		return "query"
	case u.Scheme == "tls" && u.Path != "" && u.Path != "/":
		return "path"
	}
	return ""
}

// schemeCriterion is what a URL asks for, and its scheme's port; nil: unknown.
func schemeCriterion(u *url.URL) (m *pb.SuccessCriterion, port string) {
	m = new(pb.SuccessCriterion)
	switch u.Scheme {
	case "https", "grpcs", "tls":
		m.Tls = new(pb.TlsCheck)
	}
	switch u.Scheme {
	case "https", "http":
		m.Application = &pb.SuccessCriterion_Http{Http: &pb.HttpCheck{Path: u.RequestURI()}}
		return m, map[string]string{"https": "443", "http": "80"}[u.Scheme]
	case "grpcs", "grpc":
		service := strings.TrimPrefix(u.Path, "/")
		m.Application = &pb.SuccessCriterion_GrpcHealth{GrpcHealth: &pb.GrpcHealthCheck{Service: service}}
		return m, ""
	case "tls":
		return m, "443"
	}
	return nil, ""
}
