package stage

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/connrace/connrace/internal/hostname"
)

// Limits of a criterion.
const (
	MaxNameLength    = 253  // characters of a server's name
	MaxHostLength    = 262  // characters of a host or an authority: name, port and more
	MaxALPN          = 8    // elements of TLS.ALPN
	MaxALPNLength    = 255  // bytes of each
	MaxPathLength    = 2048 // bytes of HTTP.Path
	MaxStatuses      = 20   // elements of HTTP.Statuses
	MaxServiceLength = 256  // bytes of Health.Service
)

// Problem says what is wrong with one field of a criterion and what is allowed.
type Problem struct {
	Field   string // as the wire contract calls it, such as "http.path"
	Message string // goes on after the field's name: `is "x"; allowed is ...`
}

// Check returns all that is wrong with c; nil: Run takes it.
func (c *Criterion) Check() []Problem {
	var found problems
	if c.TLS != nil {
		found.tls(c.TLS)
	}
	if c.HTTP != nil {
		found.http(c.HTTP)
	}
	if c.Health != nil {
		found.health(c.Health)
	}
	found.only(c)
	found.speaks(c)
	return found
}

type problems []Problem

func (p *problems) addf(field, format string, args ...any) {
	*p = append(*p, Problem{Field: field, Message: fmt.Sprintf(format, args...)})
}

// text adds what a check says about a value that is not empty.
func (p *problems) text(field, value string, check func(string) error) {
	if value == "" {
		return
	}
	if err := check(value); err != nil {
		p.addf(field, "%v", err)
	}
}

// only sees that there is one thing to do after TLS.
func (p *problems) only(c *Criterion) {
	var given []string
	if c.HTTP != nil {
		given = append(given, "http")
	}
	if c.Health != nil {
		given = append(given, "grpc_health")
	}
	if c.FirstByte {
		given = append(given, "first_byte")
	}
	for i := 1; i < len(given); i++ {
		p.addf(given[i], "is given beside %s; allowed is one of http, grpc_health and first_byte", given[0])
	}
}

// speaks sees that what is offered can be used for what comes after TLS.
func (p *problems) speaks(c *Criterion) {
	if c.TLS != nil && c.Health != nil && len(c.TLS.ALPN) > 0 && !slices.Contains(c.TLS.ALPN, http2Protocol) {
		p.addf("tls.alpn_protocols", "has no %q; with grpc_health allowed are protocols with it, or none", http2Protocol)
	}
}

func (p *problems) tls(t *TLS) {
	p.text("tls.server_name", t.ServerName, checkServerName)
	if len(t.ALPN) > MaxALPN {
		p.addf("tls.alpn_protocols", "has %d elements; allowed are %d", len(t.ALPN), MaxALPN)
		return
	}
	for i, protocol := range t.ALPN {
		if len(protocol) == 0 || len(protocol) > MaxALPNLength {
			p.addf(fmt.Sprintf("tls.alpn_protocols[%d]", i), "has %d bytes; allowed are 1 to %d", len(protocol), MaxALPNLength)
		}
	}
}

func (p *problems) http(h *HTTP) {
	if h.Method != "" && h.Method != http.MethodGet && h.Method != http.MethodHead {
		p.addf("http.method", "is %s; allowed is GET or HEAD", hostname.Quote(h.Method))
	}
	p.text("http.path", h.Path, checkPath)
	p.text("http.host", h.Host, checkHost)
	if len(h.Statuses) > MaxStatuses {
		p.addf("http.success_statuses", "has %d elements; allowed are %d", len(h.Statuses), MaxStatuses)
		return
	}
	for i, status := range h.Statuses {
		if status < 100 || status > 599 || interim(status) {
			p.addf(fmt.Sprintf("http.success_statuses[%d]", i), "is %d; allowed are 101 and 200 to 599", status)
		}
	}
}

func (p *problems) health(h *Health) {
	p.text("grpc_health.service", h.Service, checkService)
	p.text("grpc_health.authority", h.Authority, checkHost)
}

// checkPath takes what can stand in a request line as it is (RFC 9112 section 3.2.1).
// A space or a line break would make it another request, and a fragment is never sent.
func checkPath(path string) error {
	if len(path) > MaxPathLength {
		return fmt.Errorf("has %d bytes; allowed are %d", len(path), MaxPathLength)
	}
	if path[0] != '/' {
		return fmt.Errorf(`is %s; allowed is what begins with "/"`, hostname.Quote(path))
	}
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return fmt.Errorf("has the byte %q; allowed are printable ASCII without spaces and '#', and the others as in %%20", c)
		}
	}
	return nil
}

func checkService(service string) error {
	if len(service) > MaxServiceLength {
		return fmt.Errorf("has %d bytes; allowed are %d", len(service), MaxServiceLength)
	}
	if !utf8.ValidString(service) || strings.ContainsFunc(service, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return fmt.Errorf("is %s; allowed are printable characters", hostname.Quote(service))
	}
	return nil
}

// checkHost takes a name or an address, with a port or without; an IPv6 address stands
// in brackets, as without them its last part could be a port.
func checkHost(host string) error {
	if len(host) > MaxHostLength {
		return fmt.Errorf("has %d characters; allowed are %d", len(host), MaxHostLength)
	}
	bare := host
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		bare = host[:i]
		number, err := strconv.ParseUint(host[i+1:], 10, 16)
		unbracketed := strings.Contains(bare, ":") && bare[0] != '['
		if err != nil || number == 0 || unbracketed {
			return fmt.Errorf(`is %s; allowed is a name, an IPv4 address or an IPv6 address in brackets, with a port of 1 to 65535 or without, such as "example.com:8443" or "[2001:db8::1]"`, hostname.Quote(host))
		}
	}
	if inside, ok := strings.CutPrefix(bare, "["); ok {
		inside, closed := strings.CutSuffix(inside, "]")
		if addr, err := netip.ParseAddr(inside); err != nil || !closed || !addr.Is6() || addr.Zone() != "" {
			return fmt.Errorf("is %s; allowed in brackets is an IPv6 address without a zone", hostname.Quote(host))
		}
		return nil
	}
	return checkName(bare, host)
}

// checkServerName takes a name, or an address without brackets.
func checkServerName(name string) error {
	if addr, err := netip.ParseAddr(name); err == nil {
		if addr.Zone() != "" {
			return fmt.Errorf("is %s; allowed is an address without a zone", hostname.Quote(name))
		}
		return nil
	}
	return checkName(name, name)
}

// checkName takes what can stand in DNS, and IPv4 addresses. Other spellings of
// addresses (127.1, 2130706433) are no names. Given is what the caller wrote.
func checkName(name, given string) error {
	if addr, err := netip.ParseAddr(name); err == nil && addr.Is4() {
		return nil
	}
	bare := strings.TrimSuffix(name, ".")
	if len(bare) > MaxNameLength {
		return fmt.Errorf("has a name of %d characters; allowed are %d", len(bare), MaxNameLength)
	}
	labels := strings.Split(bare, ".")
	if slices.ContainsFunc(labels, func(label string) bool { return len(label) > maxLabelLength }) {
		return fmt.Errorf("is %s; allowed is a name without a part longer than %d characters", hostname.Quote(given), maxLabelLength)
	}
	if slices.ContainsFunc(labels, func(label string) bool { return !isLabel(label) }) || hostname.IsNumber(labels[len(labels)-1]) {
		return fmt.Errorf("is %s; allowed is a name of letters, digits, '-', '_' and '.' (others as in xn--...), or an address", hostname.Quote(given))
	}
	return nil
}

// maxLabelLength is that of a part of a name (RFC 1035 section 2.3.4).
const maxLabelLength = 63

func isLabel(label string) bool {
	return len(label) >= 1 && !strings.ContainsFunc(label, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}
