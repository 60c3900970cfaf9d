package topology

import (
	"errors"
	"strings"
	"time"
)

// Port is what happens to connections to one TCP port.
type Port struct {
	Number uint16 // from 1

	// TLS comes first, and what Behaviour says after the handshake; nil is plain
	// TCP. Only Accept, Reset, HTTP and Health come with it.
	TLS *TLS

	// Behaviour is one of the constants below.
	Behaviour string

	// ResetAfter is the time from accept or handshake to the RST if Behaviour is
	// Reset: 0 to 1 h. Default 0, which may be before the client knows that it is
	// connected.
	ResetAfter time.Duration

	// HTTP is set if Behaviour is HTTP, and only then.
	HTTP *HTTPReply

	// Health has the status of each service if Behaviour is Health, by the
	// service's name, of which "" is the server as a whole: SERVING by default. The
	// server knows no others. Beside the states of grpc.health.v1 there are two
	// ways not to say any: UNIMPLEMENTED, and HANG for calls that get no answer.
	Health map[string]string
}

// What a port does. These are the words of the file.
const (
	Accept    = "accept"     // accept and read until the client closes
	Hang      = "hang"       // accept and never read or write
	FullQueue = "full-queue" // its accept queue is full: SYNs are swallowed
	Reset     = "reset"      // accept, then RST
	Garbage   = "garbage"    // answer with bytes that are neither TLS nor HTTP
	StallTLS  = "stall-tls"  // take the ClientHello and never answer
	HTTP      = "http"       // an HTTP server
	Health    = "health"     // a gRPC server with the standard health service
)

// TLS is a TLS server.
type TLS struct {
	// Names are what the certificate is good for: DNS names, "*.example" too, and
	// IP addresses; at least one. Default: every name of the file that can be a
	// host's, and the addresses of the port's host.
	Names []string

	// ALPN are the protocols offered, the most wanted first. Default: h2 and
	// http/1.1 with HTTP, h2 with Health, else none.
	ALPN []string

	// Expired makes the certificate one of the past.
	Expired bool
}

// HTTPReply is what every HTTP request gets.
type HTTPReply struct {
	Status int           // 200 to 599; default [DefaultStatus]
	Delay  time.Duration // from the request to the reply: 0 to 1 h; default 0
	Body   string        // default ""
}

// DefaultStatus is that of an HTTP reply.
const DefaultStatus = 200

// serving is the state of the whole server where the file says none.
const serving = "SERVING"

// healthStates are those of grpc.health.v1.HealthCheckResponse.ServingStatus and
// two more.
var healthStates = []string{serving, "NOT_SERVING", "UNKNOWN", "SERVICE_UNKNOWN", "UNIMPLEMENTED", "HANG"}

func readPorts(n node) []Port {
	const advice = "write ports and what they do, such as {80: http, 443: {tls: {}, http: {}}}"
	var ports []Port
	for _, p := range n.pairs(advice) {
		number, err := parseNumber(p.name, 1, 65535)
		if err != nil {
			p.key.problemf("is no port; %v", err)
			continue
		}
		port := readPort(p.value)
		port.Number = uint16(number)
		ports = append(ports, port)
	}
	return ports
}

// portWords are the ports that one word says all of.
var portWords = []string{Accept, Hang, FullQueue, Reset, Garbage, StallTLS, "tls", HTTP, Health}

// readPort reads a port: one word, or what is spoken with its details.
func readPort(n node) Port {
	if !n.isMapping() {
		return shortPort(n.word("", portWords...))
	}
	keys := n.keys("tls", Reset, HTTP, Health)
	port := Port{Behaviour: Accept}
	for _, behaviour := range []string{Reset, HTTP, Health} {
		switch {
		case !keys[behaviour].given():
		case port.Behaviour != Accept:
			keys[behaviour].problemf("stands beside %s; a port does one of them", port.Behaviour)
		default:
			port.Behaviour = behaviour
		}
	}
	switch port.Behaviour {
	case Reset:
		port.ResetAfter = scalar(keys[Reset].orEmpty(), 0, parseWait)
	case HTTP:
		port.HTTP = readHTTP(keys[HTTP])
	case Health:
		port.Health = readHealth(keys[Health])
	}
	if tls := keys["tls"]; tls.given() {
		port.TLS = readTLS(tls, defaultALPN(port.Behaviour))
	}
	if n.isEmptyMapping() {
		n.problemf("says nothing; write tls, reset, http or health, or one word: %s", strings.Join(portWords, ", "))
	}
	return port
}

// shortPort is the port of a word, all else by default.
func shortPort(word string) Port {
	switch word {
	case "tls":
		return Port{Behaviour: Accept, TLS: &TLS{}}
	case HTTP:
		return Port{Behaviour: HTTP, HTTP: &HTTPReply{Status: DefaultStatus}}
	case Health:
		return Port{Behaviour: Health, Health: map[string]string{"": serving}}
	}
	return Port{Behaviour: word}
}

// readTLS leaves Names empty if the file does: the names are read later.
func readTLS(n node, alpn []string) *TLS {
	keys := n.orEmpty().keys("names", "alpn", "expired")
	t := &TLS{ALPN: alpn, Expired: keys["expired"].flag()}
	t.Names = readList(keys["names"], "write the names of the certificate: [site.example]", parseCertificateName)
	if keys["names"].isEmptyList() {
		keys["names"].problemf("is an empty list; leave it out, or write the names of the certificate: [site.example]")
	}
	if protocols := keys["alpn"]; protocols.given() {
		t.ALPN = readList(protocols, "write the protocols: [h2, http/1.1]", parseALPN)
	}
	return t
}

func defaultALPN(behaviour string) []string {
	switch behaviour {
	case HTTP:
		return []string{"h2", "http/1.1"}
	case Health:
		return []string{"h2"}
	}
	return nil
}

func readHTTP(n node) *HTTPReply {
	keys := n.orEmpty().keys("status", "delay", "body")
	r := &HTTPReply{
		Status: int(keys["status"].number(200, 599, DefaultStatus)),
		Delay:  scalar(keys["delay"], 0, parseWait),
		Body:   scalar(keys["body"], "", parseText),
	}
	if r.Body != "" && (r.Status == 204 || r.Status == 304) {
		keys["body"].problemf("stands beside the status %d, which has none; leave it out", r.Status)
	}
	return r
}

// readHealth reads one state for the whole server, or one for each service.
func readHealth(n node) map[string]string {
	states := map[string]string{"": serving}
	if n = n.orEmpty(); !n.isMapping() {
		states[""] = n.word(serving, healthStates...)
		return states
	}
	for _, p := range n.pairs("") {
		states[p.name] = p.value.word("", healthStates...)
	}
	return states
}

// parseCertificateName reads what a client may compare with: RFC 9525 section 6.
func parseCertificateName(text string) (string, error) {
	if addr, err := parseAddr(text); err == nil {
		return addr.String(), nil
	}
	name, err := parseName(strings.TrimPrefix(text, "*."))
	if err != nil {
		return "", errors.New("write a DNS name, one such as *.example, or an IP address")
	}
	if strings.HasPrefix(text, "*.") {
		name = "*." + name
	}
	return name, nil
}

// parseALPN holds the size of a protocol's name: RFC 7301 section 3.1.
func parseALPN(text string) (string, error) {
	if text == "" || len(text) > 255 {
		return "", errors.New("write a protocol such as h2, of 1 to 255 bytes")
	}
	return text, nil
}
